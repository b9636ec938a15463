"""Films as people have them: what is in a file, and its shots cut into clips without actions."""

import hashlib
import re
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import imageio_ffmpeg
import numpy as np
from PIL import Image

from vidpred.data.video import centre_box, film_pictures, fit
from vidpred.errors import BadInput

# Containers of moving pictures. Whatever else ffmpeg guesses a file to be is refused: lists of other files, here or on
# other hosts, and text, which it would play as a terminal's output.
CONTAINERS = (
    *("mov", "m4v", "matroska", "avi", "asf", "flv", "swf", "ogg", "mpeg", "mpegts", "mpegvideo", "mxf", "gxf", "wtv"),
    *("dv", "rm", "nut", "ivf", "obu", "av1", "h264", "hevc", "yuv4mpegpipe", "gif", "apng", "webp_anim"),
)
WHITELIST = ["-format_whitelist", ",".join(CONTAINERS)]
SIDES = ("centre", "left", "right", "top", "bottom", "whole")
LEAST_SIDE = 16  # pixels that are kept of a picture
SHOT_CHANGE = 10.0  # per cent of the brightness; see find_cuts
STILL_LEVELS = 3.0  # of 255; what compression alone changes, mean over a block
STILL_FRAMES = 15
BLOCKS = 8  # across and down
DISCARDED = 4  # flag of a packet that is decoded and not shown: one before the place where a film was cut
UNTIMED = -(2**62)  # times below it are none: some containers note none


class Film(NamedTuple):
    """What a file holds. frames: of its picture; fingerprint: of the compressed film alone, whatever contains it;
    uneven: the time from frame to frame varies; damage: in words what is missing or broken, '' where nothing is."""

    path: Path
    frames: int
    fingerprint: str
    uneven: bool
    damage: str


class Packet(NamedTuple):
    """A compressed frame, or a piece of sound. time, duration: in units of its stream; content: size and checksum."""

    time: int
    duration: int
    content: tuple[str, str]
    is_shown: bool


def inspect_film(path: Path) -> Film:
    """Reads a file without decoding it. What is no film is BadInput."""
    packets, seconds, said = _packets(path, "0:V:0")
    shown = [packet for packet in packets if packet.is_shown]
    if not shown:
        raise BadInput(f"{path.name}: {_refusal(path, said)}")
    content = hashlib.blake2b(repr([packet.content for packet in packets]).encode(), digest_size=16).hexdigest()
    damage = _damage(path, _lasts(shown, seconds), said)
    return Film(path, len(shown), content, _uneven(shown), damage)


def _packets(path: Path, stream: str) -> tuple[list[Packet], float, str]:
    """The packets of one stream, the seconds in a unit of their times, and what ffmpeg says about the file."""
    given = ["-nostdin", "-hide_banner", "-v", "level+info", "-protocol_whitelist", "file", *WHITELIST]
    copied = ["-map", stream, "-c", "copy", "-f", "framecrc", "-"]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), *given, "-i", f"file:{path}", *copied]
    done = subprocess.run(command, capture_output=True, check=False)
    listed, said = (text.decode(errors="replace") for text in (done.stdout, done.stderr))
    row = r"^0, *-?\d+, *(-?\d+), *(\d+), *(\d+), *(0x\w+)(?:, *F=(0x\w+))?"
    packets = [
        Packet(int(time), int(duration), (size, checksum), not int(flags or "0", 16) & DISCARDED)
        for time, duration, size, checksum, flags in re.findall(row, listed, re.M)
    ]
    unit = re.search(r"^#tb 0: (\d+)/(\d+)", listed, re.M)
    return packets, int(unit[1]) / int(unit[2]) if unit else 0.0, said


def _refusal(path: Path, said: str) -> str:
    if path.stat().st_size == 0:
        return "empty file"
    if "matches no streams" in said:
        return "no video stream in it"
    if "moov atom not found" in said:
        return "cut off, or never finished: the index (moov) at its end is missing"
    return "no film that ffmpeg reads"


def _uneven(packets: list[Packet]) -> bool:
    steps = np.diff(sorted(packet.time for packet in packets if packet.time > UNTIMED))
    if len(steps) < 2:
        return False
    usual = np.median(steps)
    return bool((abs(steps - usual) > usual / 4).mean() > 0.05)


def _lasts(packets: list[Packet], seconds: float) -> float:
    """Seconds from the beginning of the first packet to the end of the last one."""
    timed = [packet for packet in packets if packet.time > UNTIMED]
    if not timed:
        return 0.0
    return (max(packet.time + packet.duration for packet in timed) - min(packet.time for packet in timed)) * seconds


def _damage(path: Path, there: float, said: str) -> str:
    whole = re.search(r"Duration: (\d+):(\d+):(\d+\.\d+)", said)
    lasts = sum(float(part) * 60**power for part, power in zip(whole.groups(), (2, 1, 0))) if whole else 0.0
    enough = 0.9 * lasts - 0.5
    if 0 < there < enough and _lasts(*_packets(path, "0:a:0")[:2]) < enough:  # sound may go on without a picture
        return f"{there:.1f} of {lasts:.1f} s are there"
    return "damaged" if re.search(r"\[(error|fatal)\]", said) else ""


def crop_box(picture: tuple[int, int], size: tuple[int, int], crop: str) -> tuple[float, float, float, float]:
    """The part of a (width, height) picture that becomes (height, width) = size: the largest of that shape at its
    centre or at a side, the `whole`, squeezed, or the centre of W:H:X:Y, as ffmpeg's crop names it. BadInput where it
    does not fit."""
    width, height = picture
    if min(picture) < LEAST_SIDE:
        raise BadInput(f"pictures of {width} x {height} pixels, at least {LEAST_SIDE} are needed either way")
    if crop == "whole":
        return 0, 0, width, height
    if crop in SIDES:
        box = centre_box(picture, size)
        across = {"left": -box[0], "right": box[0]}.get(crop, 0)
        down = {"top": -box[1], "bottom": box[1]}.get(crop, 0)
        return box[0] + across, box[1] + down, box[2] + across, box[3] + down
    across, down, left, top = rectangle(crop)
    if left + across > width or top + down > height:
        raise BadInput(f"--crop {crop} does not fit into its pictures of {width} x {height} pixels")
    box = centre_box((across, down), size)
    return box[0] + left, box[1] + top, box[2] + left, box[3] + top


def rectangle(crop: str) -> tuple[int, int, int, int]:
    """Width, height, left and top of W:H:X:Y."""
    if not re.fullmatch(r"\d+:\d+:\d+:\d+", crop, re.ASCII):
        raise BadInput(f"--crop {crop}: {', '.join(SIDES)} or WIDTH:HEIGHT:LEFT:TOP in pixels")
    across, down, left, top = map(int, crop.split(":"))
    if min(across, down) < LEAST_SIDE:
        raise BadInput(f"--crop {crop}: at least {LEAST_SIDE} pixels either way")
    return across, down, left, top


def film_frames(film: Film, size: tuple[int, int], every: int, crop: str) -> Iterator[np.ndarray]:
    """Every n-th frame of a film, uint8 (*size, 3)."""
    for picture, box in film_pictures_and_box(film, size, every, crop):
        yield fit(picture, size, box)


def film_pictures_and_box(
    film: Film, size: tuple[int, int], every: int, crop: str
) -> Iterator[tuple[Image.Image, tuple[float, float, float, float]]]:
    """Every n-th picture of a film as it came, with the part of it that becomes (height, width) = size."""
    box = None
    for number, picture in enumerate(film_pictures(film.path, WHITELIST)):
        if box is None:
            try:
                box = crop_box(picture.size, size, crop)
            except BadInput as error:
                raise BadInput(f"{film.path.name}: {error}") from None
        if number % every == 0:
            yield picture, box


def find_cuts(frames: Iterable[np.ndarray], shot_change: float = SHOT_CHANGE) -> Iterator[tuple[np.ndarray, bool]]:
    """The frames, uint8 (H, W, 3), each with whether a shot begins with it: where the mean change from the frame before
    is larger by `shot_change` per cent than the changes before and after that one, so that neither a fast pan nor a
    flash is a cut."""
    waiting, before, change, last_change = None, None, 0.0, 0.0
    for frame in frames:
        now = frame.astype(np.int16)
        next_change = 0.0 if before is None else float(abs(now - before).mean()) / 2.55
        if waiting is not None:
            yield waiting, change - max(last_change, next_change) >= shot_change
        waiting, before, last_change, change = frame, now, change, next_change
    if waiting is not None:
        yield waiting, change - last_change >= shot_change


class ShotCutter:
    """Cuts frames into clips of one length, none across a cut, none with a stretch in which nothing moves.

    A stretch is still from the frame on from which no block of 1/8 x 1/8 of the picture changes for STILL_FRAMES
    frames. Counts frames: all that came, those of stretches that stand still, those of pieces too short for a clip.
    """

    def __init__(self, length: int, shot_change: float = SHOT_CHANGE):
        self._length, self._shot_change = length, shot_change
        self.frames = self.still = self.short = 0
        self.shots = 1

    def clips(self, frames: Iterable[np.ndarray]) -> Iterator[tuple[int, np.ndarray]]:
        """frames: (H, W, 3) uint8, H and W multiples of 8. Gives the number of a clip's first frame and the clip,
        (T, H, W, 3) uint8."""
        piece, start = [], 0  # frames since a cut or a still stretch that are in no clip yet
        held, alike, resting = None, 0, False  # the frame that nothing has changed from, how many are like it
        for frame, is_cut in find_cuts(frames, self._shot_change):
            now = frame.astype(np.int16)
            if is_cut:
                yield from self._pieces(start, piece)
                piece, held, resting = [], None, False
                self.shots += 1
            moved = held is None or _block_change(now, held) >= STILL_LEVELS
            if moved:
                held, alike, resting = now, 0, False
            alike += 1
            if not piece:
                start = self.frames
            self.frames += 1
            if resting:
                self.still += 1
                continue
            piece.append(frame)
            moving = len(piece) - alike
            if alike == STILL_FRAMES:
                yield from self._pieces(start, piece[:moving])
                piece, resting = [], True
                self.still += STILL_FRAMES
            elif moving >= self._length:
                yield start, np.stack(piece[: self._length])
                piece, start = piece[self._length :], start + self._length
        yield from self._pieces(start, piece)

    def _pieces(self, start: int, piece: list[np.ndarray]) -> Iterator[tuple[int, np.ndarray]]:
        whole = len(piece) - len(piece) % self._length
        for first in range(0, whole, self._length):
            yield start + first, np.stack(piece[first : first + self._length])
        self.short += len(piece) - whole


def _block_change(one: np.ndarray, other: np.ndarray) -> float:
    """The largest mean change of a block, levels; (H, W, 3) int16."""
    height, width, _ = one.shape
    change = abs(one - other).mean(-1).reshape(BLOCKS, height // BLOCKS, BLOCKS, width // BLOCKS)
    return float(change.mean((1, 3)).max())
