"""One run of a sweep: how it is trained, and how it is scored afterwards."""

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

from train.sweep.table import Evaluation
from train.training_command import Command
from vidpred import runs
from vidpred.data.layout import split_name
from vidpred.errors import BadInput


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

    @property
    def scoring(self) -> dict[str, Any]:
        """How `train.evaluate` scores the run, by its options."""
        fixed = {"n_past": self.command.window.n_past, "temperature": 1.0, "seed": 0, "precision": "no"}
        return dataclasses.asdict(self.evaluation) | fixed

    def state(self, epochs: int) -> str:
        """Of a run that has so many epochs: finished, or unfinished."""
        whole = epochs == self.epochs and (self.out / runs.WEIGHTS).exists()
        return "finished" if whole and self._is_scored() else "unfinished"

    def _is_scored(self) -> bool:
        """Whether eval.json says that it was made as the table asks; one that is damaged does not."""
        if self.evaluation is None:
            return True
        try:
            scores = runs.read_eval(self.out) or {}
        except BadInput:
            return False
        asked = self.scoring | {"split": split_name(self.evaluation.split)}
        other_prior = runs.other_prior(self.command.model, scores.get("prior_at_test"))
        return scores | asked == scores and other_prior is None
