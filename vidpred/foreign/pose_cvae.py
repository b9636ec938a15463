"""The pose CVAE as the dance trainers save it: a dictionary of tensors, five modules one after the other."""

from dataclasses import replace
from typing import Any

from vidpred.config import DanceDataConfig, PoseCVAEConfig, RunConfig, TrainConfig
from vidpred.errors import BadInput
from vidpred.foreign.inert import StoredTensor
from vidpred.foreign.layers import Layer, grouped
from vidpred.presets import preset

PARTS = 5


def is_state(value: Any) -> bool:
    """Whether a value is a dictionary of tensors by their names."""
    return isinstance(value, dict) and bool(value) and all(isinstance(v, StoredTensor) for v in value.values())


def read(saved: dict[str, Any]) -> tuple[RunConfig, dict[str, list[Layer]]]:
    """Settings, and the layers of each part of our model. A state dictionary tells no activation: the slope 1 of the
    published LeakyReLU(True) and the sigmoid at the end are taken for granted."""
    state = saved["state_dict"]
    layers = grouped(state, "state_dict")
    names = [layer.name.split(".") for layer in layers]
    depth = 0  # of what stands before all names: state_dict, module of a wrapper
    while len({tuple(name[: depth + 1]) for name in names}) == 1 and min(map(len, names)) > depth + 1:
        depth += 1
    parts: dict[str, list[Layer]] = {}
    for layer, name in zip(layers, names):
        parts.setdefault(".".join(name[: depth + 1]), []).append(layer)
    if len(parts) != PARTS:
        raise BadInput(f"state_dict holds {len(parts)} modules, the published network has {PARTS}")
    found = _told_apart(parts)
    model = PoseCVAEConfig(
        frame_dim=_outputs(found["frame_encoder"][-1]),
        pose_dim=_outputs(found["pose_encoder"][2]),
        z_channels=_outputs(found["gaussian_predictor"][-1]) // 2,
        fusion_dim=_outputs(found["fusion"][-1]),
        leaky_relu="published",
    )
    return RunConfig(model, DanceDataConfig(), _training(saved)), found


def _told_apart(parts: dict[str, list[Layer]]) -> dict[str, list[Layer]]:
    """Which module is which, by the kernels of their first and the channels of their last layers."""
    found: dict[str, list[Layer]] = {}
    for name, layers in parts.items():
        kernels = [tuple(layer.tensors["weight"].shape) for layer in layers if "weight" in layer.tensors]
        if len(kernels) < 3 or len(kernels[0]) != 4 or not kernels[-1]:
            raise BadInput(f"{name} is none of the published network's modules")
        ours = "fusion"
        if kernels[0][3] == 7:
            ours = "pose_encoder"
        elif kernels[0][3] == 3:
            ours = "frame_encoder" if kernels[0][1] == 3 else "gaussian_predictor"
        elif kernels[-1][0] == 3:
            ours = "generator"
        if ours in found:
            raise BadInput(f"{name} and {found[ours][0].name} are of one kind; the published network has one of each")
        found[ours] = layers
    return found


def _outputs(layer: Layer) -> int:
    shape = tuple(getattr(layer.tensors.get("weight"), "shape", ()))
    if len(shape) != 4:
        raise BadInput(f"{layer.name} is no convolution, the published network has one there")
    return shape[0]


def _training(saved: dict[str, Any]) -> TrainConfig:
    """What the file tells of where the training stood."""
    train = replace(preset("pose").train, lr_decay="none", kl_anneal="none")
    for theirs, ours, first in (("lr", "lr", 0), ("tfr", "tfr", 0), ("last_epoch", "epochs", 1)):
        value = saved.get(theirs)
        if type(value) in (int, float) and abs(value) < 1e9:
            try:
                train = replace(train, **{ours: type(getattr(train, ours))(value) + first})
            except BadInput:
                continue
    return train
