"""Weights as safetensors. Nothing is ever unpickled."""

from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from vidpred import runs
from vidpred.errors import BadInput
from vidpred.files import replaced
from vidpred.models import build_model
from vidpred.models.batch_norm import merge_batch_norm


def save_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Named tensors to a safetensors file, atomically."""
    with replaced(path) as temporary:
        # a copy each: safetensors refuses views that share memory, and channels-last is not its layout
        safetensors.torch.save_file({k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}, temporary)


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Named tensors of a safetensors file, on the CPU."""
    try:
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
    own, tensors = model.state_dict(), load_tensors(path)
    for name in sorted(own.keys() ^ tensors.keys()):
        raise BadInput(f"{path}: {name} is {'missing' if name in own else 'unknown to this model'}")
    for name, value in tensors.items():
        if value.shape != own[name].shape:
            raise BadInput(f"{path}: {name} is {tuple(value.shape)}, the config asks for {tuple(own[name].shape)}")
        if not torch.isfinite(value).all():
            raise BadInput(f"{path}: {name} holds values that are not finite")
    model.load_state_dict(tensors)


def load_trained(run: Path) -> nn.Module:
    """The best model of a run with its weights as they were trained, in eval mode and float32."""
    model = build_model(runs.read_config(run).model).eval()
    load_weights(Path(run) / runs.WEIGHTS, model)
    return model


def load_model(run: Path, device: torch.device | str = "cpu") -> nn.Module:
    """The best model of a run, for prediction alone: batch normalisation is merged into the weights."""
    model = load_trained(run)
    merge_batch_norm(model)
    model.to(device)
    return model.to(memory_format=model.memory_format)


def check_run(run: Path) -> None:
    """BadInput unless the settings of a run can be read and its weights fit."""
    load_trained(run)
