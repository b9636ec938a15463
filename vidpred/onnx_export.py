"""A run as ONNX, for runtimes without torch: a graph that looks at a context, and one for a step with its state.

What is traced stands in `vidpred.onnx_graphs`. Needs onnx and onnxscript (`pip install .[export]`).
"""

import contextlib
import json
import logging
import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vidpred import checkpoint, runs
from vidpred.config import CHANNELS, RunConfig
from vidpred.data.batches import Clips, require_suitable
from vidpred.errors import BadInput
from vidpred.evaluation import frames_ahead, score_futures
from vidpred.files import replaced_together, write_json
from vidpred.models import Model
from vidpred.models.batch_norm import merge_batch_norm, merged_scales
from vidpred.onnx_graphs import BATCH, SOME, Graph, graphs
from vidpred.rollout import latent_of

DESCRIPTION = "model.json"
FILES = ("context.onnx", "step.onnx", "context-float16.onnx", "step-float16.onnx")
MOST_DECIBELS = 0.02
"""By how much float16 weights may move the PSNR."""
TRIED_CLIPS, TRIED_SAMPLES, TRIED_FRAMES = 8, 5, 100  # that show it
LARGE = 1024
"""Numbers from which on a tensor of weights is stored as float16."""


def traced(graph: Graph) -> Any:
    """The graph as an onnx ModelProto, float32."""
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise BadInput(f"{error.name} is missing: pip install .[export], or onnx and onnxscript") from None
    dims = {name: torch.export.Dim(name, min=1, max=4096) for name in SOME}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of LSTM weights that lie in one buffer, and of how shapes are traced
        logging.disable(logging.WARNING)
        try:
            program = torch.onnx.export(
                graph.module,
                kwargs={"tensors": graph.example},
                dynamo=True,
                dynamic_shapes={"tensors": {name: {axis: dims[of]} for name, (axis, of) in graph.counts.items()}},
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
    contents, shapes = {}, {}

    def add(kind: str, name: str, graph: Any) -> None:
        file = f"{name}.onnx" if kind == "float32" else f"{name}-{kind}.onnx"
        contents[file] = content = graph.SerializeToString()
        files.setdefault(kind, {})[name] = {"file": file, "bytes": len(content)}

    for name, graph in graphs(trained, config.data.n_past).items():
        progress(f"the graph of a {name}")
        model = traced(graph)
        add("float32", name, model)
        if moved is not None and moved < MOST_DECIBELS:
            add("float16", name, with_half_weights(model, weights, scales))
        shapes[name] = {
            "inputs": [_tensor(n, _open(v.shape, *graph.counts[n]), v.dtype) for n, v in graph.example.items()],
            "outputs": [_tensor(n, [BATCH if d is None else d for d in s]) for n, s in graph.outputs.items()],
        }
    values = describe(run, config, trained) | {"graphs": shapes, "files": files}
    values["float16"] = {"tried": tried, "exact": exact, "psnr_moved_by": moved, "limit": MOST_DECIBELS}
    write_export(out, contents, values)
    return values


def write_export(out: Path, graphs: dict[str, bytes], values: dict[str, Any]) -> None:
    """The graphs by their files' names and the JSON that describes them, all of them or none; an earlier export's are
    replaced."""
    with replaced_together(out, DESCRIPTION, FILES) as building:
        for name, content in graphs.items():
            (building / name).write_bytes(content)
        write_json(building / DESCRIPTION, values)


def is_description(path: Path) -> bool:
    """Whether a file is what `write_export` writes beside the graphs."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        found = json.loads(path.read_text())
        return isinstance(found, dict) and {"format", "family", "graphs"} <= found.keys()
    return False


def describe(run: Path, config: RunConfig, model: Model) -> dict[str, Any]:
    """What a program must know to use the graphs of a run."""
    m, data = config.model, config.data
    height, width = m.frame_size
    return {
        "format": 2,
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
        "batch": "any number of futures: the first axis; of a state's tensors the second. rows says of each which clip "
        "it continues",
        "at_once": model.futures_per_call["cpu"],
    }


def _open(shape: tuple, axis: int, counted: str) -> list:
    return [counted if i == axis else size for i, size in enumerate(shape)]


def _tensor(name: str, shape: list, dtype: torch.dtype = torch.float32) -> dict[str, Any]:
    return {"name": name, "shape": shape, "type": str(dtype).removeprefix("torch.")}
