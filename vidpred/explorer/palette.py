"""Colours that can be told apart, and whose they are: a run has the same one in every picture."""

from collections.abc import Sequence
from pathlib import Path

from vidpred.explorer.library import Library

COLOURS = 8  # that the style sheet has, --c0 to --c7
CSS = (Path(__file__).parent / "static" / "palette.css").read_text()


def run_colours(library: Library, names: Sequence[str]) -> dict[str, int]:
    """Run -> place of its colour. Where there are no more runs than colours, a run keeps its own whatever else is
    chosen."""
    order = list(library.runs) if len(library.runs) <= COLOURS else list(names)
    return {name: order.index(name) for name in names}
