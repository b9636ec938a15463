"""Figures hold the numbers they were given, gaps included, and can be drawn from several threads."""

import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from matplotlib.cbook import is_math_text
from matplotlib.colors import to_hex

from vidpred import plots


def rows(epochs=6, shift=0.0):
    """Rows of a metrics.jsonl, with keys that are not plotted as well."""
    return [
        {
            "epoch": e,
            "step": 25 * (e + 1),
            "seconds": 1.5,
            "loss": 3.0 - 0.3 * e + shift,
            "mse": 0.2,
            "kld": 10.0 / (e + 1) + shift,
            "beta": 0.1 * e,
            "tfr": max(0.0, 1 - 0.2 * e),
            "teacher_forced": float(e % 2),
            "lr": 0.002,
            "train_psnr": 20.0 + e + shift,
            "val_loss": 0.01,
            "val_psnr": 19.0 + e + shift,
            "val_ssim": 0.8,
            "skipped_steps": 0,
            "active_units": 3,
        }
        for e in range(epochs)
    ]


def lines(figure, title):
    (axes,) = [axes for axes in figure.axes if axes.get_title().startswith(title)]
    return axes.get_lines()


def values(line):
    return [None if np.isnan(v) else v for v in np.asarray(line.get_ydata(), float)]


def column(metrics, key):
    return pytest.approx([row[key] for row in metrics])


def test_training_curves_hold_every_value():
    a, b = rows(), rows(4, shift=1.0)
    figure = plots.training_curves({"a": a, "b": b})
    for title, keys in {
        "KL div": ["kld"],
        "KL weight": ["beta"],
        "Teacher": ["tfr", "teacher_forced"],
        "PSNR": ["val_psnr", "train_psnr"],
        "Loss": ["loss", "val_loss"],
        "Learning": ["lr"],
    }.items():
        drawn = lines(figure, title)
        expected = [(run, key) for run in (a, b) for key in keys]
        assert len(drawn) == len(expected), title
        for line, (run, key) in zip(drawn, expected):
            assert list(line.get_xdata()) == list(range(len(run)))
            assert values(line) == column(run, key)


def test_runs_differ_by_colour_and_series_by_style():
    figure = plots.training_curves({"a": rows(), "b": rows()})
    a_val, a_train, b_val, b_train = lines(figure, "PSNR")
    assert a_val.get_color() == a_train.get_color() != b_val.get_color() == b_train.get_color()
    assert a_val.get_linestyle() == b_val.get_linestyle() != a_train.get_linestyle()
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["a", "b"]
    assert [to_hex(line.get_color()) for line in legend.get_lines()] == [
        to_hex(a_val.get_color()),
        to_hex(b_val.get_color()),
    ]


def test_the_x_axis_is_shared_and_follows_the_epoch():
    metrics = rows()
    for row in metrics:
        row["epoch"] += 10  # a run that was shortened at its front
    for row in metrics[3:]:
        del row["lr"]  # a panel whose curve ends early keeps the common axis
    figure = plots.training_curves({"a": metrics})
    assert list(lines(figure, "KL div")[0].get_xdata()) == list(range(10, 16))
    plots.rasterise(figure)
    assert len({axes.get_xlim() for axes in figure.axes}) == 1


def test_missing_values_are_gaps_and_lone_values_dots():
    metrics = rows()
    del metrics[1]["val_psnr"]
    metrics[3]["val_psnr"] = None
    metrics[5]["val_psnr"] = float("inf")
    for row in metrics:
        del row["lr"]
    figure = plots.training_curves({"a": metrics})
    line = lines(figure, "PSNR")[0]
    assert values(line) == [19, None, 21, None, 23, None]
    assert line.get_markevery() == [0, 2, 4]  # a line alone would show nothing at all
    assert values(lines(figure, "Learning")[0]) == [None] * 6
    assert plots.rasterise(figure).shape[1] == 900


def test_no_runs_and_empty_runs_draw():
    for metrics in ({}, {"a": []}):
        assert plots.rasterise(plots.training_curves(metrics)).shape[1] == 900


def test_many_runs_have_many_colours():
    figure = plots.training_curves({f"run {i}": rows(2) for i in range(12)})
    assert len({to_hex(line.get_color()) for line in lines(figure, "KL div")}) == 12


def test_awkward_names_are_shown_as_they_are():
    figure = plots.training_curves({"a$b$c": rows(), "cost$": rows(), "_hidden": rows()})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plots.rasterise(figure)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert [label.strip().replace("\\", "") for label in labels] == ["a$b$c", "cost$", "_hidden"]
    assert not any(is_math_text(label) for label in labels)  # "b" as a formula would lose its dollars
    (axes,) = plots.psnr_per_frame({"_hidden": [20.0], "b": [21.0]}, n_past=2).axes
    assert len(axes.get_legend().get_texts()) == 2


def test_psnr_per_frame_starts_after_the_context_and_dashes_the_baseline():
    figure = plots.psnr_per_frame({"svg": [25.0, None, 23.0], "copy-last-frame": [20.0, 19.0, 18.0]}, n_past=2)
    drawn = figure.axes[0].get_lines()
    model, copy = [line for line in drawn if not line.get_label().startswith("_")]
    assert [line.get_ydata() for line in drawn if line not in (model, copy)] == [[19.0, 19.0]]  # the mean of all frames
    assert list(model.get_xdata()) == [2, 3, 4]
    assert values(model) == [25, None, 23]
    assert values(copy) == [20, 19, 18]
    assert (model.get_linestyle(), copy.get_linestyle()) == ("-", "--")
    assert "mean 19.00 dB" in copy.get_label()
    assert "mean" not in model.get_label()  # of two thirds of the frames it would be another number
    assert plots.rasterise(figure).shape[1] == 900
    plots.rasterise(plots.psnr_per_frame({}, n_past=1))


def test_kl_heat_map_holds_the_map_and_counts_steps_from_one():
    kld = [[0.5, 2.0, 0.5], [1.0, None, 0.25]]
    figure = plots.kl_heat_map(kld)
    (image,) = figure.axes[0].get_images()
    shown = np.ma.filled(image.get_array(), np.nan)
    np.testing.assert_array_equal(shown, [[0.5, 2, 0.5], [1, np.nan, 0.25]])
    assert image.get_extent() == [-0.5, 2.5, 2.5, 0.5]
    assert image.get_clim()[0] == 0  # colours start at 0 nats, so that a dead dimension is dark in every figure
    (dead,) = plots.kl_heat_map([[1e-5, 2e-5]]).axes[0].get_images()
    assert dead.get_clim()[1] > 100 * 2e-5  # and one that carries nothing is dark all over
    assert "2.12 nats" in figure.axes[0].get_title()
    assert plots.rasterise(figure).shape[1] == 900
    with pytest.raises(ValueError, match="one length"):
        plots.kl_heat_map([[1.0], [1.0, 2.0]])


def test_figures_are_drawn_in_threads_without_pyplot():
    def draw(i):
        return plots.rasterise(plots.psnr_per_frame({"svg": [20.0 + i, 21.0]}, 2))

    with ThreadPoolExecutor(4) as pool:
        pictures = list(pool.map(draw, [0, 1, 0, 1]))
    assert np.array_equal(pictures[0], pictures[2])
    assert np.array_equal(pictures[1], pictures[3])
    assert not np.array_equal(pictures[0], pictures[1])
    assert "matplotlib.pyplot" not in vars(plots)
    assert sys.modules[plots.__name__].Figure.__module__ == "matplotlib.figure"


def test_losses_stand_side_by_side_on_one_scale():
    a, b = rows(), rows(4, shift=1.0)
    figure = plots.losses_side_by_side({"a": a, "b": b})
    for name, metrics in (("a", a), ("b", b)):
        for line, key in zip(lines(figure, name), ("loss", "mse", "val_loss")):
            assert values(line) == column(metrics, key)
    assert len({axes.get_ylim() for axes in figure.axes}) == 1
    assert {axes.get_yscale() for axes in figure.axes} == {"log"}
    figure = plots.losses_side_by_side(dict.fromkeys("abcd", a))  # two rows of panels, the second of one
    plots.rasterise(figure)
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_xlabel() for axes in shown] == ["", "epoch", "epoch", "epoch"]
    assert all(axes.xaxis.get_tick_params()["labelbottom"] for axes in shown[1:])


def test_titles_side_by_side_do_not_meet():
    """A name of 60 characters is wider than its panel."""
    names = {letter * 60: rows() for letter in "abc"}
    figure = plots.losses_side_by_side(names)
    plots.rasterise(figure)
    boxes = sorted((axes.title.get_window_extent() for axes in figure.axes), key=lambda box: box.x0)
    assert all(left.x1 < right.x0 for left, right in zip(boxes, boxes[1:]))
    assert boxes[0].x0 >= 0
    assert boxes[-1].x1 <= figure.bbox.x1
    assert ["".join(axes.get_title().split()) for axes in figure.axes] == list(names)


def test_a_figure_grows_with_its_legend():
    """It would take the room of the panels, or cover the curves."""

    def heights(draw, value):
        pictures = (plots.rasterise(draw({f"run-{i}": value for i in range(number)})) for number in (4, 45))
        return [picture.shape[0] for picture in pictures]

    for few, many in (heights(plots.training_curves, rows()), heights(lambda c: plots.psnr_per_frame(c, 2), [20.0])):
        assert many > few + 150


def points(axes):
    """Of a panel's coloured points: places and colours' values."""
    (scatter,) = axes.collections
    return scatter.get_offsets()[:, 1].tolist(), scatter.get_array().tolist()


def test_each_epoch_shows_whether_it_was_forced():
    a, b = rows(), rows(4, shift=1.0)
    figure = plots.loss_by_forcing({"a": a, "b": b})
    for name, metrics in (("a", a), ("b", b)):
        (axes,) = [axes for axes in figure.axes if axes.get_title() == name]
        assert points(axes) == (column(metrics, "loss"), column(metrics, "teacher_forced"))
    plots.rasterise(figure)


def test_the_dashboard_holds_its_four_panels():
    a = rows()
    figure = plots.dashboard("a$run", a)
    for title, keys in {"PSNR": ["train_psnr", "val_psnr"], "Loss": ["loss", "val_loss"], "Learning": ["lr"]}.items():
        for line, key in zip(lines(figure, title), keys):
            assert values(line) == column(a, key)
    beta, tfr, _ = lines(figure, "Schedules")
    assert values(beta) == pytest.approx([row["beta"] / 0.5 for row in a])  # as a share of its top
    assert values(tfr) == column(a, "tfr")
    (axes,) = [axes for axes in figure.axes if axes.get_title() == "Schedules"]
    assert points(axes) == (column(a, "tfr"), column(a, "teacher_forced"))
    plots.rasterise(figure)
    plots.rasterise(plots.dashboard("empty", []))
