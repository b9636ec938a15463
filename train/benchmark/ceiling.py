"""What can be known of an action-free future: `python -m train.benchmark ceiling`.

The physics itself predicts, knowing everything but where the arm is going: the score that a perfect model would have.
"""

from pathlib import Path

import torch
from tqdm import tqdm

from train.benchmark import harness
from train.cli import Json, require_at_least
from vidpred.config import ACTION_DIM, DataConfig
from vidpred.data.batches import open_split, window_batch
from vidpred.errors import BadInput
from vidpred.evaluation import Scores, score
from vidpred.frames import to_float
from vidpred.simulate.robot_push.pusher import PLANS, possible_futures
from vidpred.simulate.robot_push.scene import scene_of
from vidpred.simulate.robot_push.simulation import RobotSimulation


def ceiling(
    data: Path = harness.CLIPS, split: str = "test", samples: int = 20, clips: int = 32, json: Json = False
) -> None:
    """Futures by the simulator under other plans of the arm that fit the context, scored as a run's are.

    Args:
        data: simulated clips in the robot-push layout
        split: of the data
        samples: futures of each clip
        clips: that are scored, the first ones
    """
    require_at_least(1, samples=samples, clips=clips)
    if samples > PLANS:
        raise BadInput(f"--samples must be at most {PLANS}, got {samples}")
    given, config = open_split(data, split), DataConfig()
    scored = []
    with RobotSimulation() as simulator:
        for index in tqdm(range(min(clips, len(given))), unit="clip"):
            scene = scene_of(data / given.ids[index])
            if scene is None:
                raise BadInput(f"{data / given.ids[index]}: not a simulated clip")
            batch = window_batch(given, [index], config.length)
            actions = batch.conditions[0, : config.n_past - 1, :ACTION_DIM].numpy()
            frames = possible_futures(simulator, scene, actions, config.n_future, samples)
            clip = batch.to_clip(config.n_past)
            scored.append(score(to_float(torch.from_numpy(frames))[:, None], clip, "finn"))
    *parts, _ = zip(*scored)
    scores = Scores(*(torch.cat(part, -2) for part in parts), {})
    harness.report({"clips": len(scored), "samples": samples, "protocol": "finn", **harness.summary(scores)}, json)
