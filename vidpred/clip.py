"""What a model is given: frames and what is known about each step."""

from typing import NamedTuple

from torch import Tensor


class Clip(NamedTuple):
    """A batch of clips, or the context of one.

    frames: (B, T, C, H, W), floats in [0, 1]. For generation only the n_past given frames need to be there, so that
        nothing can look at the frames that are to be predicted.
    conditions: what is known about each frame: (B, T, 7) numbers (action and gripper position), (B, T, C, H, W) pose
        pictures in [0, 1], or None for action-free models. They may reach further than the frames.
    n_past: number of context frames.
    """

    frames: Tensor
    conditions: Tensor | None
    n_past: int
