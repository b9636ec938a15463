"""Training: the only place with an optimizer."""

from vidpred.training.loop import train
from vidpred.training.memory import keep_freed_memory
from vidpred.training.optimizer import build_optimizer, interpolate_weights
from vidpred.training.settings import resolved_precision
from vidpred.training.state import Progress
from vidpred.training.step import Learner, StepResult, build_learner, train_step
from vidpred.training.validation import validate

__all__ = [
    "Learner",
    "Progress",
    "StepResult",
    "build_learner",
    "build_optimizer",
    "interpolate_weights",
    "keep_freed_memory",
    "resolved_precision",
    "train",
    "train_step",
    "validate",
]
