"""Sample k of seed s is one picture, wherever and with whatever else it is made."""

import pytest
import torch

from tests.promise import same_picture
from vidpred import checkpoint
from vidpred.clip import Clip
from vidpred.data.batches import open_split, window_batch
from vidpred.frames import to_uint8
from vidpred.models.batch_norm import update_running_statistics
from vidpred.rollout import Stepper, internal_batch, predict, rollout_noise

N_PAST, N_FUTURE = 2, 4


@pytest.fixture(scope="module")
def model(tiny_run, clip):
    """After so little training z has no visible effect: weights a little larger, and statistics that fit them."""
    model = checkpoint.load_trained(tiny_run)
    with torch.no_grad():
        model.frame_predictor.embed.weight[:, model.config.g_dim :] *= 30
        model.frame_predictor.out.weight *= 30
        torch.manual_seed(0)
        model.train().unroll(clip, torch.randn(3, N_PAST + N_FUTURE - 1, *model.z_shape), "posterior", "truth")
        update_running_statistics(model, 1.0)
    return model.eval()


@pytest.fixture(scope="module")
def batch(tiny_data):
    return window_batch(open_split(tiny_data, "test"), [0, 1, 2], N_PAST + N_FUTURE)


@pytest.fixture(scope="module")
def clip(batch):
    return batch.to_clip(N_PAST)


@pytest.fixture(scope="module")
def futures(model, clip, batch):
    return predict(model, clip, batch.ids, n_future=N_FUTURE, seed=5, samples=4)


def only(clip, b):
    return Clip(clip.frames[b : b + 1], clip.conditions[b : b + 1], clip.n_past)


def test_shape(futures):
    assert futures.shape == (4, 3, N_FUTURE, 3, 64, 64)
    assert futures.min() >= 0
    assert futures.max() <= 1


def test_samples_are_different_pictures(futures):
    """Else the tests below would see nothing."""
    pictures = to_uint8(futures)
    shares = [(pictures[i] != pictures[j]).mean() for i in range(4) for j in range(i)]
    assert min(shares) > 0.05


@pytest.mark.parametrize(("k", "b"), [(0, 0), (3, 2), (2, 1)])
def test_the_same_picture_alone_and_in_a_table(model, clip, batch, futures, k, b):
    alone = predict(model, only(clip, b), [batch.ids[b]], n_future=N_FUTURE, seed=5, samples=1, first_sample=k)
    assert same_picture(alone[0, 0], futures[k, b])


def test_a_longer_horizon_keeps_its_earlier_frames(model, clip, batch, futures):
    shorter = predict(model, clip, batch.ids, n_future=2, seed=5, samples=4)
    assert same_picture(shorter, futures[:, :, :2])


def test_only_context_frames_are_looked_at(model, clip, batch, futures):
    blank = clip.frames.clone()
    blank[:, N_PAST:] = 0
    again = predict(model, Clip(blank, clip.conditions, N_PAST), batch.ids, n_future=N_FUTURE, seed=5, samples=4)
    assert torch.equal(again, futures)


def test_seeds_samples_and_clips_have_noise_of_their_own(model):
    noise = [rollout_noise(model, s, k, c, 3) for s in (0, 1) for k in (0, 1) for c in ("test/a/1", "test/a/2")]
    assert all(not torch.equal(noise[i], noise[j]) for i in range(8) for j in range(i))


def test_global_seeds_do_not_matter(model, clip, batch, futures):
    torch.manual_seed(1234)
    state = torch.get_rng_state()
    again = predict(model, clip, batch.ids, n_future=N_FUTURE, seed=5, samples=4)
    assert torch.equal(again, futures)
    assert torch.equal(torch.get_rng_state(), state)


def test_temperature_spreads_the_samples_and_0_is_the_mean(model, clip, batch):
    """With a prior that is sure of nothing, so that z shows. The mean is one future: all its samples are equal, even
    where rounding depends on the place in the batch."""
    spread = {}
    for temperature in (0.0, 0.5, 1.0, 2.0):
        futures = predict(
            model, clip, batch.ids, n_future=N_FUTURE, samples=3, temperature=temperature, latent="standard"
        )
        spread[temperature] = futures.std(0).mean().item()
    assert spread[0.0] == 0
    assert spread[0.0] < spread[0.5] < spread[1.0] < spread[2.0]


def test_temperature_0_does_not_depend_on_the_seed(model, clip, batch):
    """Not even by the posterior's noise in the warm-up."""
    first, second = (predict(model, clip, batch.ids, n_future=N_FUTURE, seed=s, temperature=0.0) for s in (0, 1))
    assert torch.equal(first, second)


def test_the_learned_prior_is_what_is_sampled(model, clip, batch, futures):
    """Trained, and then replaced by N(0, I) at test: a published trap, here an option with a name."""
    standard = predict(model, clip, batch.ids, n_future=N_FUTURE, seed=5, samples=4, latent="standard")
    assert not torch.equal(standard, futures)


def test_a_model_in_training_mode_is_refused(model, clip, batch):
    model.train()
    with pytest.raises(ValueError, match="eval mode"):
        predict(model, clip, batch.ids, n_future=1)
    model.eval()


def test_too_few_frames_are_refused(model, clip, batch):
    with pytest.raises(ValueError, match="context frames needed"):
        predict(model, Clip(clip.frames[:, :1], clip.conditions, 2), batch.ids, n_future=1)


def test_the_internal_batch_divides_nothing(model, clip, batch):
    """The number of samples need not fit the batch: a published suite drops the rest."""
    samples = internal_batch(model) // 3 + 2
    assert len(predict(model, clip, batch.ids, n_future=1, samples=samples)) == samples


# --- the live stepper


def begun(model, clip, noise, b=0):
    """A stepper for one clip, and what it is fed at each step."""
    one = only(clip, b)
    stepper = Stepper(model, model.look(one), noise[None, : N_PAST - 1])
    return stepper, [(one.conditions[:, t], noise[None, t]) for t in range(N_PAST - 1, N_PAST - 1 + N_FUTURE)]


def test_the_stepper_makes_the_frames_of_the_rollout(model, clip, batch, futures):
    noise = rollout_noise(model, 5, 2, batch.ids[1], N_PAST - 1 + N_FUTURE)
    stepper, inputs = begun(model, clip, noise, 1)
    frames = torch.stack([stepper.next(*given)[0] for given in inputs])
    assert same_picture(frames, futures[2, 1])


def test_a_kept_state_takes_a_step_again(model, clip, batch):
    """Undo in the app: back to a state, another action, and back again."""
    noise = rollout_noise(model, 0, 0, batch.ids[0], N_PAST - 1 + N_FUTURE)
    stepper, inputs = begun(model, clip, noise)
    stepper.next(*inputs[0])
    kept = stepper.state
    first = stepper.next(*inputs[1])
    stepper.next(*inputs[2])
    stepper.state = kept
    assert not torch.equal(stepper.next(inputs[1][0] + 1, inputs[1][1]), first)
    stepper.state = kept
    assert torch.equal(stepper.next(*inputs[1]), first)
