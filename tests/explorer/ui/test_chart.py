"""What the chart is given to draw: few points, and all that matters among them."""

import math

from vidpred.explorer.ui.chart import Line, Panel, chart_value, thin


def test_thinning_keeps_a_lone_peak_and_a_gap():
    y = [0.0] * 3000
    y[1234], y[2000:2100] = 9.0, [None] * 100
    x, kept = thin(range(3000), y, most=100)
    assert 1234 in x and kept[x.index(1234)] == 9
    assert None in kept
    assert thin([], []) == ([], [])
    assert thin([3], [None]) == ([3], [None])


def test_a_chart_without_lines_and_one_with_infinity():
    empty = chart_value([Panel("a", "b", [])], "x", 1)
    assert empty["x_full"] == [0, 1]
    short = chart_value([Panel("a", "b", [Line("n", "l", 0, "solid", [2, 3], [1, math.inf])])], "x", 1)
    assert short["panels"][0]["lines"][0]["y"] == [1, None]
    assert chart_value([], "x", 1, marks=[3, 7])["marks"] == [3, 7]
