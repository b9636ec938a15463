"""What the player shows as files: GIF, MP4, film strip, and the numbers as CSV. Written only when asked for."""

import csv
import re
from collections.abc import Iterator
from math import isnan
from pathlib import Path

import numpy as np

from vidpred import render
from vidpred.explorer.runs import validate
from vidpred.explorer.runs.prediction import SCORES, Prediction
from vidpred.explorer.ui.cached_file import cached_file
from vidpred.explorer.ui.player import Display, View
from vidpred.files import replaced

KINDS = {"gif": "GIF", "mp4": "MP4", "png": "strip", "csv": "CSV"}
GAP = 4  # pixels between pictures that stand side by side
SCALE = 3  # a pixel becomes a square of this side
LONG = 100  # frames from which on it does not: a server would write for minutes
ACROSS = 4  # tiles in a row of a film
STRIP_FRAMES = 30  # at most, of a long clip taken at equal distances


def write_download(prediction: Prediction, display: Display, view: View, kind: str) -> Path:
    """A file in Gradio's cache that shows what the player shows, or holds all numbers of the prediction."""
    kind, settings = validate.choice(kind, "kind of file", KINDS), prediction.settings
    name = re.sub(r"[^A-Za-z0-9]+", "-", f"{settings.run.name} {settings.clip.name} seed {settings.seed}").strip("-")
    path = cached_file(f"{name}.{kind}", repr((settings, view, kind)).encode())
    if kind == "csv":
        with replaced(path) as temporary, open(temporary, "w", newline="") as file:
            csv.writer(file).writerows(numbers(prediction))
        return path
    clips = tiles(display, view)
    if kind == "png":
        every = -(-len(clips[0]) // STRIP_FRAMES)
        rows = [render.strip(clip, every, GAP)[None] for clip in clips]
        render.save_png(path, render.upscale(render.grid(rows, columns=1, gap=GAP)[0], 2))
        return path
    scale = SCALE if len(clips[0]) <= LONG else 1
    film = render.upscale(render.grid(clips, columns=ACROSS, gap=GAP), scale)
    {"gif": render.save_gif, "mp4": render.save_mp4}[kind](path, film, fps=view.fps)
    return path


def tiles(display: Display, view: View) -> list[np.ndarray]:
    """The tiles that are switched on, framed: given frames green, predicted ones red, the others as given."""
    truth = next((tile.clips[0] for tile in display.tiles if tile.kind == "truth"), None)
    clips = []
    for tile in (display.tiles[i] for i in view.tiles):
        source = display.tiles[tile.of].clips if tile.kind == "error" else tile.clips
        frames = source[min(view.choice, len(source) - 1)]
        if tile.kind == "error":
            frames = render.heat(render.error_levels(frames, truth), view.gain)
        elif tile.kind == "spread":
            frames = render.heat(frames[..., 0], view.gain)
        clips.append(render.frame_border(frames, display.n_past if tile.kind == "prediction" else len(frames)))
    return clips


def numbers(prediction: Prediction) -> Iterator[tuple]:
    """Rows of a table: a row per temperature, sample (and their mean) and predicted frame, each score by protocol."""
    settings = prediction.settings
    yield ("run", "clip", "seed", "prior", "n_past", "temperature", "sample", "frame",
           f"psnr_{prediction.psnr}_db", "ssim_finn", "sharpness",
           "copy_last_psnr_db", "copy_last_ssim", "copy_last_sharpness")  # fmt: skip
    for temperature, future in zip(settings.temperatures, prediction.futures):
        names = [*map(str, range(len(future.samples))), "mean"]
        for row, sample in enumerate(names):
            for t in range(settings.n_future if future.scores else 0):
                scores = [future.scores[name][row, t] for name in SCORES]
                scores += [prediction.copied[name][t] for name in SCORES]
                what = settings.run.name, settings.clip.name, settings.seed, settings.prior, settings.n_past
                cells = ("" if isnan(score) else f"{score:.6f}" for score in scores)
                yield *what, temperature, sample, settings.n_past + t, *cells
