"""Scores against an independent NumPy reference, and the ways in which such numbers go wrong."""

import itertools
import math

import numpy as np
import pytest
import torch

from vidpred import metrics
from vidpred.errors import BadInput


def pair(*shape, seed=0, noise=0.1):
    """Smooth true frames and a noisy prediction, float32 in [0, 1]."""
    rng = np.random.default_rng(seed)
    truth = rng.random(shape).cumsum(-1).cumsum(-2)
    truth /= truth.max()
    pred = np.clip(truth + noise * rng.standard_normal(shape), 0, 1)
    return torch.from_numpy(pred).float(), torch.from_numpy(truth).float()


# --- reference: plain NumPy, a frame and a window at a time -----------------------------------------------------------


def reference_psnr(p, x, joint):
    p, x = p.astype(np.float64), x.astype(np.float64)
    if joint:
        return 10 * math.log10(1 / np.mean((p - x) ** 2))
    return np.mean([10 * math.log10(1 / np.mean((p[c] - x[c]) ** 2)) for c in range(len(p))])


def reference_ssim(p, x, window, data_range, ddof):
    """Wang et al. 2004 from the moments of every window position: mean of ((x - mean)^2), not E[x^2] - mean^2."""
    size = len(window)
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    scale = size**2 / (size**2 - ddof)
    channels = []
    for c in range(len(p)):
        scores = []
        for i in range(p.shape[1] - size + 1):
            for j in range(p.shape[2] - size + 1):
                a = p[c, i : i + size, j : j + size].astype(np.float64)
                b = x[c, i : i + size, j : j + size].astype(np.float64)
                mean_a, mean_b = (window * a).sum(), (window * b).sum()
                var_a, var_b = scale * (window * (a - mean_a) ** 2).sum(), scale * (window * (b - mean_b) ** 2).sum()
                cov = scale * (window * (a - mean_a) * (b - mean_b)).sum()
                scores.append(
                    (2 * mean_a * mean_b + c1) * (2 * cov + c2) / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
                )
        channels.append(np.mean(scores))
    return np.mean(channels)


def gaussian_window():
    y, x = np.mgrid[-5:6, -5:6]
    window = np.exp(-(x**2 + y**2) / (2 * 1.5**2))
    return window / window.sum()


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("psnr_finn", lambda p, x: reference_psnr(p, x, joint=False)),
        ("psnr_joint", lambda p, x: reference_psnr(p, x, joint=True)),
        ("ssim_finn", lambda p, x: reference_ssim(p, x, gaussian_window(), data_range=1, ddof=0)),
        ("ssim_skimage014", lambda p, x: reference_ssim(p, x, np.full((7, 7), 1 / 49), data_range=2, ddof=1)),
    ],
)
def test_equals_the_reference(name, reference):
    x_pred, x = pair(2, 2, 3, 18, 26)  # clips, T, C, H, W: height and width differ
    scores = metrics.METRICS[name](x_pred, x)
    assert scores.shape == (2, 2)
    assert scores.dtype == torch.float64
    expected = [[reference(p, t) for p, t in zip(ps, ts)] for ps, ts in zip(x_pred.numpy(), x.numpy())]
    np.testing.assert_allclose(scores.numpy(), expected, rtol=0, atol=1e-10)


def test_flat_bright_frames_keep_their_digits():
    """Where E[x^2] - mean^2 cancels: float32 arithmetic is wrong in the third digit, float64 must not be."""
    x = torch.full((1, 3, 16, 16), 0.9)
    x_pred = x + 1e-3 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    expected = reference_ssim(x_pred[0].numpy(), x[0].numpy(), gaussian_window(), 1, 0)
    assert metrics.ssim_finn(x_pred, x).item() == pytest.approx(expected, abs=1e-9)


def test_psnr_is_of_each_frame_not_of_the_batch():
    x = torch.full((2, 2, 3, 8, 8), 0.5)
    x_pred = x.clone()
    x_pred[0] += 0.1  # 20 dB
    x_pred[1] += 0.001  # 60 dB
    per_frame = metrics.psnr(x_pred, x)
    assert per_frame.tolist() == [pytest.approx([20, 20], abs=1e-4), pytest.approx([60, 60], abs=1e-2)]
    of_the_batch = -10 * math.log10((x_pred - x).square().mean())
    assert per_frame.mean().item() == pytest.approx(40, abs=1e-2)
    assert per_frame.mean().item() - of_the_batch > 15  # what the trap would have reported


def test_protocols_of_psnr_differ_where_the_channels_do():
    x = torch.full((1, 3, 4, 4), 0.5)
    x_pred = x + torch.tensor([0.1, 0.01, 0.001]).reshape(3, 1, 1)
    assert metrics.psnr(x_pred, x, "finn").item() == pytest.approx(40, abs=1e-3)
    assert metrics.psnr(x_pred, x, "joint").item() == pytest.approx(-10 * math.log10(0.010101 / 3), abs=1e-4)


@pytest.mark.parametrize("name", metrics.METRICS)
def test_scores_do_not_depend_on_batch_chunk_or_leading_shape(name, monkeypatch):
    score = metrics.METRICS[name]
    x_pred, x = pair(5, 3, 3, 16, 24)
    together = score(x_pred, x)
    for clip in range(5):
        torch.testing.assert_close(score(x_pred[clip], x[clip]), together[clip], rtol=0, atol=1e-12)
    monkeypatch.setattr(metrics, "CHUNK", 4 * 3 * 16 * 24)  # chunks of 4 frames: 15 frames end in a short one
    torch.testing.assert_close(score(x_pred, x), together, rtol=0, atol=1e-12)
    monkeypatch.setattr(metrics, "CHUNK", 1)
    samples = score(x_pred[None, None], x[None, None])
    assert samples.shape == (1, 1, 5, 3)
    torch.testing.assert_close(samples[0, 0], together, rtol=0, atol=1e-12)


def test_work_arrays_stay_small(monkeypatch):
    """Memory that grows with the test split runs out on someone's machine."""
    seen = []
    monkeypatch.setattr(metrics, "_psnr_joint", lambda x_pred, x: seen.append(x.numel()) or torch.zeros(len(x)))
    monkeypatch.setattr(metrics, "CHUNK", 1000)
    metrics.psnr(*pair(7, 5, 3, 8, 8), "joint")
    assert max(seen) <= 1000
    assert sum(seen) == 7 * 5 * 3 * 8 * 8  # every pixel once


@pytest.mark.parametrize("name", metrics.METRICS)
def test_expanded_truth_and_foreign_strides(name):
    score = metrics.METRICS[name]
    x_pred, x = pair(4, 2, 3, 16, 16)
    expected = torch.stack([score(sample, x[0]) for sample in x_pred])
    torch.testing.assert_close(score(x_pred, x[0].expand_as(x_pred)), expected, rtol=0, atol=1e-12)
    strided = x_pred.permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)
    torch.testing.assert_close(score(strided, x[0].expand_as(x_pred)), expected, rtol=0, atol=1e-12)


def test_identical_frames():
    _, x = pair(1, 2, 3, 16, 16)
    assert metrics.psnr(x, x).tolist() == [[math.inf, math.inf]]
    assert metrics.psnr(x, x, "joint").tolist() == [[math.inf, math.inf]]
    assert metrics.ssim_finn(x, x)[0].tolist() == pytest.approx([1, 1], abs=1e-12)
    assert metrics.ssim_skimage014(x, x)[0].tolist() == pytest.approx([1, 1], abs=1e-12)
    # An infinite frame makes the mean infinite: it is neither capped nor dropped.
    half = x.clone()
    half[:, 1] = 1 - half[:, 1]
    assert metrics.psnr(half, x).mean().item() == math.inf


def test_no_clamp_and_nan_of_a_prediction_shows():
    x = torch.full((1, 2, 3, 8, 8), 0.9)
    x_pred = x + 0.2  # 1.1: out of range by 0.1, and scored as it is
    x_pred[0, 1, 0, 0, 0] = math.nan
    scores = metrics.psnr(x_pred, x)
    assert scores[0, 0].item() == pytest.approx(-20 * math.log10(0.2), abs=1e-4)
    assert math.isnan(scores[0, 1])


def test_padding_the_border_gives_another_number():
    """What torchmetrics averages, the map over a reflected border, is not this protocol: the difference is visible."""
    x_pred, x = pair(1, 3, 64, 64)
    valid = metrics.ssim_finn(x_pred, x).item()
    padded = metrics.ssim_finn(*(torch.nn.functional.pad(v, (5, 5, 5, 5), mode="reflect") for v in (x_pred, x))).item()
    assert abs(valid - padded) > 1e-3


def test_autocast_and_gradients_change_nothing():
    x_pred, x = pair(1, 2, 3, 16, 16)
    expected = metrics.ssim_finn(x_pred, x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(metrics.ssim_finn(x_pred, x), expected)
    assert not metrics.ssim_finn(x_pred.requires_grad_(), x).requires_grad  # no graph is kept over a test split


@pytest.mark.parametrize("name", metrics.METRICS)
def test_wrong_frames_are_errors(name):
    score = metrics.METRICS[name]
    x_pred, x = pair(2, 3, 16, 16)
    with pytest.raises(ValueError, match="same shape"):
        score(x_pred, x[:1])  # broadcasting would score the wrong pairs
    with pytest.raises(ValueError, match="floating"):
        score((x_pred * 255).byte(), (x * 255).byte())
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        score(x_pred * 255, x * 255)
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        score(x_pred, torch.full_like(x, math.nan))
    with pytest.raises(ValueError, match="T, C, H, W"):
        score(x_pred[0], x[0])
    with pytest.raises(ValueError, match="empty"):
        score(x_pred[:0], x[:0])  # its mean would be NaN


def test_frames_smaller_than_the_window_are_errors():
    x_pred, x = pair(1, 3, 64, 10)
    with pytest.raises(ValueError, match="11 x 11"):
        metrics.ssim_finn(x_pred, x)


def test_an_unknown_protocol_says_what_there_is():
    with pytest.raises(BadInput, match="joint"):
        metrics.psnr(*pair(1, 3, 4, 4), protocol="mean")


# --- where the scene moves -------------------------------------------------------------------------------------------


def bars(*places):
    """Frames (1, T, 3, 32, 32) of a dark ground with bright bars from column `place` to `place` + 8, one each frame."""
    x = torch.full((1, len(places), 3, 32, 32), 0.2)
    for t, place in enumerate(places):
        x[:, t, :, :, place : place + 8] = 0.8
    return x


def blurred(x):
    """Mean of 5 columns."""
    wide = torch.nn.functional.pad(x.flatten(0, 1), (2, 2, 0, 0), mode="replicate").unfold(-1, 5, 1).mean(-1)
    return wide.reshape(x.shape)


def test_what_moves_is_where_things_were_and_are_and_a_pixel_around():
    before, x = bars(4), bars(6)  # columns 4 and 5 went dark, 12 and 13 bright
    columns = metrics.moving(x, before)[0, 0].all(0).nonzero().flatten().tolist()
    assert columns == [3, 4, 5, 6, 11, 12, 13, 14]
    faint = before.clone()
    faint[..., 20:] += 0.09  # noise of the ground moves nothing
    assert not metrics.moving(faint, before).any()


def test_sharpness_has_known_answers():
    before, x = bars(4), bars(12)
    assert metrics.sharpness(x, x, before).item() == 1
    assert metrics.sharpness(1 - x, x, before).item() == pytest.approx(1)  # not where edges go up, but how steep
    assert metrics.sharpness(0.5 * x, x, before).item() == pytest.approx(0.5)
    assert metrics.sharpness(torch.full_like(x, 0.5), x, before).item() == 0
    noise = 0.1 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    assert metrics.sharpness(x + noise, x, before).item() > 1.2
    still = x.clone()
    still[..., 26:] = 0.5  # nothing moves there: no matter what is drawn
    assert metrics.sharpness(still, x, before).item() == 1
    assert metrics.sharpness(before, before, before).isnan().all()  # nothing moves at all
    soft_truth = blurred(x)
    fog = (soft_truth + blurred(bars(16))) / 2  # the mean of two futures: less steep than either
    assert metrics.sharpness(fog, soft_truth, before).item() < 0.85


def test_sharpness_is_the_sum_of_forward_differences_where_it_moves():
    """Beside plain NumPy, a pixel at a time."""
    x_pred, x = pair(1, 2, 3, 9, 12, noise=0.05)
    before = torch.rand(1, 1, 3, 9, 12, generator=torch.Generator().manual_seed(1))
    ours = metrics.sharpness(x_pred, x, before)
    where = metrics.moving(x, before.expand_as(x)).numpy()
    for t in range(2):
        sums = []
        for frame in (x_pred[0, t], x[0, t]):
            grey = frame.double().numpy().mean(0)
            pixels = [(i, j) for i in range(8) for j in range(11) if where[0, t, i, j]]
            steps = [math.hypot(grey[i, j + 1] - grey[i, j], grey[i + 1, j] - grey[i, j]) for i, j in pixels]
            sums.append(sum(steps))
        assert ours[0, t].item() == pytest.approx(sums[0] / sums[1], rel=1e-9)


def test_psnr_in_motion_sees_the_moving_pixels_alone():
    before, x = bars(4), bars(12)
    x_pred = x.clone()
    x_pred[..., 26:] = 0.9  # nothing moves there
    assert metrics.psnr_motion(x_pred, x, before).item() == float("inf")
    x_pred[..., 10:18] += 0.1  # 8 of the 18 columns from 3 to 20
    expected = -10 * math.log10(0.01 * 8 / 18)
    assert metrics.psnr_motion(x_pred, x, before).item() == pytest.approx(expected, abs=1e-5)
    assert metrics.psnr_motion(x, x, x).isnan().all()


# --- over samples -----------------------------------------------------------------------------------------------------


def test_best_of_n_picks_by_time_average_per_clip_and_metric():
    # Clip 0: sample 1 has the best single frame, sample 0 the best average. Clip 1: sample 2.
    psnr = torch.tensor([[[20.0, 22], [10, 10]], [[30, 1], [11, 11]], [[19, 21], [14, 16]]])
    best = metrics.best_of_n(psnr)
    assert best.index.tolist() == [0, 2]
    assert best.mean == pytest.approx((21 + 15) / 2)
    assert best.ci95 == pytest.approx(1.96 * np.std([21, 15], ddof=1) / math.sqrt(2))
    assert psnr[best.index, torch.arange(2)].tolist() == [[20, 22], [14, 16]]
    assert metrics.best_of_n(-psnr).index.tolist() == [1, 0]  # another metric picks other samples


def test_best_of_n_is_not_the_best_sample_of_all_clips():
    values = torch.tensor([[[10.0], [20]], [[20], [10]]])
    assert metrics.best_of_n(values).mean == 20
    assert values.mean(dim=(1, 2)).max() == 15  # one sample for all clips


def test_best_of_n_borders():
    assert metrics.best_of_n(torch.ones(3, 1, 4)).ci95 == 0  # one clip: not NaN
    infinite = metrics.best_of_n(torch.tensor([[[1.0, math.inf], [1, 1]], [[5, 5], [2, 2]]]))
    assert infinite.index.tolist() == [0, 1]
    assert infinite.mean == math.inf
    with pytest.raises(ValueError, match="NaN"):
        metrics.best_of_n(torch.tensor([[[math.nan]], [[1.0]]]))  # max would pick the NaN
    with pytest.raises(ValueError, match="N, clips, T"):
        metrics.best_of_n(torch.ones(3, 4))


def test_best_of_each_n_is_the_mean_over_all_choices():
    values = torch.from_numpy(np.random.default_rng(0).normal(20, 3, (6, 4, 5)))
    means = values.mean(2)
    for n, best in enumerate(metrics.best_of_each_n(values).tolist(), 1):
        choices = [means[list(chosen)].amax(0).mean().item() for chosen in itertools.combinations(range(6), n)]
        assert best == pytest.approx(sum(choices) / len(choices), abs=1e-12)
    many = torch.from_numpy(np.random.default_rng(1).normal(size=(1500, 2, 1)))  # binomials beyond float64
    best = metrics.best_of_each_n(many)
    assert best[0].item() == pytest.approx(many.mean().item(), abs=1e-12)
    assert best[-1].item() == pytest.approx(metrics.best_of_n(many).mean, abs=1e-12)
    assert (best.diff() > 0).all()
    infinite = metrics.best_of_each_n(torch.tensor([[[math.inf]], [[math.inf]], [[1.0]]]))
    assert infinite.tolist() == [math.inf] * 3  # not NaN
    assert metrics.best_of_each_n(torch.ones(1, 2, 3)).tolist() == [1]


def test_sample_diversity_is_the_mean_distance_of_pairs(monkeypatch):
    samples, _ = pair(4, 3, 2, 3, 6, 5)
    diversity = metrics.sample_diversity(samples)
    assert diversity.shape == (3, 2)
    arrays = samples.double().numpy()
    pairs = [(i, j) for i in range(4) for j in range(i + 1, 4)]
    expected = np.mean([np.sqrt(((arrays[i] - arrays[j]) ** 2).mean(axis=(2, 3, 4))) for i, j in pairs], axis=0)
    np.testing.assert_allclose(diversity.numpy(), expected, rtol=0, atol=1e-12)
    monkeypatch.setattr(metrics, "CHUNK", 1)
    torch.testing.assert_close(metrics.sample_diversity(samples), diversity, rtol=0, atol=1e-12)


def test_sample_diversity_of_equal_samples_is_exactly_zero():
    samples, _ = pair(1, 2, 2, 3, 32, 32)
    # Distances from matrix products would show 1e-8 here, and a difference of 1e-7 as noise.
    assert (metrics.sample_diversity(samples.expand(5, -1, -1, -1, -1, -1)) == 0).all()
    near = torch.stack([samples[0].double(), samples[0].double() + 1e-7])
    torch.testing.assert_close(metrics.sample_diversity(near), torch.full((2, 2), 1e-7).double(), rtol=1e-6, atol=0)
    with pytest.raises(ValueError, match="N >= 2"):
        metrics.sample_diversity(samples)


# --- is z used? -------------------------------------------------------------------------------------------------------


def test_active_units_counts_what_varies():
    generator = torch.Generator().manual_seed(0)
    mu = torch.zeros(50, 6, 4)
    mu[..., 0] = torch.randn(50, 6, generator=generator)  # varies over clips: active
    mu[..., 1] = 5.0  # large but constant: carries nothing
    mu[..., 2] = 0.05 * torch.randn(50, 6, generator=generator)  # variance 0.0025: below the threshold
    mu[..., 3] = torch.arange(6.0)  # varies over steps alone
    assert metrics.active_units(mu) == 2
    assert metrics.active_units(mu, threshold=0.001) == 3
    per_step = metrics.active_units_per_step(mu)
    assert per_step.tolist() == [1] * 6  # over clips only: unit 3 is known from the step
    assert metrics.active_units_per_step(mu - mu).tolist() == [0] * 6  # the prior foretells it all
    assert metrics.active_units(mu[:1, :1]) == 0  # one clip, one step: not NaN
    maps = mu[..., None, None].expand(-1, -1, -1, 2, 3)
    assert metrics.active_units(maps) == 12
    with pytest.raises(ValueError, match="clips, steps, z"):
        metrics.active_units(mu[0])


def test_variance_of_large_means_keeps_its_digits():
    mu = 1000 + 0.2 * torch.tensor([-1.0, 1.0]).repeat(50).reshape(100, 1, 1)  # variance 0.04
    assert metrics.active_units(mu) == 1
