"""Weights as safetensors. Nothing is ever unpickled."""

import math
import os
import re
from pathlib import Path
from typing import NamedTuple

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from vidpred import runs
from vidpred.config import LONGEST_SHOWN, ModelConfig, RunConfig, shown
from vidpred.errors import BadInput, in_one_line
from vidpred.files import replaced, require_file
from vidpred.models import Model, build_model, count_parameters
from vidpred.models.batch_norm import merge_batch_norm

# What a run folder may ask for that a stranger hands in: a server loads it, and answers others meanwhile.
MAX_PARAMETERS = 40_000_000
MAX_SIZE = 4096  # of a layer
MAX_LAYERS = 8  # of an LSTM: cheap in parameters, slow to build and to run
LARGE = 256  # size of a layer; no larger one has been published
MOST_LAYERS = 1000  # of an LSTM of one's own: they are made one by one
MAX_LATENT = 2**17  # numbers in a step's z: the noise of a long future is drawn at once
MAX_HEADER = 2**20  # bytes; parsing one of 88 MB takes 9 seconds and 1.1 GB
DTYPES = {"F32", "F16", "BF16"}  # of weights; what is finite in another may not be so in float32


def save_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Named tensors to a safetensors file, atomically."""
    with replaced(path) as temporary:
        # a copy each: safetensors refuses views that share memory, and channels-last is not its layout
        copies = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
        try:
            safetensors.torch.save_file(copies, temporary)
        except safetensors.SafetensorError as error:  # no OSError where the disk is full
            number = re.search(r"os error (\d+)", str(error))
            if number is None:
                raise
            raise OSError(int(number[1]), os.strerror(int(number[1]))) from None


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Named tensors of a safetensors file, on the CPU."""
    try:
        _require_short_header(path)
        return safetensors.torch.load_file(path)
    except FileNotFoundError:
        raise BadInput(f"{path}: missing") from None
    except (OSError, safetensors.SafetensorError) as error:
        raise BadInput(f"{path}: not a safetensors file ({error})") from None


def save_weights(path: Path, model: nn.Module, dtype: torch.dtype | None = None) -> None:
    """A model's parameters, as `dtype` where one is given, and its running statistics as they are."""
    parameters = {name: p if dtype is None else p.to(dtype) for name, p in model.named_parameters()}
    save_tensors(path, {**model.state_dict(), **parameters})


def load_weights(path: Path, model: nn.Module) -> None:
    """Put saved weights into a model; the first one that does not fit, or is not finite, is named."""
    tensors = load_tensors(path)
    _require_shapes(path, model, {name: tuple(value.shape) for name, value in tensors.items()})
    for name, own in model.state_dict().items():
        if not torch.isfinite(tensors[name].to(own.dtype)).all():  # of 64 bits, not all are finite in 32
            raise BadInput(f"{path}: {name} holds values that are not finite")
        if name.endswith("running_var") and (tensors[name] < 0).any():
            raise BadInput(f"{path}: {name} holds a variance below 0")
    model.load_state_dict(tensors)


def load_trained(run: Path, config: RunConfig | None = None) -> nn.Module:
    """The best model of a run with its weights as they were trained, in eval mode and float32. config: the run's, where
    it has been read already."""
    config, path = config or runs.read_config(run), Path(run) / runs.WEIGHTS
    if is_large(config.model):
        require_weights(path, config.model)
    model = build_model(config.model).float().eval()  # whatever torch's default type is
    load_weights(path, model)
    return model


def require_weights(path: Path, config: ModelConfig) -> None:
    """BadInput unless a file holds the weights of a model, as far as names, shapes and length say. Makes no model: one
    that no memory could hold has no such file."""
    try:
        model = shapes_of(config)
    except BadInput as error:
        raise BadInput(f"{path.with_name(runs.CONFIG)}: {error}") from None
    _require_shapes(path, model, {name: found.shape for name, found in _read_header(path).items()})


def is_large(config: ModelConfig) -> bool:
    """Whether a model may be too large for a machine. Only then is it laid out first: the first time, that takes a
    second."""
    return any(type(value) is int and value > LARGE for value in vars(config).values())


def shapes_of(config: ModelConfig) -> Model:
    """The model of a config without its weights, on torch's meta device. BadInput for sizes that no tensor has."""
    if getattr(config, "predictor_layers", 0) > MOST_LAYERS:
        raise BadInput(f"model.predictor_layers is {config.predictor_layers:,}, at most {MOST_LAYERS:,} are taken")
    try:
        with torch.device("meta"):
            return build_model(config)
    except (RuntimeError, OverflowError, TypeError):
        raise BadInput("the model's settings: sizes that no tensor has") from None


def load_model(run: Path, device: torch.device | str = "cpu", config: RunConfig | None = None) -> nn.Module:
    """The best model of a run, for prediction alone: batch normalisation is merged into the weights. config: as in
    load_trained."""
    model = load_trained(run, config)
    merge_batch_norm(model)
    model.to(device)
    return model.to(memory_format=model.memory_format)


def check_run(folder: Path) -> RunConfig:
    """Settings of a run folder that a stranger hands in, once all of it that is ever read has been looked at.

    Whatever is wrong is BadInput in a line that a visitor may see: it names files, not where they lie. No more memory
    is taken than MAX_PARAMETERS need: sizes and shapes are looked at before what they describe is made or read.
    """
    folder = Path(folder).absolute()
    try:
        return _check(folder)
    except BadInput as error:
        raise BadInput(in_one_line(str(error).replace(f"{folder}/", "").replace(str(folder), "this"))) from None


def _check(folder: Path) -> RunConfig:
    for name, most in runs.MAX_BYTES.items():
        if (folder / name).exists() and (size := (folder / name).stat().st_size) > most:
            raise BadInput(f"{name} has {size / 1e6:,.0f} MB, at most {most / 1e6:,.0f} MB are taken")
    config, weights = runs.read_config(folder), folder / runs.WEIGHTS
    _require_header(weights, laid_out(config.model))
    for name, value in load_model(folder).named_parameters():
        if not torch.isfinite(value).all():  # the running statistics, merged into it, hold a variance below 0
            raise BadInput(f"{weights}: {name} is not finite once normalisation is merged into it")
    runs.read_metrics(folder)
    for key, value in (runs.read_eval(folder) or {}).items():
        if isinstance(value, str) and not value.isidentifier():  # shown as it is, in Markdown
            raise BadInput(f"{runs.EVAL}: {key} is no single word")
    return config


def laid_out(config: ModelConfig, where: str = runs.CONFIG) -> Model:
    """The model of a config without its weights, on torch's meta device; BadInput for one that is too large. where: the
    sizes come from, as the message says."""
    for name, value in vars(config).items():
        most = MAX_LAYERS if name == "predictor_layers" else MAX_SIZE
        if type(value) is int and value > most:
            raise BadInput(f"{where}: model.{name} is {value:,}, at most {most:,} is taken")
    model = shapes_of(config)
    if (count := count_parameters(model)) > MAX_PARAMETERS:
        raise BadInput(f"{where}: this model has {count:,} parameters, at most {MAX_PARAMETERS:,} are taken")
    if (latent := math.prod(model.z_shape)) > MAX_LATENT:
        raise BadInput(f"{where}: z has {latent:,} numbers a step, at most {MAX_LATENT:,} are taken")
    return model


class _Header(NamedTuple):
    shape: tuple[int, ...]
    dtype: str


def _read_header(path: Path) -> dict[str, _Header]:
    """What a safetensors file says of each of its tensors. Reads no weights."""
    try:
        _require_short_header(path)
        with safetensors.safe_open(path, framework="pt") as file:
            slices = {name: file.get_slice(name) for name in file.offset_keys()}
            return {name: _Header(tuple(part.get_shape()), part.get_dtype()) for name, part in slices.items()}
    except FileNotFoundError:
        raise BadInput(f"{path}: missing; weights are opened as safetensors only") from None
    except (OSError, safetensors.SafetensorError) as error:
        raise BadInput(f"{path}: not a safetensors file ({error})") from None


def _require_short_header(path: Path) -> None:
    """BadInput for what is no file, or claims a header that would take long to parse."""
    require_file(path)
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
    if length > MAX_HEADER:
        raise BadInput(f"{path}: not a safetensors file (a header of {length:,} bytes, at most {MAX_HEADER:,})")


def _require_header(path: Path, model: Model) -> None:
    """BadInput unless names, shapes and types of saved weights suit a model. Reads no weights."""
    header = _read_header(path)
    _require_shapes(path, model, {name: found.shape for name, found in header.items()})
    for name, (_, dtype) in header.items():
        if dtype not in DTYPES:
            raise BadInput(f"{path}: {_printed(name)} is of type {dtype}, weights must be {', '.join(sorted(DTYPES))}")


def _require_shapes(path: Path, model: nn.Module, shapes: dict[str, tuple[int, ...]]) -> None:
    """BadInput that names the first tensor of a file that does not fit a model."""
    own = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    for name in sorted(own.keys() ^ shapes.keys()):
        raise BadInput(f"{path}: {_printed(name)} is {'missing' if name in own else 'unknown to this model'}")
    for name, shape in shapes.items():
        if shape != own[name]:
            raise BadInput(f"{path}: {_printed(name)} is {shape}, the config asks for {own[name]}")


def _printed(name: str) -> str:
    """A tensor's name in a line."""
    return name if name.isprintable() and len(name) <= LONGEST_SHOWN else shown(name)
