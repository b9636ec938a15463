"""A table of runs from which some are chosen: a gr.HTML that sorts in the browser and says which are ticked."""

from collections.abc import Sequence

from vidpred.explorer.runs.listing import COLUMNS, listed
from vidpred.explorer.runs.run import Run
from vidpred.explorer.ui.html_component import Widget

RUN_TABLE = Widget("run_table", ["run_table"])
run_table = RUN_TABLE.component  # its event `select` carries the names as `runs`
# A menu of the same runs has changed: the table ticks those.
TICK_JS = "names => { document.dispatchEvent(new CustomEvent('runs-chosen', {detail: names})); }"


def run_table_value(runs: Sequence[Run], chosen: Sequence[str], request: int) -> dict:
    """What the table shows, as JSON values: the chosen runs first, so that one sees which are drawn."""
    ordered = sorted(runs, key=lambda run: run.name not in chosen)
    rows = [{"name": run.name, "cells": [list(cell) for cell in listed(run)]} for run in ordered]
    return {"request": request, "columns": list(COLUMNS), "rows": rows, "chosen": list(chosen)}
