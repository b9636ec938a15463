"""Runs as menus list them: the title for people, and the folder's name, by which a run is chosen."""

from collections.abc import Iterable

from vidpred.explorer.runs.run import Run
from vidpred.explorer.runs.summary import describe_run, title
from vidpred.explorer.ui.markdown import literal


def run_menu(runs: Iterable[Run]) -> list[tuple[str, str]]:
    """(label, name) of each."""
    return [(f"{title(run)} · {run.name}", run.name) for run in runs]


def run_about(run: Run) -> str:
    """The name, and below it the run in words, as Markdown."""
    return f"{literal(run.name)}\n\n{describe_run(run)}"
