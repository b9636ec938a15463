"""The schedule designer: curves are those of vidpred.schedules, and the command gives the very settings back."""

import contextlib
import io
import json
import shlex

import pytest

from tests.commands import run
from train import pose_cvae, svg
from vidpred import schedules
from vidpred.config import TrainConfig
from vidpred.errors import BadInput
from vidpred.explorer.training import schedule
from vidpred.presets import PRESETS

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
    for trained in bundled.all_runs():
        made = schedule.design(bundled, schedule.PREFIX + trained.name, schedule.values_of(trained.config))
        own = {
            ("push-free", "bounce"): "tiny-free",
            ("long-push-free",): "small-free",
            ("push-learned", "push-fixed", "long-push-learned"): "small",
            ("dance",): "pose-small",
        }
        (expected,) = [name for starts, name in own.items() if trained.name.startswith(starts)]
        assert made.preset == expected
        assert same(made.command, made.config)
    tiny = library.run("tiny").config
    made = schedule.design(library, "run: tiny", schedule.values_of(tiny))
    assert made.preset == "debug"
    assert same(made.command, tiny)


def test_the_command_names_no_folder_that_is_not_there(bundled):
    start = schedule.PREFIX + "long-push-learned-cyclical"
    made = schedule.design(bundled, start, schedule.values_of(schedule.start_config(bundled, start)))
    assert "train.init" not in made.command
    assert "went on from the weights of long-push-learned-cyclical: add `--train.init`" in made.summary


def test_forcing_after_a_plateau_is_said(design):
    assert "again from 1 on wherever validation" in design("report-dance-plateau").summary
    assert "plateau" not in design("report-dance-linear").summary


def test_a_run_of_bouncing_shapes_is_trained_on_such_clips(bundled):
    for name, data in (("bounce-learned-monotonic", "data/bounce"), ("push-free-learned-none", "data/robot")):
        start = schedule.PREFIX + name
        values = schedule.values_of(schedule.start_config(bundled, start))
        assert f"--data {data} " in schedule.design(bundled, start, values).command


def test_what_does_not_apply_stays_as_it_was_where_it_makes_no_sense(design):
    """Its field is hidden, so that nobody could mend it."""
    assert design("small", kl_anneal="none", kl_anneal_cycles=0) == design("small", kl_anneal="none")
    with pytest.raises(BadInput, match="Cycles must be a whole number from 1"):
        design("small", kl_anneal="cyclical", kl_anneal_cycles=0)


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


def test_calibrated_beta_is_drawn_for_a_good_prediction_and_said_to_be(design):
    """sigma is then the root of the error: 10 ** (-25 / 20) at 25 dB, for either family's frames."""
    for start in ("small", "pose-small"):
        made = design(start, kl_anneal="calibrated")
        assert all(sigma == pytest.approx(0.0562, abs=1e-4) for sigma in made.panels[2].lines[0].y)
        assert "prediction of 25 dB" in made.summary and "While beta is 0" not in made.summary
        assert "--train.kl-anneal calibrated" in made.command
