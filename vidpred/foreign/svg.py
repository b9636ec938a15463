"""SVG as its scripts save it: `encoder`, `decoder`, `frame_predictor`, `posterior` and, if it is learned, `prior`."""

from dataclasses import replace
from typing import Any

from vidpred.config import CHANNELS, CONDITION_DIM, DataConfig, RunConfig, SVGConfig, TrainConfig
from vidpred.errors import BadInput
from vidpred.foreign.inert import Shell
from vidpred.foreign.layers import Layer, layers_of

PARTS = ("encoder", "decoder", "frame_predictor", "posterior")
TRAIN = {  # options of the scripts whose meaning is that of one of ours
    **{"niter": "epochs", "epoch_size": "iterations_per_epoch", "batch_size": "batch_size", "lr": "lr"},
    **{"beta1": "adam_beta1", "beta": "beta_max", "seed": "seed"},
}
MOST_FRAMES = 1000  # of a window


def read(saved: dict[str, Any]) -> tuple[RunConfig, dict[str, list[Layer]]]:
    """Settings, and the layers of each part of our model in its order.

    The loop's quirks are those of the scripts: skip_frame "published", and with the report's BatchNorm in the frame
    predictor also feedback_from "published" and prior_at_test "standard".
    """
    layers = {name: layers_of(saved[name], name) for name in PARTS}
    learned = saved.get("prior") is not None
    if learned:
        layers["prior"] = layers_of(saved["prior"], "prior")
    layers["decoder"], conditioned = _condition_first(layers["decoder"])
    for name in ("posterior", "prior")[: 1 + learned]:
        layers[name] = _mean_first(layers[name], name)
    options = _options(saved)
    model = _sizes(layers, learned, conditioned)
    if options.get("last_frame_skip") is True:
        model = replace(model, last_frame_skip=True)
    return RunConfig(model, _window(options), _training(options)), layers


def activation(name: str) -> str:
    """What follows one of our layers in the published networks."""
    if name in ("encoder.norm", "frame_predictor.norm", "frame_predictor.out"):
        return "Tanh"
    if name.endswith(".norm"):
        return "LeakyReLU(0.2)"
    return {"decoder.to_rgb": "Sigmoid", "decoder.condition.scale": "Softplus"}.get(name, "")


def _sizes(layers: dict[str, list[Layer]], learned: bool, conditioned: bool) -> SVGConfig:
    weights = {name: [x for x in found if x.tensors] for name, found in layers.items()}

    def shape(part: str, number: int, leaf: str, dimensions: int) -> tuple[int, ...]:
        try:
            layer = weights[part][number]
            found = tuple(layer.tensors[leaf].shape)
        except (LookupError, TypeError):
            raise BadInput(f"{part} is not the published network: no {leaf} where it has one") from None
        if len(found) != dimensions:
            raise BadInput(f"{layer.name}.{leaf} is {found}: {dimensions} dimensions were expected")
        return found

    width, channels, *_ = shape("encoder", 0, "weight", 4)
    if channels != CHANNELS:
        raise BadInput(
            f"encoder takes frames of {channels} channel{'s' * (channels != 1)}; frames here have {CHANNELS}"
        )
    g_dim = shape("encoder", -1, "weight", 1)[0]
    rnn_size, taken = shape("frame_predictor", 0, "weight", 2)
    z_dim = shape("posterior", -1, "weight", 2)[0]
    if taken != g_dim + z_dim:
        raise BadInput(
            f"frame_predictor takes {taken} numbers, h and z are {g_dim} + {z_dim}: conditions are known to the "
            "decoder alone in the networks that can be read"
        )
    normed = "running_var" in weights["frame_predictor"][-1].tensors
    cells = sum(leaf.startswith("weight_ih") for layer in weights["frame_predictor"] for leaf in layer.tensors)
    return SVGConfig(
        learned_prior=learned,
        width=width,
        g_dim=g_dim,
        z_dim=z_dim,
        rnn_size=rnn_size,
        predictor_layers=cells,
        predictor_norm="batch" if normed else "none",
        condition="actions" if conditioned else "none",
        skip_frame="published",
        feedback_from="published" if normed else "context",
        prior_at_test="standard" if normed else "learned",
    )


def _condition_first(layers: list[Layer]) -> tuple[list[Layer], bool]:
    """A decoder's layers, scale and shift from the condition before all others, and whether it has these two."""
    linear = [x for x in layers if len(getattr(x.tensors.get("weight"), "shape", ())) == 2]
    if not linear:
        return layers, False
    if len(linear) != 2 or any(x.tensors["weight"].shape[1] != CONDITION_DIM for x in linear):
        raise BadInput(
            f"decoder has {len(linear)} linear layer{'s' * (len(linear) != 1)}; a condition is known by a scale and a "
            f"shift from {CONDITION_DIM} numbers each (4 of the action, 3 of the position)"
        )
    after = {x.name: y for x, y in zip(layers, layers[1:])}
    positive = [x for x in linear if x.name in after and after[x.name].kind == "Softplus"]
    scale = positive or _called_so(linear, "scale")
    if len(scale) != 1:
        names = " and ".join(x.name for x in linear)
        raise BadInput(f"{names}: which is the scale and which the shift? Neither names nor a Softplus tell")
    softplus = [after[x.name] for x in positive]
    (shift,) = (x for x in linear if x is not scale[0])
    rest = [x for x in layers if x not in linear and x not in softplus]
    return [scale[0], *softplus, shift, *rest], True


def _mean_first(layers: list[Layer], name: str) -> list[Layer]:
    """The layers of a Gaussian, of whose last two, which have one shape, the mean comes first."""
    heads = [number for number, layer in enumerate(layers) if layer.tensors][-2:]
    if len(heads) < 2:
        raise BadInput(f"{name} is not the published network: it has no mean and log-variance")
    pair = [layers[number] for number in heads]
    variance = _called_so(pair, "var")
    if len(variance) != 1:
        raise BadInput(f"{pair[0].name} and {pair[1].name}: which gives the mean and which the log-variance?")
    ordered = list(layers)
    for number, layer in zip(heads, sorted(pair, key=lambda layer: layer is variance[0])):
        ordered[number] = layer
    return ordered


def _called_so(pair: list[Layer], word: str) -> list[Layer]:
    """Those of two layers whose names, as far as they differ, hold a word."""
    names = [layer.name.split(".") for layer in pair]
    return [
        layer
        for layer, own, other in zip(pair, names, names[::-1])
        if word in ".".join(part for part in own if part not in other).lower()
    ]


def _options(saved: dict[str, Any]) -> dict[str, Any]:
    """The options of the script that saved it, where it saved them."""
    found = saved.get("opt", saved.get("args"))
    found = found.state if isinstance(found, Shell) else found
    return found if isinstance(found, dict) else {}


def _window(options: dict[str, Any]) -> DataConfig:
    known = {name: options.get(name) for name in ("n_past", "n_future")}
    return DataConfig(**{k: v for k, v in known.items() if type(v) is int and 1 <= v <= MOST_FRAMES})


def _training(options: dict[str, Any]) -> TrainConfig:
    """What is known of how it was trained; the original's scripts know neither annealing nor free running."""
    train = TrainConfig(kl_anneal="none", tfr_decay_step=0.0)
    for theirs, ours in TRAIN.items():
        value = options.get(theirs)
        if type(value) is type(getattr(train, ours)) and abs(value) < 1e9:
            try:
                train = replace(train, **{ours: value})
            except BadInput:
                continue
    return train if train.batch_size >= 2 else replace(train, batch_size=2)
