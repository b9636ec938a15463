"""How quickly batches are read."""

import tempfile
from pathlib import Path

import torch

from train.benchmark import harness
from train.benchmark.yardstick import PublishedClips
from train.cli import Json, require_at_least
from vidpred.config import DataConfig
from vidpred.data.batches import Clips, open_split, training_batch
from vidpred.data.layout import split_name
from vidpred.data.packed import PackedClips
from vidpred.data.shards import write_shards
from vidpred.errors import BadInput


def loader(
    data: Path = harness.CLIPS,
    split: str = "test",
    batch: int = 12,
    batches: int = 50,
    rounds: int = 3,
    json: Json = False,
) -> None:
    """Batches of 12-frame windows on one core, as they are handed to the training loop: PNG and CSV read item by item
    (floats, as published), packed clips and tar shards (bytes, which become floats on the device).

    Args:
        data: clips in the robot-push layout
        split: of the data
        batch: clips in a batch
        batches: in a turn of the project; the yardstick takes a tenth
        rounds: turns of each; medians are compared
    """
    require_at_least(1, rounds=rounds, batch=batch)
    require_at_least(10, batches=batches)
    config = DataConfig()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        packed = open_split(data, split, Path(folder) / "packed")
        if not isinstance(packed, PackedClips) or packed.has_poses or not packed.has_actions:
            raise BadInput(f"{data}: the published loader reads robot clips with actions, as pictures and CSV files")
        write_shards(packed, Path(folder) / "shards" / "test", 8)
        sharded = open_split(Path(folder) / "shards", "test")
        published = PublishedClips(data / split_name(split), config.length)

        few = batches // 10  # for the yardstick, which is slow

        def one_by_one() -> None:
            for i in range(few):
                published.batch(batch, i)

        def read(clips: Clips) -> None:
            for i in range(batches):
                training_batch(clips, config, batch, 0, i)

        def read_as_float() -> None:
            for i in range(batches):
                training_batch(packed, config, batch, 0, i).to_clip(config.n_past)

        ways = {"yardstick": one_by_one, "packed": lambda: read(packed), "shards": lambda: read(sharded)}
        times = harness.take_turns({**ways, "packed_as_float": read_as_float}, rounds, "loader")
        memory = harness.profile(ways["packed"], "cpu").memory
    torch.set_num_threads(threads)
    frames = batch * config.length
    result = {"device": harness.device_name("cpu"), "clips": len(packed), "batch": batch, "rounds": rounds}
    for way, seconds in times.items():
        result[f"{way}_frames_per_s"] = (few if way == "yardstick" else batches) * frames / seconds
    result["ratio"] = result["packed_frames_per_s"] / result["yardstick_frames_per_s"]
    result["ratio_as_float"] = result["packed_as_float_frames_per_s"] / result["yardstick_frames_per_s"]
    result["peak_memory_gb"] = memory
    harness.report(result, json)
