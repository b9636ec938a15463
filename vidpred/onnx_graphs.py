"""What is exported of a model: the look at a context and a step, from named tensors to named tensors.

Both are made of the models' own `look`, `begin`, `step` and `see`, the parts of `vidpred.rollout.Stepper`: what one of
them computes, so does the other.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidpred.clip import Clip
from vidpred.config import CHANNELS, CONDITION_DIM, SpeedConfig
from vidpred.models import Model
from vidpred.rollout import latent_of

CLIPS, BATCH = "clips", "batch"  # what axes count: clips that are looked at, futures that are imagined
SOME = {CLIPS: 2, BATCH: 3}  # of the example that is traced: any but 0 and 1, which would be taken for constants


class Graph(NamedTuple):
    """What is traced: a module from named tensors to named tensors, an example, and which axis of each counts what."""

    module: nn.Module
    example: dict[str, Tensor]
    counts: dict[str, tuple[int, str]]
    outputs: dict[str, tuple]  # shapes, None where futures are counted


class LookGraph(nn.Module):
    """frames (clips, n_past, C, H, W) [, conditions (clips, n_past - 1, 7)], rows (B,): the clip that each future
    continues [, eps (B, n_past - 1, *z)] -> the state of B futures. A clip is encoded once for all of them."""

    def __init__(self, model: Model, n_past: int):
        super().__init__()
        self.model, self.n_past = model, n_past
        self.template: tuple = ()  # a State of the model: which tensors there are to give

    def forward(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        found, futures = flat(self.begin(tensors)), tensors["rows"].shape[0]
        return {
            # of one context frame no recurrent net has seen anything
            name: found[name] if name in found else found["h"].new_zeros(value.shape[0], futures, *value.shape[2:])
            for name, value in flat(self.template).items()
        }

    def begin(self, tensors: dict[str, Tensor]) -> tuple:
        """The model's own state after the context."""
        frames, known = tensors["frames"], tensors.get("conditions")
        if known is None:
            known = frames.new_zeros(frames.shape[0], 0, CONDITION_DIM)  # none are needed
        context = self.model.look(Clip(frames, known, self.n_past), together=True)
        return self.model.begin(context.rows(tensors["rows"]), tensors.get("eps"))


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
            # folded from 4 to 8 pixels too, which a torch on a CPU does not thank for
            state = state._replace(weights=[block[0].up_weight(fold=True) for block in model.decoder.blocks])
        known = None if known is None else model.normalised(known[None])
        x, prior, state = model.step(state, known, tensors["eps"][None], self.latent)
        drawn_from = {"mu": prior.mu[0], "logvar": prior.logvar[0]} if self.latent == "prior" else {}
        after = flat(model.see(state, x))
        changed = {f"next_{name}": value for name, value in after.items() if value is not tensors.get(name)}
        return {"frame": x[0], **drawn_from, **{name: changed[name] for name in changed if name[5:] in tensors}}


class PointToMap(nn.Module):
    """A transposed convolution of a single pixel, as the matrix product that it is: runtimes do not see it."""

    def __init__(self, conv: nn.ConvTranspose2d):
        super().__init__()
        self.weight, self.bias = conv.weight, conv.bias

    def forward(self, x: Tensor) -> Tensor:
        y = x.flatten(1) @ self.weight.flatten(1)
        return y.unflatten(1, self.weight.shape[1:]) + self.bias[:, None, None]


class MapToPoint(nn.Module):
    """A convolution of a picture as small as its kernel, likewise."""

    def __init__(self, conv: nn.Conv2d):
        super().__init__()
        self.weight, self.bias = conv.weight, conv.bias

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x.flatten(1), self.weight.flatten(1), self.bias)[:, :, None, None]


def use_products(model: Model) -> None:
    """Put matrix products in the places of a vector's two heads; the weights and their names stay."""
    if getattr(model.config, "code", "") == "vector":
        model.encoder.head, model.decoder.head = MapToPoint(model.encoder.head), PointToMap(model.decoder.head)


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
    """The two graphs of a model that is ready for prediction, by name: context and step. The model is theirs then."""
    use_products(model)
    # all steps of a context in one call, however many clips there are
    model.speed = SpeedConfig(steps_per_call=max(n_past, 1), channels_last=False)
    model.to(memory_format=torch.contiguous_format)
    height, width = model.config.frame_size
    learned = latent_of(model, None) == "prior" and getattr(model, "prior", None) is not None
    latent = "prior" if learned else "standard"
    clips, futures = SOME[CLIPS], SOME[BATCH]
    given = {"frames": torch.rand(clips, n_past, CHANNELS, height, width), "rows": torch.tensor([0, 1, 1])}
    rows = torch.zeros(futures, n_past, CONDITION_DIM)
    poses = torch.rand(futures, CHANNELS, height, width)
    known = {"actions": rows[:, 0], "poses": poses}.get(model.config.condition)
    if n_past > 1 and hasattr(model, "posterior"):  # a warm-up: else the state is what the encoder sees
        given |= {} if known is None else {"conditions": rows[:clips, 1:]}
        given["eps"] = torch.randn(futures, n_past - 1, *model.z_shape)

    look = LookGraph(model, n_past)
    eps = torch.randn(futures, *model.z_shape)
    now_known = None if known is None else model.normalised(known[None])
    state = model.step(look.begin(given), now_known, eps[None], latent)[2]  # after a step no part of it is missing
    if latent != "prior" and "prior" in state._fields:
        state = state._replace(prior=None)
    look.template, step = state, StepGraph(model, latent, state)
    now = flat(state) | ({} if known is None else {"conditions": known}) | {"eps": eps}
    counted = {name: (0, CLIPS if name in ("frames", "conditions") else BATCH) for name in given}
    return {
        "context": Graph(look.eval(), given, counted, _shapes(look(given))),
        "step": Graph(step.eval(), now, {n: (int(n in flat(state)), BATCH) for n in now}, _shapes(step(now))),
    }


def _shapes(tensors: dict[str, Tensor]) -> dict[str, tuple]:
    """Shapes, None where futures are counted: the second axis of a state's tensors, the first of all others."""
    own = ("frame", "mu", "logvar")
    return {
        name: tuple(None if i == int(name not in own) else size for i, size in enumerate(value.shape))
        for name, value in tensors.items()
    }
