"""A run as ONNX, for runtimes without torch: a graph that looks at a context, and one for a step with its state.

Both are traced from the models' own `look`, `begin`, `step` and `see`, the parts of `vidpred.rollout.Stepper`: what one
of them computes, so does the other. Needs onnx and onnxscript (`pip install vidpred[export]`).
"""

import gzip
import json
import logging
import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from vidpred import checkpoint, runs
from vidpred.clip import Clip
from vidpred.config import CHANNELS, CONDITION_DIM, RunConfig, SpeedConfig
from vidpred.data.batches import Clips, require_suitable
from vidpred.errors import BadInput
from vidpred.evaluation import frames_ahead, score_futures
from vidpred.files import replaced, write_json
from vidpred.models import Model
from vidpred.models.batch_norm import merge_batch_norm, merged_scales
from vidpred.rollout import latent_of

DESCRIPTION = "model.json"
MOST_DECIBELS = 0.02
"""By how much float16 weights may move the PSNR."""
TRIED_CLIPS, TRIED_SAMPLES, TRIED_FRAMES = 8, 5, 100  # that show it
LARGE = 1024
"""Numbers from which on a tensor of weights is stored as float16."""
SOME = 2  # clips in the batch that is traced: any number but 0 and 1, which would be taken for constants


class Graph(NamedTuple):
    """What is traced: a module from named tensors to named tensors, an example, and which axis of each counts clips."""

    module: nn.Module
    example: dict[str, Tensor]
    axes: dict[str, int]
    outputs: dict[str, tuple]  # shapes, None where clips are counted


class LookGraph(nn.Module):
    """frames (B, n_past, C, H, W) [, conditions (B, n_past - 1, 7)] [, eps (B, n_past - 1, *z)] -> the state."""

    def __init__(self, model: Model, n_past: int, template: tuple = ()):
        super().__init__()
        self.model, self.n_past, self.template = model, n_past, template

    def forward(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        found, clips = flat(self.begin(tensors)), tensors["frames"].shape[0]
        return {
            # of one context frame no recurrent net has seen anything
            name: found[name] if name in found else found["h"].new_zeros(value.shape[0], clips, *value.shape[2:])
            for name, value in flat(self.template).items()
        }

    def begin(self, tensors: dict[str, Tensor]) -> tuple:
        """The model's own state after the context."""
        frames, known = tensors["frames"], tensors.get("conditions")
        if known is None:
            known = frames.new_zeros(frames.shape[0], 0, CONDITION_DIM)  # none are needed
        return self.model.begin(self.model.look(Clip(frames, known, self.n_past), together=True), tensors.get("eps"))


class StepGraph(nn.Module):
    """The state, [conditions (B, 7) or poses (B, C, H, W),] eps (B, *z) -> frame (B, C, H, W), [mu and logvar of the
    learned prior (B, *z),] and those tensors of the state that a step changes."""

    def __init__(self, model: Model, latent: str, template: tuple):
        super().__init__()
        self.model, self.latent, self.template = model, latent, template

    def forward(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        model, known = self.model, tensors.get("conditions")
        state = filled(self.template, tensors)
        if "weights" in state._fields:
            state = state._replace(weights=model.decoder.up_weights(model.speed.fold_upsampling))
        known = None if known is None else model.normalised(known[None])
        x, prior, state = model.step(state, known, tensors["eps"][None], self.latent)
        drawn_from = {"mu": prior.mu[0], "logvar": prior.logvar[0]} if self.latent == "prior" else {}
        after = flat(model.see(state, x))
        changed = {f"next_{name}": value for name, value in after.items() if value is not tensors.get(name)}
        return {"frame": x[0], **drawn_from, **{name: changed[name] for name in changed if name[5:] in tensors}}


def flat(state: tuple) -> dict[str, Tensor]:
    """The tensors of a model's State by name, clips counted by their second axis; weights are no state."""
    named = {}
    for field, value in state._asdict().items():
        if field == "weights" or value is None:
            continue
        named |= {field: value} if isinstance(value, Tensor) else {f"{field}_{i}": v for i, v in enumerate(value)}
    return named


def filled(template: Any, tensors: dict[str, Tensor]) -> Any:
    """A State with the given tensors in the places that `flat` named."""
    values = {}
    for field, value in template._asdict().items():
        if field == "weights" or value is None:
            continue
        single = isinstance(value, Tensor)
        values[field] = tensors[field] if single else type(value)(tensors[f"{field}_{i}"] for i in range(len(value)))
    return template._replace(**values)


@torch.no_grad()
def graphs(model: Model, n_past: int) -> dict[str, Graph]:
    """The two graphs of a model that is ready for prediction, by name: context and step."""
    # all steps of a context in one call, however many clips there are
    model.speed = SpeedConfig(steps_per_call=max(n_past, 1), channels_last=False)
    model.to(memory_format=torch.contiguous_format)
    height, width = model.config.frame_size
    learned = latent_of(model, None) == "prior" and getattr(model, "prior", None) is not None
    latent = "prior" if learned else "standard"
    given = {"frames": torch.rand(SOME, n_past, CHANNELS, height, width)}
    rows = torch.zeros(SOME, n_past, CONDITION_DIM)
    known = {"actions": rows[:, 0], "poses": given["frames"][:, 0]}.get(model.config.condition)
    if n_past > 1 and hasattr(model, "posterior"):  # a warm-up: else the state is what the encoder sees
        given |= {} if known is None else {"conditions": rows[:, 1:]}
        given["eps"] = torch.randn(SOME, n_past - 1, *model.z_shape)

    look = LookGraph(model, n_past)
    eps = torch.randn(SOME, *model.z_shape)
    # after a first step no part of a state is missing
    state = model.step(look.begin(given), None if known is None else model.normalised(known[None]), eps[None], latent)[
        2
    ]
    if latent != "prior" and "prior" in state._fields:
        state = state._replace(prior=None)
    look.template, step = state, StepGraph(model, latent, state)
    now = flat(state) | ({} if known is None else {"conditions": known}) | {"eps": eps}
    return {
        "context": Graph(look.eval(), given, dict.fromkeys(given, 0), _shapes(look(given))),
        "step": Graph(step.eval(), now, {name: int(name in flat(state)) for name in now}, _shapes(step(now))),
    }


def _shapes(tensors: dict[str, Tensor]) -> dict[str, tuple]:
    """Shapes, None where clips are counted: the second axis of a state's tensors, the first of all others."""
    own = ("frame", "mu", "logvar")
    return {
        name: tuple(None if i == int(name not in own) else size for i, size in enumerate(value.shape))
        for name, value in tensors.items()
    }


def traced(graph: Graph) -> Any:
    """The graph as an onnx ModelProto, float32."""
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise BadInput(f'{error.name} is missing: pip install "vidpred[export]", or onnx and onnxscript') from None
    batch = torch.export.Dim("batch", min=1, max=4096)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of LSTM weights that lie in one buffer, and of how shapes are traced
        logging.disable(logging.WARNING)
        try:
            program = torch.onnx.export(
                graph.module,
                kwargs={"tensors": graph.example},
                dynamo=True,
                dynamic_shapes={"tensors": {name: {axis: batch} for name, axis in graph.axes.items()}},
                input_names=list(graph.example),
                output_names=list(graph.outputs),
                verbose=False,
            )
        finally:
            logging.disable(logging.NOTSET)
    model = program.model_proto
    for node in model.graph.node:  # where it stood in the source: of no use to a runtime, and a third of a graph's size
        del node.metadata_props[:]
        node.doc_string = ""
    del model.graph.value_info[:]
    return model


def with_half_weights(model: Any, weights: dict[str, Tensor], scales: dict[str, Tensor]) -> Any:
    """A copy whose large weights are stored as float16 and computed with as float32.

    weights: those of the run, by name, before batch normalisation was merged into them; scales: what it multiplies
    them by, which stays float32. So weights that were float16 in the run's file lose nothing.
    """
    import onnx
    from onnx import helper, numpy_helper

    half = onnx.ModelProto()
    half.CopyFrom(model)
    kept, nodes = [], []
    for tensor in half.graph.initializer:
        value, name = numpy_helper.to_array(tensor), tensor.name.removeprefix("model.")
        raw = weights[name].numpy() if name in weights else value
        if value.dtype != np.float32 or value.size < LARGE or (name not in weights and not is_half(raw)):
            kept.append(tensor)
            continue
        scale = scales.get(name)
        kept.append(numpy_helper.from_array(raw.astype(np.float16), f"{tensor.name}.half"))
        cast = tensor.name if scale is None else f"{tensor.name}.raw"
        nodes.append(helper.make_node("Cast", [f"{tensor.name}.half"], [cast], to=onnx.TensorProto.FLOAT))
        if scale is not None:
            kept.append(numpy_helper.from_array(scale.numpy(), f"{tensor.name}.scale"))
            nodes.append(helper.make_node("Mul", [cast, f"{tensor.name}.scale"], [tensor.name]))
    nodes += half.graph.node
    del half.graph.initializer[:], half.graph.node[:]
    half.graph.initializer.extend(kept)
    half.graph.node.extend(nodes)
    return half


def is_half(values: np.ndarray) -> bool:
    """Whether every number is one of float16."""
    with np.errstate(over="ignore"):
        return bool(np.array_equal(values.astype(np.float16).astype(np.float32), values))


def moved_by_half(run: Path, config: RunConfig, clips: Clips) -> float | None:
    """By how many dB float16 weights move the mean PSNR of a run on the first clips; None: they are too large."""
    require_suitable(clips, config.model)
    chosen = list(range(min(len(clips), TRIED_CLIPS)))
    found = []
    for rounded in (False, True):
        model = checkpoint.load_trained(run, config)
        for p in model.parameters() if rounded else ():
            if p.numel() >= LARGE:
                p.data = p.data.half().float()
        merge_batch_norm(model)
        scores = score_futures(
            model,
            clips,
            chosen,
            n_past=config.data.n_past,
            n_future=min(frames_ahead(config.data, clips, chosen), TRIED_FRAMES),
            samples=1 if clips.has_poses else TRIED_SAMPLES,
            temperature=1.0,
            seed=0,
        )
        found.append(scores.psnr.mean().item())
    moved = abs(found[1] - found[0])
    return moved if math.isfinite(moved) else None


def export_onnx(
    run: Path, out: Path, clips: Clips | None = None, progress: Callable[[str], None] = lambda doing: None
) -> dict[str, Any]:
    """Write OUT/context.onnx and OUT/step.onnx, the same with float16 weights where the PSNR moves by less than 0.02
    dB, and OUT/model.json; returns what the JSON holds.

    clips: on which float16 weights are tried, where the run's own are not float16 already; None: they are not.
    progress: told what is done next.
    """
    config = runs.read_config(run)
    trained = checkpoint.load_trained(run, config)
    weights = {name: p.detach().clone() for name, p in trained.named_parameters()}
    scales = merged_scales(trained)
    merge_batch_norm(trained)
    exact = all(is_half(w.numpy()) for w in weights.values() if w.numel() >= LARGE)
    moved, tried = (0.0 if exact else None), exact or clips is not None
    if not exact and clips is not None:
        progress("float16 weights are tried")
        moved = moved_by_half(run, config, clips)
    files: dict[str, dict] = {"float32": {}}
    shapes = {}
    for name, graph in graphs(trained, config.data.n_past).items():
        progress(f"the graph of a {name}")
        model = traced(graph)
        files["float32"][name] = _written(out / f"{name}.onnx", model.SerializeToString())
        if moved is not None and moved < MOST_DECIBELS:
            half = with_half_weights(model, weights, scales)
            files.setdefault("float16", {})[name] = _written(out / f"{name}-float16.onnx", half.SerializeToString())
        shapes[name] = {
            "inputs": [_tensor(n, _open(v.shape, graph.axes[n])) for n, v in graph.example.items()],
            "outputs": [_tensor(n, shape) for n, shape in graph.outputs.items()],
        }
    values = describe(run, config, trained) | {"graphs": shapes, "files": files}
    values["float16"] = {"tried": tried, "exact": exact, "psnr_moved_by": moved, "limit": MOST_DECIBELS}
    write_json(out / DESCRIPTION, values)
    return values


def describe(run: Path, config: RunConfig, model: Model) -> dict[str, Any]:
    """What a program must know to use the graphs of a run."""
    m, data = config.model, config.data
    height, width = m.frame_size
    return {
        "format": 1,
        "run": Path(run).resolve().name,
        "family": m.kind,
        "frame": {"channels": CHANNELS, "height": height, "width": width, "range": [0, 1]},
        "n_past": data.n_past,
        "n_future": data.length - data.n_past,
        "conditions": {
            "kind": m.condition,
            "lag": model.condition_lag,
            "mean": list(getattr(m, "condition_mean", [])),
            "scale": list(getattr(m, "condition_scale", [])),
            "normalised": "inside the graphs: give them as they are in the files of the clip",
        },
        "z_shape": list(model.z_shape),
        "prior": "learned" if latent_of(model, None) == "prior" and getattr(m, "learned_prior", False) else "standard",
        "protocol": m.psnr_protocol,
        "noise": {
            "generator": "Philox 4x32-10, as vidpred/randomness.py writes it down",
            "key": ["seed", "sample", "clip id"],
            "draw": "draw t - 1, of the numbers of z_shape, is eps of the step that makes frame t",
            "temperature": "eps times the temperature",
        },
        "batch": "any number of clips: the first axis; of a state's tensors the second",
    }


def _written(path: Path, content: bytes) -> dict[str, Any]:
    with replaced(path) as temporary:
        temporary.write_bytes(content)
    return {"file": path.name, "bytes": len(content), "gzip_bytes": len(gzip.compress(content, 6))}


def _open(shape: tuple, axis: int) -> tuple:
    return tuple(None if i == axis else size for i, size in enumerate(shape))


def _tensor(name: str, shape: tuple) -> dict[str, Any]:
    return {"name": name, "shape": ["batch" if size is None else size for size in shape], "type": "float32"}


def read_description(folder: Path) -> dict[str, Any]:
    """model.json of an exported run."""
    try:
        return json.loads((folder / DESCRIPTION).read_text())
    except (OSError, ValueError):
        raise BadInput(f"{folder / DESCRIPTION}: missing, or no JSON") from None
