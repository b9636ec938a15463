"""What a process is forked from: everything is imported, and nothing has been trained."""

import accelerate  # noqa: F401
import filelock  # noqa: F401
import torch

from tests.trust import faults, work  # noqa: F401
from vidpred.models import build_model
from vidpred.presets import preset
from vidpred.training import loop  # noqa: F401

torch.set_num_threads(1)
with torch.random.fork_rng():
    build_model(preset("debug").model)
