"""Layers of a foreign module in the order in which they were built, and how they fit the layers of one of ours."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from torch import Tensor, nn

from vidpred.errors import BadInput
from vidpred.foreign.inert import Shell, StoredTensor
from vidpred.models.batch_norm import EPS

MOST_LAYERS = 2000
LONGEST_NAME = 300  # of a layer or of a tensor
DEEPEST = 30  # modules inside modules
ACTIVATIONS = ("ReLU", "ELU", "GELU", "SiLU", "Tanh", "Sigmoid", "Softplus", "PReLU", "Hardtanh", "ReLU6", "LeakyReLU")
SETTINGS = ("stride", "padding", "output_padding", "dilation", "groups", "padding_mode", "bidirectional", "batch_first")
COUNTER = "num_batches_tracked"


class Layer(NamedTuple):
    """A module with tensors of its own, or one without parts.

    kind: its class; "" where only names are known. settings: its attributes. tensors: by their names in it.
    """

    name: str
    kind: str
    settings: dict[str, Any]
    tensors: dict[str, StoredTensor | Tensor]


def layers_of(value: Any, name: str) -> list[Layer]:
    """Of a whole module or of its state dictionary; the cells of a recurrent net are one layer."""
    if isinstance(value, Shell):
        layers = []
        for layer in _walk(value, name, 0):
            layers.append(layer)
            if len(layers) > MOST_LAYERS:
                raise BadInput(f"{name} has more layers than any published network")
    elif isinstance(value, dict):
        layers = grouped(value, name)
    else:
        raise BadInput(f"{name} is neither a module nor its state dictionary")
    return _with_one_recurrent_layer(layers)


def grouped(state: dict[str, Any], name: str) -> list[Layer]:
    """Layers of a state dictionary."""
    tensors: dict[str, dict[str, Any]] = {}
    _require_names(state, name)
    for key, value in state.items():
        if isinstance(key, str) and isinstance(value, (StoredTensor, Tensor)):
            place, _, leaf = f"{name}.{key}".rpartition(".")
            if leaf != COUNTER:
                tensors.setdefault(place, {})[leaf] = value
    return [Layer(place, "", {}, found) for place, found in tensors.items()]


def fit(
    model: nn.Module, place: str, layers: list[Layer], activation: Callable[[str], str] | None = None
) -> dict[str, StoredTensor]:
    """{name of ours: tensor of theirs} for the part of a model that stands at `place`, layer by layer in order.

    BadInput names the first layer that has another shape or works otherwise: strides, padding, epsilon of
    normalisation and, by `activation` (name of our layer -> "Tanh" or "LeakyReLU(0.2)"), what follows it.
    """
    own = _with_one_recurrent_layer(grouped(model.get_submodule(place).state_dict(), place))
    theirs = [layer for layer in layers if layer.tensors]
    found: dict[str, StoredTensor] = {}
    for ours, layer in zip(own, theirs):
        if layer.tensors.keys() != ours.tensors.keys():
            there, expected = (", ".join(sorted(side.tensors)) for side in (layer, ours))
            raise BadInput(f"{layer.name} has {there}; the published network has {expected} there")
        for leaf, tensor in layer.tensors.items():
            if tuple(tensor.shape) != (shape := tuple(ours.tensors[leaf].shape)):
                raise BadInput(f"{layer.name}.{leaf} is {tuple(tensor.shape)}, the published network has {shape} there")
            found[f"{ours.name}.{leaf}"] = tensor
        _require_settings(layer, model.get_submodule(ours.name))
    if len(own) != len(theirs):
        raise BadInput(f"{place} has {len(theirs)} layers with weights, the published network {len(own)}")
    if activation is not None:
        names, last = iter(own), ""
        for layer in layers:
            if layer.tensors:
                last = next(names).name
            elif (given := _activation(layer)) and last and given != (expected := activation(last)):
                raise BadInput(f"{layer.name} is {given}, the published network has {expected or 'none'} there")
    return found


def _walk(module: Shell, name: str, depth: int) -> Iterator[Layer]:
    if depth > DEEPEST:
        raise BadInput(f"{name.split('.')[0]} has modules inside modules without end")
    state = module.state
    own, parts = {}, state.get("_modules")
    for values in (state.get("_parameters"), state.get("_buffers")):
        if isinstance(values, dict):
            _require_names(values, name)
            own |= {leaf: v for leaf, v in values.items() if isinstance(v, StoredTensor) and leaf != COUNTER}
    parts = parts if isinstance(parts, dict) else {}
    _require_names(parts, name)
    parts = {key: part for key, part in parts.items() if isinstance(part, Shell)}
    if own or not parts:
        yield Layer(name, module.path.rpartition(".")[2], state, own)
    for key, part in parts.items():
        yield from _walk(part, f"{name}.{key}", depth + 1)


def _require_names(values: dict[str, Any], name: str) -> None:
    """BadInput for what would make every name, or every look, endless."""
    if len(values) > 4 * MOST_LAYERS or any(len(str(key)) > LONGEST_NAME for key in values):
        raise BadInput(f"{name.split('.')[0]} has more layers, or longer names, than any published network")


def _with_one_recurrent_layer(layers: list[Layer]) -> list[Layer]:
    """LSTM cells one after the other as the one LSTM of several layers that they are."""
    merged: list[Layer] = []
    cells = 0
    for layer in layers:
        if "weight_ih" not in layer.tensors:
            merged.append(layer)
            continue
        cells = cells + 1 if merged and merged[-1].kind == "cells" else 1
        tensors = {f"{leaf}_l{cells - 1}": tensor for leaf, tensor in layer.tensors.items()}
        if cells == 1:
            merged.append(Layer(layer.name, "cells", {}, tensors))
        else:
            merged[-1].tensors.update(tensors)
    return merged


def _require_settings(layer: Layer, ours: nn.Module) -> None:
    """BadInput for a layer of the right shape that computes something else."""
    for name in SETTINGS:
        if name in layer.settings and hasattr(ours, name) and layer.settings[name] != getattr(ours, name):
            there, expected = layer.settings[name], getattr(ours, name)
            raise BadInput(f"{layer.name} has {name} {_brief(there)}, the published network {expected}")
    if "running_var" in layer.tensors and layer.settings.get("eps", EPS) != EPS:
        raise BadInput(f"{layer.name} has eps {_brief(layer.settings['eps'])}, the published network {EPS}")


def _activation(layer: Layer) -> str:
    """A layer's name with its slope, where it is an activation; else nothing."""
    if layer.kind not in ACTIVATIONS:
        return ""
    slope = layer.settings.get("negative_slope")
    return f"{layer.kind}({_brief(slope)})" if layer.kind == "LeakyReLU" else layer.kind


def _brief(value: Any) -> str:
    """A number or a few of them; nothing else of a foreign file is written out."""
    plain = value if isinstance(value, tuple) and len(value) <= 4 else (value,)
    if not all(type(v) in (int, float, bool) and abs(v) < 1e9 for v in plain):
        return "of another kind"
    return str(value)
