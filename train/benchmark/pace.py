"""What a step and a predicted frame of the candidates of `train.benchmark quality` cost."""

import torch

from train.benchmark import harness
from train.benchmark.candidates import settings
from train.benchmark.training_step import project_step, random_batch
from train.cli import Json, require_at_least
from vidpred.clip import Clip
from vidpred.config import RunConfig
from vidpred.models import build_model
from vidpred.models.batch_norm import merge_batch_norm
from vidpred.rollout import predict

SAMPLES = 20


def pace(
    candidates: tuple[str, ...] = ("first", "batch-4", "free-map", "map"), rounds: int = 5, json: Json = False
) -> None:
    """A training step, teacher forced and free running, and a predicted frame of 20 futures, on one thread of a CPU.

    Args:
        candidates: of train.benchmark quality, or presets of SVG
        rounds: turns of each; medians are compared
    """
    require_at_least(1, rounds=rounds)
    configs = {name: settings(name) for name in candidates}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        result = {"device": harness.device_name("cpu"), "torch": torch.__version__, "rounds": rounds}
        harness.report(result | {name: _cost(name, config, rounds) for name, config in configs.items()}, json)
    finally:
        torch.set_num_threads(threads)


def _cost(name: str, config: RunConfig, rounds: int) -> dict[str, float]:
    """Seconds of the two steps, milliseconds of a predicted frame, and clips in a batch."""
    batch, given, ahead = config.train.batch_size, config.data.n_past, config.data.n_future
    shape = (config.model, batch, given + ahead, "cpu")
    model = build_model(config.model).eval()
    merge_batch_norm(model)
    frames, conditions = random_batch(model.z_shape, 1, given + ahead, "cpu")[0][:2]
    clip = Clip(frames[:, :given], conditions, given)
    works = {
        "teacher_forced_s": project_step(*shape, "truth", "no"),
        "free_running_s": project_step(*shape, "prediction", "no"),
        "predicted_frame_ms": lambda: predict(model, clip, ["clip"], n_future=ahead, samples=SAMPLES),
    }
    seconds = harness.take_turns(works, rounds, name)
    seconds["predicted_frame_ms"] *= 1000 / (SAMPLES * ahead)
    return {"batch": batch} | seconds
