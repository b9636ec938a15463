"""The schedule designer: curves are those of vidpred.schedules, and the command gives the very settings back."""

import contextlib
import io
import json
import math
import shlex

import pytest

from tests.commands import run
from train import pose_cvae, svg
from vidpred import schedules
from vidpred.config import TrainConfig
from vidpred.errors import BadInput
from vidpred.explorer import schedule
from vidpred.explorer.library import Library
from vidpred.explorer.schedule_tab import ONLY_WITH, Handlers
from vidpred.presets import PRESETS

BUNDLED = schedule.__file__.replace("vidpred/explorer/schedule.py", "assets/runs")
PROGRAMS = {"train.svg": svg.main, "train.pose_cvae": pose_cvae.main}
CHANGES = {
    "short": {"epochs": 7, "iterations_per_epoch": 3, "kl_anneal_cycles": 2},
    "monotonic": {"kl_anneal": "monotonic", "kl_anneal_ratio": 0.25, "kl_anneal_shape": "sigmoid"},
    "none": {"kl_anneal": "none", "kl_anneal_value": 0, "beta_max": 1},
    "calibrated": {"kl_anneal": "calibrated"},
    "saw-tooth": {"kl_anneal_ratio": 1, "kl_anneal_start": 0.015, "kl_anneal_stop": 0.9, "kl_anneal_shape": "cosine"},
    "cycle length": {"kl_anneal_cycle_epochs": 3, "kl_anneal_per": "iteration"},
    "epochs": {"kl_anneal_per": "epoch", "epochs": 40, "kl_anneal_cycles": 3, "kl_anneal_cycle_epochs": 0},
    "linear": {"tfr": 1.0, "tfr_decay": "linear", "tfr_decay_start": 2, "tfr_mix": True},
    "every": {"tfr": 0.9, "tfr_decay": "every", "tfr_decay_start": 4, "tfr_decay_step": 0.2, "tfr_floor": 0.3},
    "coin": {"tfr": 0.5, "tfr_coin": "epoch", "tfr_decay_step": 1e-3},
}
BAD = [
    *[("epochs", value, "Epochs must be") for value in (0, 1.5, None, math.nan, "8", 10**9, True)],
    *[("kl_anneal", value, "from the list") for value in ("sawtooth", None, ["cyclical"], 3)],
    ("kl_anneal_cycles", 0, "Cycles must be"),
    ("kl_anneal_ratio", 0, "train.kl_anneal_ratio must lie in (0, 1]"),
    ("kl_anneal_ratio", 1.1, "Ramp share must be"),
    ("kl_anneal_cycles", 2000, "the rise of beta would take"),
    ("beta_max", -1, "beta_max must be"),
    ("beta_max", math.inf, "beta_max must be"),
    ("tfr", 2, "Ratio at the start must be"),
    ("tfr_mix", "on", "Mixing is on or off"),
    ("tfr_coin", "step", "from the list"),
    ("iterations_per_epoch", -1, "Iterations per epoch must be"),
]


@pytest.fixture(scope="module")
def bundled():
    return Library([BUNDLED], [])


@pytest.fixture
def design(library):
    """design("small", tfr=0.5): a preset with changes."""

    def made(start="small", **changes):
        values = schedule.values_of(schedule.start_config(library, start))
        return schedule.design(library, start, {**values, **changes})

    return made


def dry_run(command):
    """Settings that a command resolves to."""
    python, dash_m, module, *words = shlex.split(command)
    assert (python, dash_m) == ("python", "-m")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        PROGRAMS[module]([*words, "--dry-run"])
    return json.loads(printed.getvalue())


def without_learned(config):
    values = json.loads(json.dumps(config.to_dict()))
    for name in schedule.LEARNED:
        values["model"].pop(name, None)
    return values


def same(command, config):
    resolved = dry_run(command)
    for name in schedule.LEARNED:
        resolved["model"].pop(name, None)
    return resolved == without_learned(config)


@pytest.mark.parametrize("start", PRESETS)
def test_a_preset_needs_no_options(design, start):
    made = design(start)
    assert made.config == PRESETS[start]
    assert made.command.endswith(f"--out runs/mine --preset {start}")
    assert same(made.command, PRESETS[start])


@pytest.mark.parametrize("start", ["small", "svg", "pose", "report-dance-floor", "report-robot-learned-monotonic"])
@pytest.mark.parametrize("name", CHANGES)
def test_the_command_gives_the_settings_back(design, start, name):
    changes = {**({"kl_anneal_cycles": 2} if start == "small" else {}), **CHANGES[name]}
    made = design(start, **changes)
    for key, value in changes.items():
        assert getattr(made.config.train, key) == (value if key != "kl_anneal_cycle_epochs" else value or None)
    assert same(made.command, made.config)
    kept = {**PRESETS[start].to_dict()["train"], **changes}
    named = {
        word.removeprefix("--train.").removeprefix("no-") for word in shlex.split(made.command) if "--train." in word
    }
    changed = {
        k.replace("_", "-") for k, v in kept.items() if (v or None) != (getattr(PRESETS[start].train, k) or None)
    }
    assert named == changed  # exactly the options that differ


def test_a_run_starts_from_the_nearest_preset(bundled, library):
    for name in bundled.runs:
        start = schedule.PREFIX + name
        made = schedule.design(bundled, start, schedule.values_of(bundled.config(name)))
        assert made.preset == ("pose-small" if name.startswith("dance-") else "small")
        assert same(made.command, made.config)
    tiny = schedule.design(library, "run: tiny", schedule.values_of(library.config("tiny")))
    assert tiny.preset == "debug"
    assert same(tiny.command, library.config("tiny"))


def test_the_command_in_a_shell(design):
    made = design("report-dance-linear", epochs=32, tfr_mix=True, beta_max=1e-3)
    module, *words = shlex.split(made.command)[2:]
    done = run(module, *words, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["train"] == made.config.to_dict()["train"]


@pytest.mark.parametrize("start", PRESETS)
def test_curves_are_the_schedules_own(design, start):
    made = design(start)
    train, (height, width) = made.config.train, made.config.model.frame_size
    if not train.iterations_per_epoch:
        train = TrainConfig(**{**train.__dict__, "iterations_per_epoch": schedule.ONE_PASS})
    beta, forcing, sigma = (panel.lines[0] for panel in made.panels)
    for x, y, s in zip(beta.x, beta.y, sigma.y):
        assert y == schedules.beta_at(train, round(x * train.iterations_per_epoch))
        assert s == schedules.equivalent_sigma(y, 3 * height * width)
    assert list(forcing.y) == [schedules.tfr_at(train, epoch) for epoch in forcing.x]
    assert (forcing.x[0], forcing.x[-1]) == (0, train.epochs - 1)


def test_every_drop_of_beta_is_sharp(design):
    beta = design("svg", kl_anneal_cycles=7).panels[0].lines[0]
    drops = [(x0, x1) for x0, x1, y0, y1 in zip(beta.x, beta.x[1:], beta.y, beta.y[1:]) if y1 < y0]
    assert len(drops) == 6
    assert all((x1 - x0) * 600 == pytest.approx(1) for x0, x1 in drops)


def test_long_trainings_are_drawn_quickly(design):
    made = design("svg", epochs=100_000, kl_anneal_cycles=5000)
    assert all(len(panel.lines[0].x) < 1200 for panel in made.panels)
    assert same(made.command, made.config)


def test_sigma_in_words(design):
    assert "sigma 0.784" in design("svg").summary
    assert "12,288 numbers" in design("svg").summary
    assert "pixels hardly matter" not in design("svg").summary
    assert "6,144 numbers" in design("pose").summary
    assert "pixels hardly matter" in design("report-robot-fixed-cyclical").summary
    assert "no gradient" in design("report-robot-learned-cyclical").summary
    assert "one pass over the data" in design("pose").summary


@pytest.mark.parametrize(("field", "bad", "line"), BAD)
def test_bad_value_is_one_friendly_line_in_place(library, design, field, bad, line):
    with pytest.raises(BadInput) as error:
        design("small", **{field: bad})
    assert line in str(error.value)
    values = {**schedule.values_of(PRESETS["small"]), field: bad}
    kept, said, command = Handlers(library).design("small", **values)
    assert kept["__type__"] == "update" and "value" not in kept  # the last good curves stay
    assert line in said and "\n" not in said
    assert command == ""


def test_bad_combination(library):
    values = {**schedule.values_of(PRESETS["small"]), "tfr_decay": "every", "tfr_decay_start": 0}
    _, said, _ = Handlers(library).design("small", **values)
    assert "train.tfr_decay every needs train.tfr_decay_start of at least 1 epoch" in said


@pytest.mark.parametrize("start", [None, "nothing", "run: other", "run: ../tiny", ["small"], "run: "])
def test_bad_start(library, start):
    _, said, command = Handlers(library).design(start, **schedule.values_of(PRESETS["small"]))
    assert "from the list" in said and command == ""


def test_missing_values_are_told(library):
    assert "Epochs must be" in Handlers(library).design("small")[1]


def test_calibrated_beta_is_drawn_for_a_good_prediction_and_said_to_be(design):
    """sigma is then the root of the error: 10 ** (-25 / 20) at 25 dB, for either family's frames."""
    for start in ("small", "pose-small"):
        made = design(start, kl_anneal="calibrated")
        assert all(sigma == pytest.approx(0.0562, abs=1e-4) for sigma in made.panels[2].lines[0].y)
        assert "prediction of 25 dB" in made.summary and "While beta is 0" not in made.summary
        assert "--train.kl-anneal calibrated" in made.command


def test_widgets_follow_the_start(library):
    updates = dict(zip(schedule.FIELDS, Handlers(library).fill("report-dance-floor")))
    assert updates["tfr_decay"]["value"] == "every"
    assert updates["kl_anneal_cycle_epochs"]["value"] == 10
    assert updates["kl_anneal_cycles"]["visible"]
    assert not updates["kl_anneal_value"]["visible"]
    hidden = [
        name for name, update in zip(ONLY_WITH, Handlers(library).apply("none", "linear")) if not update["visible"]
    ]
    assert set(ONLY_WITH) - set(hidden) == {"beta_max", "kl_anneal_value"}


def test_wiring(demo):
    fn = next(fn for fn in demo.fns.values() if fn.name == "design")
    assert len(fn.inputs) == len(schedule.FIELDS) + 1
    starts = next(block for block in fn.inputs if block.label == "Start from")
    assert {value for _, value in starts.choices} == {*PRESETS, "run: tiny"}
