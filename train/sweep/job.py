"""One run of a sweep: how it is trained, and how it is scored afterwards."""

from pathlib import Path
from typing import NamedTuple

from train.sweep.table import Evaluation
from train.training_command import Command
from vidpred import runs


class Job(NamedTuple):
    """A training, and the evaluation that follows it (None: there is none)."""

    command: Command
    evaluation: Evaluation | None

    @property
    def out(self) -> Path:
        return self.command.out

    @property
    def epochs(self) -> int:
        """That the run has in the end."""
        return self.command.train.epochs

    def state(self, epochs: int) -> str:
        """Of a run that has so many epochs: finished, or unfinished."""
        is_scored = self.evaluation is None or (self.out / runs.EVAL).exists()
        return "finished" if epochs == self.epochs and is_scored else "unfinished"
