"""Frames out: borders, grids, film strips, heat maps, GIF, MP4, PNG and sprite sheets.

Pictures are uint8, a clip (T, H, W, 3) and a picture (H, W, 3), in RGB. Wrong shapes raise ValueError. Files are
written beside their place, flushed to disk and renamed, so that a reader never meets half a file.
"""

from collections.abc import Sequence
from pathlib import Path

import imageio.v3 as iio
import imageio_ffmpeg
import numpy as np
from PIL import GifImagePlugin, Image

from vidpred.files import replaced

CONTEXT_COLOUR = (0, 158, 60)  # green: the model was given this frame
PREDICTED_COLOUR = (213, 30, 30)  # red: the model made it up
BACKGROUND = 255
MAX_SIDE = 16_382  # pixels; WebP, and the textures of common browsers, end at 16,383


# --- frames to frames -------------------------------------------------------------------------------------------------


def frame_border(frames: np.ndarray, n_past: int, width: int = 2) -> np.ndarray:
    """Clip (T, H, W, C) -> (T, H + 2 width, W + 2 width, 3): n_past context frames framed green, the others red.

    Drawn around the picture, so that no pixel of it is covered.
    """
    frames = _clip(frames)
    if n_past < 0 or width < 0:
        raise ValueError(f"n_past ({n_past}) and width ({width}) must not be negative")
    steps, height, columns, _ = frames.shape
    framed = np.empty((steps, height + 2 * width, columns + 2 * width, 3), np.uint8)
    framed[:n_past] = CONTEXT_COLOUR
    framed[n_past:] = PREDICTED_COLOUR
    framed[:, width : width + height, width : width + columns] = frames
    return framed


def upscale(frames: np.ndarray, factor: int) -> np.ndarray:
    """(…, H, W, C) -> (…, factor H, factor W, C), nearest neighbour: every pixel becomes a square."""
    if factor < 1 or factor != int(factor):
        raise ValueError(f"factor must be a whole number of at least 1, got {factor}")
    return frames.repeat(int(factor), axis=-3).repeat(int(factor), axis=-2)


def side_by_side(clips: Sequence[np.ndarray], gap: int = 2) -> np.ndarray:
    """Clips (T, H, W_i, 3) of one length and height -> (T, H, sum of W_i + gaps, 3), played together."""
    clips = [_clip(clip) for clip in clips]
    if len({clip.shape[:2] for clip in clips}) != 1:
        raise ValueError(f"clips must share frames and height, got shapes {[clip.shape for clip in clips]}")
    steps, height = clips[0].shape[:2]
    spacer = np.full((steps, height, gap, 3), BACKGROUND, np.uint8)
    return np.concatenate([part for clip in clips for part in (spacer, clip)][1:], axis=2)


def grid(clips: Sequence[np.ndarray], columns: int, gap: int = 2) -> np.ndarray:
    """Clips (T, H, W, 3) of one shape, row by row -> one clip of `columns` clips across; missing cells stay white."""
    if columns < 1:
        raise ValueError(f"columns must be at least 1, got {columns}")
    clips = [_clip(clip) for clip in clips]
    if len({clip.shape for clip in clips}) != 1:
        raise ValueError(f"clips must share one shape, got {[clip.shape for clip in clips]}")
    columns = min(columns, len(clips))
    steps, height, width, _ = clips[0].shape
    rows = -(-len(clips) // columns)
    shape = (steps, rows * (height + gap) - gap, columns * (width + gap) - gap, 3)
    canvas = np.full(shape, BACKGROUND, np.uint8)
    for i, clip in enumerate(clips):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        canvas[:, top : top + height, left : left + width] = clip
    return canvas


def strip(frames: np.ndarray, every: int = 1, gap: int = 2) -> np.ndarray:
    """Film strip: frames 0, every, 2 every, … of a clip (T, H, W, 3) from left to right in one picture (H, …, 3)."""
    if every < 1:
        raise ValueError(f"every must be at least 1, got {every}")
    return side_by_side([frame[None] for frame in _clip(frames)[::every]], gap)[0]


def mean_clip(samples: np.ndarray) -> np.ndarray:
    """The mean picture of samples (N, T, H, W, 3), rounded to nearest even."""
    return np.stack([np.rint(frames.mean(0)).astype(np.uint8) for frames in _samples(samples)])


def spread_clip(samples: np.ndarray) -> np.ndarray:
    """How far samples (N, T, H, W, 3) lie apart, as a grey clip: the standard deviation, mean of the channels."""
    spread = np.stack([frames.std(0).mean(-1, keepdims=True) for frames in _samples(samples)])
    return np.rint(spread).astype(np.uint8).repeat(3, axis=-1)


def error_levels(frames: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """|frames - truth|, mean of the channels: (T, H, W, 3) -> float64 (T, H, W), 0 … 255."""
    return np.abs(_clip(frames).astype(np.int16) - _clip(truth)).mean(-1)


def heat(levels: np.ndarray, gain: float = 1.0) -> np.ndarray:
    """Levels (T, H, W), 0 … 255, times gain -> a clip from black over red and yellow to white (255 and more).

    The clip player draws the same in the browser.
    """
    share = np.clip(gain * levels / 255, 0, 1)[..., None]
    return np.rint(255 * np.clip(3 * share - np.arange(3), 0, 1)).astype(np.uint8)


def sprite_sheet(tiles: Sequence[np.ndarray]) -> tuple[np.ndarray, int]:
    """Clips (T, H, W, 3) of one shape -> one picture of all their frames, untouched, and its number of columns.

    Frame t of clip i is cell i T + t; its row and column are divmod(cell, columns). A row per clip where that fits;
    otherwise the cells wrap, so that no side exceeds MAX_SIDE. Raises ValueError when the frames do not fit at all.
    Cells after the last frame are white.
    """
    tiles = [_clip(tile) for tile in tiles]
    if len({tile.shape for tile in tiles}) != 1:
        raise ValueError(f"tiles must share one shape, got {[tile.shape for tile in tiles]}")
    steps, height, width, _ = tiles[0].shape
    cells = len(tiles) * steps
    most_columns, most_rows = MAX_SIDE // width, MAX_SIDE // height
    columns = steps if steps <= most_columns and len(tiles) <= most_rows else min(most_columns, cells)
    if columns < 1 or -(-cells // columns) > most_rows:
        raise ValueError(
            f"{len(tiles)} tiles of {steps} frames, {width} x {height} pixels, do not fit into one sheet of"
            f" {MAX_SIDE} x {MAX_SIDE} pixels: show fewer or smaller ones"
        )
    rows = -(-cells // columns)
    sheet = np.full((rows, columns, height, width, 3), BACKGROUND, np.uint8)
    for cell, frame in enumerate(frame for tile in tiles for frame in tile):
        sheet[divmod(cell, columns)] = frame
    return sheet.swapaxes(1, 2).reshape(rows * height, columns * width, 3), columns


# --- frames to files --------------------------------------------------------------------------------------------------


def save_png(path: str | Path, picture: np.ndarray) -> None:
    """Write a picture (H, W, 3), lossless."""
    picture = _clip(np.asarray(picture)[None])[0]
    with replaced(path) as temporary:
        Image.fromarray(picture).save(temporary, format="PNG")


def save_gif(path: str | Path, frames: np.ndarray, fps: float = 5.0) -> None:
    """Write a clip (T, H, W, 3) as an endless GIF with 256 colours of its own for each frame, without dithering.

    A frame of up to 256 colours is exact. fps is at most 50: browsers slow down anything faster. Times are whole
    hundredths of a second, rounded so that the clip keeps its length.
    """
    frames = _clip(frames)
    if not 0 < fps <= 50:
        raise ValueError(f"fps of a GIF must be above 0 and at most 50, got {fps}")
    ends = [round(100 * (t + 1) / fps) for t in range(len(frames))]  # hundredths of a second
    pictures = [_with_palette(frame) for frame in frames]
    # Written frame by frame because Image.save(save_all=True), by which imageio writes too, merges equal neighbours: T
    # frames would not come back.
    header, _ = GifImagePlugin.getheader(pictures[0], info={"loop": 0})
    with replaced(path) as temporary, open(temporary, "wb") as file:
        file.writelines(header)
        for picture, start, end in zip(pictures, [0, *ends], ends):
            file.writelines(
                GifImagePlugin.getdata(picture, duration=10 * (end - start), include_color_table=True, disposal=1)
            )
        file.write(b";")


def save_mp4(path: str | Path, frames: np.ndarray, fps: float = 5.0) -> None:
    """Write a clip (T, H, W, 3) as H.264, yuv420p, near lossless in brightness; plays in every browser.

    Odd sides are made even by repeating the last row or column. Colour is stored at half resolution: upscale small
    frames (by 2 or more) first.
    """
    frames = _clip(frames)
    if not fps > 0:
        raise ValueError(f"fps must be above 0, got {fps}")
    frames = np.pad(frames, ((0, 0), (0, frames.shape[1] % 2), (0, frames.shape[2] % 2), (0, 0)), mode="edge")
    # The colour matrix is named in the file: players guess a different one for small and for large pictures.
    filters = (
        "scale=out_color_matrix=bt709:out_range=tv:flags=accurate_rnd+full_chroma_int,format=yuv420p,"
        "setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709:range=tv"
    )
    with replaced(path) as temporary:
        iio.imwrite(
            temporary,
            frames,
            is_batch=True,
            plugin="FFMPEG",
            extension=".mp4",
            fps=fps,
            codec="libx264",
            pixelformat="yuv420p",
            macro_block_size=1,  # the default rescales to multiples of 16
            ffmpeg_log_level="error",
            output_params=["-crf", "12", "-vf", filters, "-movflags", "+faststart", "-f", "mp4"],
        )
        # imageio does not look at ffmpeg's exit status: a full disk would leave half a film without an error.
        if not temporary.exists() or imageio_ffmpeg.count_frames_and_secs(temporary)[0] != len(frames):
            raise OSError(f"ffmpeg could not write {path} (the cause is on stderr)")


def _with_palette(frame: np.ndarray) -> Image.Image:
    """Picture (H, W, 3) -> the same with at most 256 colours, chosen for this picture alone."""
    packed = frame.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)  # H, W
    codes, index = np.unique(packed, return_inverse=True)
    colours = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=-1).astype(np.uint8)  # distinct colours, 3
    if len(colours) > 256:
        # Maximum coverage keeps a small bright object's colour, which median cut averages away (errors of 50 / 255).
        # Done on the distinct colours: an upscaled picture repeats each of its pixels many times.
        quantised = Image.fromarray(colours[None]).quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=1)
        index = np.asarray(quantised)[0][index]
        colours = np.array(quantised.getpalette(), np.uint8)
    picture = Image.fromarray(index.reshape(frame.shape[:2]).astype(np.uint8), mode="P")
    picture.putpalette(colours.tobytes())
    return picture


def _samples(samples: np.ndarray) -> np.ndarray:
    """(T, N, H, W, 3): a frame of all samples after the other, so that long clips take little memory as floats."""
    if samples.dtype != np.uint8 or samples.ndim != 5 or samples.size == 0:
        raise ValueError(f"samples must be uint8 (N, T, H, W, 3), got {samples.dtype} {samples.shape}")
    return samples.swapaxes(0, 1)


def _clip(frames: np.ndarray) -> np.ndarray:
    """The clip (T, H, W, C) with three channels (grey is repeated), or ValueError."""
    frames = np.asarray(frames)
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] not in (1, 3) or frames.size == 0:
        raise ValueError(f"frames must be uint8 (T, H, W, 3) and not empty, got {frames.dtype} {frames.shape}")
    return frames if frames.shape[-1] == 3 else frames.repeat(3, axis=-1)
