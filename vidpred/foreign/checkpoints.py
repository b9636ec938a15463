"""Checkpoints of other programs as run folders, without running anything that is in them."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from vidpred import runs
from vidpred.checkpoint import check_run, laid_out, save_tensors
from vidpred.config import PoseCVAEConfig, RunConfig, SVGConfig
from vidpred.errors import BadInput, in_one_line
from vidpred.files import remove_unfinished, replaced_together, require_vacant
from vidpred.foreign import pose_cvae, svg
from vidpred.foreign.inert import Damaged
from vidpred.foreign.layers import fit
from vidpred.foreign.torch_files import TorchFile, open_torch_file
from vidpred.lock import held

FAMILIES = {"skip_frame": SVGConfig, "prior_at_test": SVGConfig, "leaky_relu": PoseCVAEConfig,
            "output_activation": PoseCVAEConfig}  # fmt: skip


def import_checkpoint(file: Path, out: Path, **options: str | None) -> RunConfig:
    """Write a run folder from a checkpoint that an SVG script or a dance trainer saved; its settings.

    options: settings of the model that no file tells (FAMILIES names them), by default as published. No more memory is
    taken than the largest model that is opened needs. BadInput, in one line, names what does not fit, or what the file
    would run.
    """
    file, out = Path(file), Path(out)
    with held(out):
        require_vacant(out)
        remove_unfinished(out, runs.CONFIG)
        found = open_torch_file(file)
        try:
            config, weights = _fitted(found, {name: value for name, value in options.items() if value is not None})
            with replaced_together(out, runs.CONFIG) as run:
                runs.write_config(run, config, {"imported": in_one_line(file.name)})
                save_tensors(run / runs.WEIGHTS, weights)
                weights.clear()
                check_run(run)  # reads them again: that all are there, and none is too many
                require_vacant(out)  # still: what has come meanwhile may be another run
        except (BadInput, Damaged) as error:
            raise BadInput(f"{file}: {in_one_line(str(error))}") from None
    return config


def _fitted(found: TorchFile, options: dict[str, str]) -> tuple[RunConfig, dict[str, Tensor]]:
    """Settings, and our weights by name."""
    saved = found.value
    if pose_cvae.is_state(saved):
        saved = {"state_dict": saved}
    names = [name for name in saved if isinstance(name, str)] if isinstance(saved, dict) else []
    if set(svg.PARTS) <= set(names):
        config, layers = svg.read(saved)
        activation = svg.activation
    elif "state_dict" in names and pose_cvae.is_state(saved["state_dict"]):
        config, layers = pose_cvae.read(saved)
        activation = None
    else:
        holds = f"it holds {', '.join(names[:6])}" if names else "it holds no dictionary"
        raise BadInput(
            f"no checkpoint that is known: {holds}; expected {', '.join(svg.PARTS)} of an SVG script, or the "
            "state_dict of a dance trainer"
        )
    for name in options:
        if FAMILIES[name] is not type(config.model):
            raise BadInput(f"--{name.replace('_', '-')} is a setting of another family than {config.model.family}")
    config = replace(config, model=replace(config.model, **options))
    model = laid_out(config.model, "its sizes")
    tensors = {}
    for place, theirs in layers.items():
        tensors |= fit(model, place, theirs, activation)
    return config, {name: _finite(found.read(tensor), name) for name, tensor in tensors.items()}


def _finite(tensor: Tensor, name: str) -> Tensor:
    """In float32."""
    tensor = tensor.to(torch.float32, memory_format=torch.contiguous_format, copy=True)
    if not torch.isfinite(tensor).all():
        raise BadInput(f"what is to become {name} holds values that are not finite")
    return tensor
