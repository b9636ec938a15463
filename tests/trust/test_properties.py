"""What holds for every config, schedule, window, run file and link, not for chosen ones."""

import dataclasses
import json
import math
import string
import typing
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vidpred import runs
from vidpred.config import DataConfig, PoseCVAEConfig, SVGConfig, TrainConfig, from_dict, model_from_dict, to_dict
from vidpred.data.batches import open_split, passes, training_batch
from vidpred.errors import BadInput
from vidpred.explorer.ui.deep_links import _read
from vidpred.schedules import kl_anneal_at, lr_at, tfr_at

pytestmark = pytest.mark.trust
few = settings(
    max_examples=50, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
READERS = {runs.CONFIG: runs.read_config, runs.METRICS: runs.read_metrics, runs.EVAL: runs.read_eval}
LONGEST_LINE = 400
SHAPES = ("linear", "sigmoid", "cosine")


def refusal(call, *args):
    """(what it gave, "") or (None, what BadInput said)."""
    try:
        return call(*args), ""
    except BadInput as error:
        return None, str(error)


def sensible(cls: type, name: str):
    """Values that a field of a config may have, and near ones that it may not."""
    hint = typing.get_type_hints(cls)[name]
    if typing.get_origin(hint) is Literal:
        return st.sampled_from(typing.get_args(hint))
    if hint is bool:
        return st.booleans()
    if hint is int:
        return st.integers(-2, 200)
    if hint is float:
        return st.floats(-0.5, 2)
    return st.just(next(field.default for field in dataclasses.fields(cls) if field.name == name))


def configs(cls: type):
    """A dict of some of the fields of a config."""
    fields = {field.name: sensible(cls, field.name) for field in dataclasses.fields(cls)}
    return st.fixed_dictionaries({}, optional=fields)


@pytest.mark.parametrize("cls", [DataConfig, SVGConfig, PoseCVAEConfig, TrainConfig])
def test_a_config_comes_back_from_json_as_it_was_or_is_refused(cls, survived):
    @few
    @given(configs(cls))
    def holds(values):
        config, said = refusal(from_dict, cls, values)
        assert "\n" not in said
        if said:
            return
        plain = json.loads(json.dumps(to_dict(config)))
        assert (model_from_dict(plain) if "kind" in plain else from_dict(cls, plain)) == config

    holds()
    survived("property: configs", few.max_examples)


@few
@given(st.sampled_from([DataConfig, SVGConfig, TrainConfig]), st.data())
def test_no_value_of_a_config_is_more_than_refused(cls, data):
    name = data.draw(st.sampled_from([field.name for field in dataclasses.fields(cls)]))
    _, said = refusal(from_dict, cls, {name: data.draw(anything)})
    assert said == "" or (name in said and len(said) < LONGEST_LINE)


@few
@given(
    st.sampled_from(["cyclical", "monotonic"]),
    st.sampled_from(SHAPES),
    st.integers(1, 40),
    st.integers(1, 30),
    st.integers(1, 6),
    st.floats(0.05, 1),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_beta_lies_between_start_and_stop_and_ends_its_rise_at_stop(
    kind, shape, epochs, iterations, cycles, ratio, a, b
):
    start, stop = sorted((a, b))
    config = TrainConfig(
        epochs=epochs, iterations_per_epoch=iterations, kl_anneal=kind, kl_anneal_shape=shape, kl_anneal_cycles=cycles,
        kl_anneal_ratio=ratio, kl_anneal_start=start, kl_anneal_stop=stop,
    )  # fmt: skip
    values, said = refusal(lambda: [kl_anneal_at(config, i) for i in range(epochs * iterations)])
    if said:
        assert "rise of beta" in said
        return
    assert all(start - 1e-12 <= value <= stop + 1e-12 for value in values)
    if kind == "monotonic":
        assert values == sorted(values)
        if epochs * iterations * (1 - ratio) > 1:
            assert values[-1] == stop


@few
@given(configs(TrainConfig), st.integers(0, 300), st.lists(st.integers(0, 300), max_size=3))
def test_ratio_and_learning_rate_are_finite_and_in_their_bounds(values, epoch, restarts):
    config = refusal(from_dict, TrainConfig, values)[0] or TrainConfig()
    epoch = min(epoch, config.epochs - 1)
    assert 0 <= tfr_at(config, epoch, sorted(restarts)) <= 1
    if config.iterations_per_epoch:
        assert 0 <= lr_at(config, epoch * config.iterations_per_epoch) <= config.lr * (1 + 1e-12)


@few
@given(st.integers(1, 4), st.integers(1, 14), st.integers(1, 14), st.integers(0, 10**6), st.floats(0.01, 1))
def test_a_batch_is_whole_windows_of_its_part_of_the_data(tiny_data, n_past, n_future, size, iteration, fraction):
    clips = open_split(tiny_data, "train")
    config = DataConfig(n_past=n_past, n_future=n_future)
    if config.length > clips.lengths().min():
        with pytest.raises(BadInput, match="are needed for training"):
            passes(clips, config, size, fraction)
        return
    batch = training_batch(clips, config, size, 0, iteration, fraction=fraction)
    assert batch.frames.shape == (size, config.length, 64, 64, 3)
    assert batch.conditions.shape == (size, config.length, 7)
    part = math.ceil(fraction * len(clips))
    assert set(batch.ids) <= set(clips.ids[:part])
    assert passes(clips, config, size, fraction) == -(-part // size)


@few
@given(st.lists(anything, max_size=4), st.binary(max_size=60))
def test_run_files_are_read_or_refused_whatever_is_in_them(tmp_path, values, content):
    lines = "\n".join(json.dumps(value) for value in values).encode("utf-8", "replace")
    for text in (lines, content):
        for name, read in READERS.items():
            (Path(tmp_path) / name).write_bytes(text)
            _, said = refusal(read, tmp_path)
            assert said == "" or name in said
        assert isinstance(runs.read_metrics(tmp_path, damaged="skip"), list)


@few
@given(
    st.lists(st.text(string.printable + "/,%&?é帧", min_size=1, max_size=20), min_size=1, max_size=4),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.text(max_size=20),
)
def test_a_link_holds_what_it_was_made_of(names, number, switch, text):
    assert _read(",".join(quote(name, safe="") for name in names), ["x"]) == names
    assert _read(repr(number), 0.5) == number
    assert _read("1" if switch else "0", True) is switch
    assert _read(text, "x") == text
    assert isinstance(_read(text, 1), (float, str))
