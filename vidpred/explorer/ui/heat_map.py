"""A table of numbers as colours, as large as a chart: axes, a colour bar, and the value under the pointer."""

import numpy as np

from vidpred.explorer.ui.html_component import Widget

HEAT_MAP = Widget("heat_map", ["heat_map"])
heat_map = HEAT_MAP.component
LEAST = 0.01  # the top of the scale where all is nearly nothing


def heat_map_value(values: np.ndarray, row: str, column: str, unit: str, request: int) -> dict:
    """What it draws, as JSON values. values (columns, rows), columns counted from 1; row, column, unit: in words."""
    top = max(float(values.max(initial=0.0)), LEAST)
    rounded = [[round(float(value), 4) for value in line] for line in values.T]
    return {"request": request, "values": rounded, "row": row, "column": column, "unit": unit, "top": top}


def heat_map_message(text: str, request: int) -> dict:
    """One line in place of a map."""
    return {"request": request, "message": text}
