"""What the chart is given to draw: few points, and all that matters among them."""

import math

from vidpred.explorer.ui.chart import Line, Panel, chart_value, thin


def test_thinning_keeps_a_lone_peak_and_a_gap():
    y = [0.0] * 3000
    y[1234], y[2000:2100] = 9.0, [None] * 100
    x, kept = thin(range(3000), y, most=100)
    assert 1234 in x and kept[x.index(1234)] == 9
    assert None in kept
    assert thin([], []) == [[], []]
    assert thin([3], [None]) == [[3], [None]]


def test_a_thinned_band_keeps_the_peaks_and_dips_of_both_edges():
    low, high = [0.0] * 1000, [1.5] * 1000
    low[301], high[503] = -4.0, 9.0
    (line,) = chart_value([Panel("a", "b", [Line("n", "l", 0, "band", range(1000), low, high)])], "x", 1)["panels"][0][
        "lines"
    ]
    assert len(line["x"]) == len(line["y"]) == len(line["top"]) < 1000
    assert (min(line["y"]), max(line["top"])) == (-4, 9)


def test_a_chart_without_lines_and_one_with_infinity():
    empty = chart_value([Panel("a", "b", [])], "x", 1)
    assert empty["x_full"] == [0, 1]
    short = chart_value([Panel("a", "b", [Line("n", "l", 0, "solid", [2, 3], [1, math.inf])])], "x", 1)
    assert short["panels"][0]["lines"][0]["y"] == [1, None]
    assert chart_value([], "x", 1, marks=[3, 7])["marks"] == [3, 7]
