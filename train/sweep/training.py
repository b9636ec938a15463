"""One run of a sweep: what is refused beforehand, and what a process or a task of a cluster does."""

import contextlib
import dataclasses
import traceback
from collections.abc import Callable
from pathlib import Path

import torch

from train.cli import require_outside
from train.evaluate import evaluate_run
from train.sweep.job import Job
from train.training_command import run_training
from vidpred import runs
from vidpred.config import RunConfig
from vidpred.data.batches import Clips
from vidpred.data.layout import split_name
from vidpred.errors import BadInput
from vidpred.evaluation import frames_ahead, require_scorable
from vidpred.lock import held
from vidpred.training.checks import require_trainable

PATIENCE = 60.0  # seconds
ANEW = "delete its folder to train it anew (--fresh deletes all runs of the table)"


def require_ready(job: Job, open_split: Callable[..., Clips], fresh: bool) -> Job:
    """BadInput for what would end the training or the evaluation once it has begun: data, run folder, start of
    fine-tuning. Else the job, with the numbers of clips and frames that the clips give where the table does not."""
    command, evaluation = job
    if evaluation:
        clips = open_split(command.data, split_name(evaluation.split), command.cache)
        chosen = list(range(len(clips)))[: evaluation.clips]
        n_future = evaluation.n_future or frames_ahead(command.window, clips, chosen)
        require_scorable(clips, chosen, command.model, n_past=command.window.n_past, n_future=n_future)
        evaluation = dataclasses.replace(evaluation, clips=len(chosen), n_future=n_future)
    require_outside(command.data, command.out)
    training, validation = (open_split(command.data, split, command.cache) for split in ("train", "validate"))
    config = RunConfig(command.model, command.window, command.train)
    try:
        require_trainable(command.out, config, training, validation, fresh=fresh)
    except BadInput as error:
        raise BadInput(_of_a_table(error)) from None
    return Job(command, evaluation)


def _of_a_table(error: BadInput) -> str:
    """What is wrong with one run of a sweep. What a training advises is for a run alone: --fresh would delete all."""
    said = " ".join(str(error).split()).replace("--train.init ", "train.init ")
    return said.replace("use --fresh to start over", ANEW).replace("--fresh to start over", ANEW)


def log_of(run: Path) -> Path:
    """The file of all that a run's training says; it stands beside the run folder, which may not be there yet."""
    return run.with_name(f"{run.name}.log")


def last_line(run: Path) -> str:
    """The end of what a training said: after a failure, its cause."""
    said = log_of(run).read_text().strip() if log_of(run).exists() else ""
    return said.splitlines()[-1] if said else "it said nothing"


def train_logged(job: Job) -> bool:
    """Train and evaluate on one thread, everything that is said to the log. False when it failed."""
    command = job.command
    torch.set_num_threads(1)
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(open(log_of(command.out), "a", buffering=1))  # line by line
        stack.enter_context(contextlib.redirect_stdout(log))
        stack.enter_context(contextlib.redirect_stderr(log))
        try:
            with held(command.out, PATIENCE):  # what an earlier sweep began may still be saving
                pass
            run_training(command, show_progress=False)
            epochs = len(runs.read_metrics(job.out))
            if epochs == job.epochs and job.state(epochs) == "unfinished":
                places = {"cache": command.cache, "cpu": command.cpu}
                evaluate_run(job.out, command.data, **job.scoring, **places)
            return True
        except BadInput as error:
            print(_of_a_table(error))
        except KeyboardInterrupt:  # asked twice, or outside training
            print("stopped at once: it goes on from the last state that was saved")
            return True
        except Exception:
            traceback.print_exc()
    return False
