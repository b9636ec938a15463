"""Colours that can be told apart, and whose they are: a run has the same one in every picture."""

from collections.abc import Sequence
from pathlib import Path

from vidpred.explorer.runs.library import Library
from vidpred.explorer.runs.run import Run

COLOURS = 8  # that the style sheet has, --c0 to --c7
CSS = (Path(__file__).parent / "static" / "run_colors.css").read_text()


def run_colours(library: Library, runs: Sequence[Run]) -> dict[str, int]:
    """Run's name -> place of its colour. The library's first runs keep theirs whatever else is chosen, handed in or
    begun; what there are no colours left for takes those that are free."""
    own = {run.name: own_colour(library, run) for run in runs}
    free = iter(colour for colour in range(COLOURS) if colour not in own.values())
    return {name: next(free) if colour is None else colour for name, colour in own.items()}


def own_colour(library: Library, run: Run) -> int | None:
    """The colour that a run has whatever is drawn beside it; None: it takes one that is free."""
    first = library.seen[:COLOURS]
    return first.index(run.name) if run.name in first else None
