"""What is interrupted: functions of a module, which another process can find."""

from train import evaluate, export, generate
from train.cli import one_line_errors, run_command
from train.findings.__main__ import find
from train.prepare.__main__ import main as prepare
from train.sweep.__main__ import sweep
from vidpred.data.batches import open_split
from vidpred.explorer.export import site
from vidpred.files import remove_unfinished, replaced_together
from vidpred.lock import held
from vidpred.onnx_export import write_export
from vidpred.training.loop import train


def together(folder, number, names=("a", "b", "c"), old=()):
    """Files and a folder of that number in the places of earlier ones; c says that all are there."""
    remove_unfinished(folder, "c")
    with replaced_together(folder, "c", old) as building:
        for name in names:
            (building / name).write_text(number)
        (building / "folder").mkdir()
        (building / "folder" / number).write_text(number)


def onnx_written(out, graphs, values):
    """What train.export writes, without the tracing."""
    with one_line_errors("train.export"), held(out):
        remove_unfinished(out)
        write_export(out, graphs, values)


def site_written(out, run, data):
    """vidpred.explorer.export of a clip of a run, without the models."""
    site.main([str(out), "--runs", str(run), "--data", str(data), "--clips", "1", "--stored-only"])


def training(run, settings, data, fresh=False):
    """A training as the command does it, with the command's errors."""
    with one_line_errors("train"):
        splits = (open_split(data, split) for split in ("train", "validate"))
        train(run, settings, *splits, fresh=fresh, cpu=True, show_progress=False)


def prepared(*words):
    """A command of train.prepare."""
    prepare([str(word) for word in words])


def evaluated(*words):
    """train.evaluate."""
    run_command(evaluate.evaluate_run, "python -m train.evaluate", [str(word) for word in words])


def exported(*words):
    """train.export."""
    run_command(export.export, "python -m train.export", [str(word) for word in words])


def generated(*words):
    """train.generate."""
    run_command(generate.generate, "python -m train.generate", [str(word) for word in words])


def found(*words):
    """train.findings."""
    run_command(find, "python -m train.findings", [str(word) for word in words])


def swept(*words):
    """train.sweep."""
    run_command(sweep, "python -m train.sweep", [str(word) for word in words])
