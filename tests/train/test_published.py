"""The report's training as a candidate of the benchmark: resumed exactly, spread over its time, scored as a run is."""

import itertools
from dataclasses import replace

import pytest
import torch

from tests.commands import fails
from train.benchmark.candidates import candidate
from train.benchmark.published import PUBLISHED, train_published
from train.benchmark.quality import scores
from train.benchmark.yardstick import PublishedClips, PublishedSVG, copy_weights
from vidpred import checkpoint, schedules
from vidpred.data.batches import open_split
from vidpred.models import build_model

SECONDS, POINTS = 6, 2


@pytest.fixture
def settings():
    report = PUBLISHED["published"]
    model = replace(report.model, width=3, g_dim=8, z_dim=5, rnn_size=12)
    return replace(report, model=model, train=replace(report.train, batch_size=2))


@pytest.fixture
def clips(tiny_data, settings):
    return PublishedClips(tiny_data / "train", settings.data.n_past + settings.data.n_future)


def ticks():
    """A processor of which every step takes a second."""
    return itertools.count().__next__


def interrupted(calls):
    """The same, until somebody stops it."""
    yield from range(calls)
    raise KeyboardInterrupt


def weights_of(kept):
    return [checkpoint.load_tensors(point["weights"]) for point in kept]


def test_a_stopped_training_goes_on_to_the_same_weights(settings, clips, tmp_path):
    whole = train_published(tmp_path / "whole", settings, clips, SECONDS, POINTS, 2, ticks())
    assert [(point["step"], point["processor_seconds"]) for point in whole] == [(3, 3), (6, 6)]
    with pytest.raises(KeyboardInterrupt):
        train_published(tmp_path / "stopped", settings, clips, SECONDS, POINTS, 2, interrupted(6).__next__)
    # the state is that of step 4, saved every second step; another time asked for on the way changes nothing
    resumed = train_published(tmp_path / "stopped", settings, clips, 100, 1, 2, ticks())
    assert [point["step"] for point in resumed] == [3, 6]
    for one, other in zip(weights_of(whole), weights_of(resumed)):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    again = train_published(tmp_path / "whole", settings, clips, SECONDS, POINTS, 2, interrupted(1).__next__)
    assert again == whole  # nothing left to train


def test_the_schedules_are_run_through(settings, clips, tmp_path, monkeypatch):
    """Beta rises to 1 four times and teacher forcing ends, however few the steps; the batches differ."""
    seen = []

    def loss(self, x, conditions, noise, n_past, beta, teacher_forcing):
        seen.append((beta, teacher_forcing, (n_past, len(x), len(conditions), len(noise)), conditions[0].tolist()))
        return self.posterior.mu_net.bias.sum(), None, None

    monkeypatch.setattr(PublishedSVG, "loss", loss)
    train_published(tmp_path / "run", settings, clips, 16, 1, 100, ticks())
    assert [step[0] for step in seen] == pytest.approx([0, 0.5, 1, 1] * 4, abs=1e-3)
    forced = [step[1] for step in seen]
    assert all(forced[:6]) and not all(forced[6:])  # falls from 60 of the 160 epochs on
    assert {step[2] for step in seen} == {(2, 12, 12, 11)}
    assert len({str(step[3]) for step in seen}) > 12  # of 16 batches of two


def test_kept_weights_are_those_that_were_trained(settings, clips, tmp_path):
    """In vidpred's model they predict what the published model with the last state does."""
    (kept,) = train_published(tmp_path / "run", settings, clips, 2, 1, 100, ticks())
    state = {
        name.removeprefix("model."): value
        for file in (tmp_path / "run" / "last").glob("*.safetensors")
        for name, value in checkpoint.load_tensors(file).items()
    }
    model, published = build_model(settings.model), PublishedSVG(settings.model)
    checkpoint.load_weights(kept["weights"], model)
    copy_weights(model, published)
    for name, value in published.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            torch.testing.assert_close(value, state[name], rtol=0, atol=0, msg=name)


def test_scored_as_any_candidate(settings, clips, tiny_data, tmp_path):
    (kept,) = train_published(tmp_path / "run", settings, clips, 4, 1, 100, ticks())
    model = build_model(settings.model).eval()
    checkpoint.load_weights(kept["weights"], model)
    numbers = scores(model, open_split(tiny_data, "validate"), [0, 1], settings, 2)
    assert numbers["psnr_best"] > numbers["psnr"] > 3 and numbers["diversity"] > 0


def test_the_schedules_of_the_others():
    """published-schedules differs from published in beta, learning rate and teacher forcing alone."""
    report, other = (candidate(name, 25) for name in ("published", "published-schedules"))
    assert (report.model, report.data) == (other.model, other.data)
    ours = candidate("first", 25).train
    end = other.train.epochs
    assert schedules.tfr_at(other.train, end) == schedules.tfr_at(replace(ours, epochs=end), end) == 0
    assert (other.train.beta_max, other.train.lr_decay) == (ours.beta_max, ours.lr_decay)
    assert (report.train.beta_max, report.train.lr_decay, report.train.batch_size) == (1, "none", 12)


def test_an_unknown_candidate_is_named(tmp_path):
    options = ("--data", "nowhere", "--out", tmp_path, "--candidates", "published", "publishd")
    said = fails("train.benchmark", "quality", *options)
    assert "unknown candidate 'publishd'" in said
    assert ", published" in said
