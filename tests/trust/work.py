"""What is interrupted: functions of a module, which another process can find."""

from train import evaluate, export, generate, prepare
from train.cli import one_line_errors, run_command
from train.sweep.__main__ import sweep
from vidpred.data.batches import open_split
from vidpred.training import train


def training(run, settings, data, fresh=False):
    """A training as the command does it, with the command's errors."""
    with one_line_errors("train"):
        splits = (open_split(data, split) for split in ("train", "validate"))
        train(run, settings, *splits, fresh=fresh, cpu=True, show_progress=False)


def prepared(*words):
    """A command of train.prepare."""
    prepare.main([str(word) for word in words])


def evaluated(*words):
    """train.evaluate."""
    run_command(evaluate.evaluate_run, "python -m train.evaluate", [str(word) for word in words])


def exported(*words):
    """train.export."""
    run_command(export.export, "python -m train.export", [str(word) for word in words])


def generated(*words):
    """train.generate."""
    run_command(generate.generate, "python -m train.generate", [str(word) for word in words])


def swept(*words):
    """train.sweep."""
    run_command(sweep, "python -m train.sweep", [str(word) for word in words])
