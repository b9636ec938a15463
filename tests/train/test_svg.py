"""The training command: bad input, dry run, Ctrl-C."""

import json
import signal
from dataclasses import replace

import pytest

from tests.commands import fails, succeeds
from train.svg import main
from train.training_command import describe, unlike_start
from vidpred import runs
from vidpred.presets import preset

TINY = ["--preset", "debug", "--cpu", "--train.gif-every", "0", "--data.n-future", "4"]
TINY += ["--train.iterations-per-epoch", "4", "--train.kl-anneal", "none", "--train.validation-clips", "1"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "missing: --data"),
        (["--data", "nowhere", "--out", "OUT"], "nowhere: no such folder of clips"),
        (["--data", "DATA", "--out", "OUT", "--preset", "huge"], "unknown preset 'huge'"),
        (["--data", "DATA", "--out", "OUT", "--preset"], "--preset: expected one argument"),
        (["--data", "DATA", "--out", "OUT", "--train.lr", "fast"], "--train.lr"),
        (["--data", "DATA", "--out", "OUT", "--train.precision", "fp16"], "--train.precision"),
        (["--data", "DATA", "--out", "OUT", "--train.lr", "nan"], "train.lr must not be negative"),
        (["--data", "DATA", "--out", "OUT", "--train.epochs", "0"], "train.epochs must be at least 1"),
        (["--data", "DATA", "--out", "OUT", "--model.wdith", "3"], "Unrecognized options"),
        (["--data", "DATA", "--out", "OUT", "--data.n-future", "40"], "42 are needed"),
        (["--data", "DATA", "--out", "OUT", "--preset", "debug", "--train.kl-anneal-cycles", "60"], "rise of beta"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(tiny_data, tmp_path, arguments, said):
    out = tmp_path / "run"
    line = fails("train.svg", *({"DATA": tiny_data, "OUT": out}.get(a, a) for a in arguments))
    assert said in line
    assert not out.exists()


def test_dry_run_prints_the_settings_and_writes_nothing(tiny_data, tmp_path):
    out = tmp_path / "run"
    said = succeeds(
        "train.svg", "--data", tiny_data, "--out", out, "--preset", "small", "--model.z-dim", "9", "--dry-run"
    )
    settings = json.loads(said)
    assert (settings["model"]["z_dim"], settings["model"]["width"]) == (9, 16)
    assert not out.exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "beta cyclical to 0.0001 (a Gaussian decoder with sigma 0.78)"),
        ({"kl_anneal": "monotonic", "kl_anneal_stop": 0.01}, "beta monotonic to 1e-06 (a Gaussian decoder with sigma"),
        ({"kl_anneal": "none", "kl_anneal_value": 0.0}, "beta 0 throughout (a Gaussian decoder with sigma 0)"),
        ({"kl_anneal": "none", "kl_anneal_stop": 0.0}, "beta 0.0001 throughout ("),
        ({"kld_reduction": "length"}, "beta cyclical to 0.0001 (a Gaussian decoder with sigma 0.78)"),
        ({"kld_reduction": "length", "batch_size": 48}, "sigma 1.6)"),  # 12 frames: the KL counts four times
        ({"gradient_weight": 2.0}, "beta cyclical to 0.0001; beside the MSE 0 x l1, 2 x gradient"),
        ({"kl_anneal": "calibrated"}, "beta calibrated: 2 MSE / D as the training goes"),
    ],
)
def test_the_line_before_training_names_the_beta_that_is_used(changes, said):
    start = preset("svg")
    assert said in describe(replace(start, train=replace(start.train, **changes)))


def test_a_start_that_was_another_network_is_told():
    """Sizes that differ are refused; what changes no size would be loaded without a word."""
    start = preset("debug")
    moments = {"condition_mean": (0.0,) * 7, "condition_scale": (1.0,) * 7}
    ours = replace(start, train=replace(start.train, init="theirs"))
    theirs = replace(start, model=replace(start.model, **moments))
    assert unlike_start(ours, theirs) == []
    theirs = replace(start, model=replace(theirs.model, skip_frame="published"))
    assert unlike_start(ours, theirs) == ["theirs was trained with model.skip_frame published (here last_context)"]


@pytest.mark.parametrize("command", ["svg", "pose_cvae", "evaluate", "generate", "export"])
def test_help_writes_none_as_options_take_it(command):
    said = " ".join(succeeds(f"train.{command}", "--help").split())
    assert "(None: " in said and "(none: " not in said


def test_an_option_can_be_put_back_to_none(tmp_path):
    options = ["--train.grad-clip", "1", "--train.grad-clip", "None", "--speed.cuda-graphs", "None", "--cache", "None"]
    said = succeeds("train.svg", "--data", tmp_path, "--out", tmp_path / "run", "--dry-run", *options)
    assert json.loads(said)["train"]["grad_clip"] is None


def test_reads_the_training_and_the_validation_split_alone(tiny_data, tmp_path):
    """The best checkpoint may not be chosen on the test split."""
    options = [*TINY, "--train.epochs", "1", "--cache", tmp_path / "cache"]
    succeeds("train.svg", "--data", tiny_data, "--out", tmp_path / "run", *options)
    (packed,) = (tmp_path / "cache").iterdir()
    assert {path.name for path in packed.iterdir()} == {"train", "validate"}
    index = json.loads((packed / "validate" / "index.json").read_text())
    assert all(clip.startswith("validate/") for clip in index["ids"])


def test_ctrl_c_saves_and_the_same_command_finishes(tiny_data, tmp_path, monkeypatch, capsys):
    """Ctrl-C comes when the first epoch's row has been written: nothing is waited for."""
    out, write = tmp_path / "run", runs.write_metrics
    command = ["--data", str(tiny_data), "--out", str(out), *TINY, "--json"]

    def interrupted(run, rows):
        write(run, rows)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(runs, "write_metrics", interrupted)
    main(command)
    said = capsys.readouterr().out
    assert "the same command resumes" in said
    last = json.loads(said.splitlines()[-1])
    assert (last["finished"], last["epochs"]) == (False, 1)
    monkeypatch.undo()
    main(command)
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {
        **{"run": str(out), "finished": True, "epochs": 4},
        "best_val_psnr": max(row["val_psnr"] for row in runs.read_metrics(out)),
    }


def test_steps_that_were_skipped_are_told(tiny_data, tmp_path):
    diverging = (*TINY, "--train.epochs", "1", "--train.optimizer", "sgd", "--train.lr", "1e30")
    said = succeeds("train.svg", "--data", tiny_data, "--out", tmp_path / "run", *diverging)
    row = runs.read_metrics(tmp_path / "run")[-1]
    assert row["skipped_steps"] > 0
    skipped = (
        f"{row['skipped_steps']} of {row['step']} steps were skipped, because the loss or its gradient was not finite"
    )
    assert f"{skipped}: lower --train.lr" in said


def test_tensorboard_logs_every_epoch(tiny_data, tmp_path):
    out = tmp_path / "run"
    succeeds("train.svg", "--data", tiny_data, "--out", out, *TINY, "--train.epochs", "1", "--tensorboard")
    assert list((out / "tensorboard").rglob("events.out.tfevents.*"))
