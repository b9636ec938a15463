"""Scores of predicted frames, per clip and frame by named protocol, and diagnostics of the latent z. All in float64.

A number means nothing without its protocol: the definitions below differ by up to 0.3 dB and 0.17 SSIM on the same
pictures. Score the predicted frames only; context frames never count. Average over frames first, then over clips.

Infinity and NaN: identical frames have an infinite PSNR, and a mean that holds one is infinite (it is not capped, and
not left out: either would invent a number). A NaN in a prediction gives a NaN score; true frames must be finite.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from vidpred.errors import BadInput

# Numbers per float64 work array (2 MB), about a dozen of which live at once, whatever the size of the input. With 8 MB
# each, which leave the processor's caches, scoring takes one and a half times to twice as long.
CHUNK = 2**18
MOVED = 0.1  # change of a pixel, in any channel, from which on the scene moves there
RANGE_TOLERANCE = 1e-4  # what arithmetic and resampling may add to [0, 1]; a picture in 0 … 255 misses by far


# --- per clip and frame -----------------------------------------------------------------------------------------------


def psnr(x_pred: Tensor, x: Tensor, protocol: str = "finn") -> Tensor:
    """PSNR in dB, data range 1, no clamp: two (…, T, C, H, W) in [0, 1] -> float64 (…, T).

    "finn": 10 log10(1 / MSE) per channel, then the mean of the channels (Finn et al. 2016, SVG).
    "joint": one MSE over all channels of a frame (the dance reports).
    An identical frame (for "finn": an identical channel) is infinite.
    """
    if protocol == "finn":
        return _per_frame(x_pred, x, _psnr_finn)
    if protocol == "joint":
        return _per_frame(x_pred, x, _psnr_joint)
    raise BadInput(f"unknown PSNR protocol {protocol!r}: choose finn or joint")


def ssim_finn(x_pred: Tensor, x: Tensor) -> Tensor:
    """SSIM of Finn et al. 2016 and SVG's training script: two (…, T, C, H, W) in [0, 1] -> float64 (…, T).

    11 x 11 Gaussian window (sigma 1.5), only where it fits whole, data range 1, population covariance, mean of map and
    channels.
    """
    offset = torch.arange(11, dtype=torch.float64) - 5
    window = torch.exp(-(offset**2) / (2 * 1.5**2))
    return _per_frame(x_pred, x, partial(_ssim, window=window / window.sum(), c1=0.01**2, c2=0.03**2, cov_scale=1.0))


def ssim_skimage014(x_pred: Tensor, x: Tensor) -> Tensor:
    """SSIM as scikit-image 0.14 computes it for floats (SVG's generation scripts): (…, T, C, H, W) -> float64 (…, T).

    7 x 7 uniform window, border of 3 cropped, data range 2 (it takes floats to span [-1, 1]), sample covariance.
    """
    window = torch.full((7,), 1 / 7, dtype=torch.float64)
    return _per_frame(x_pred, x, partial(_ssim, window=window, c1=0.02**2, c2=0.06**2, cov_scale=49 / 48))


def moving(x: Tensor, x_before: Tensor) -> Tensor:
    """Where the scene moves: frames (…, C, H, W) and what was there before -> bool (…, H, W).

    True at the pixels that differ by more than MOVED in a channel, and at their eight neighbours: where things were
    and where they are. Computed from true frames alone, so that all predictions are scored at the same pixels.
    """
    moved = ((x - x_before).abs() > MOVED).any(dim=-3)
    wide = F.max_pool2d(moved.flatten(0, -3)[:, None].to(x.dtype), 3, stride=1, padding=1)
    return wide[:, 0].reshape(moved.shape) > 0


def sharpness(x_pred: Tensor, x: Tensor, x_before: Tensor) -> Tensor:
    """Gradient magnitude of the prediction over that of the truth, where the scene moves -> float64 (…, T).

    x_pred, x: (…, T, C, H, W) in [0, 1]; x_before: the last context frame, (…, 1, C, H, W) or of the shape of x. Each
    frame's channels are averaged; the gradient is the pair of forward differences to the right and down (the last row
    and column have none), its magnitude their Euclidean norm; both sums run over the pixels of `moving(x, x_before)`.
    1 for the truth itself, below 1 for blur, above 1 for noise; it says nothing about whether the edges are in the
    right place. NaN where nothing moves, or what moves has no edge.
    """
    return _per_frame(x_pred, x, _sharpness, x_before)


def psnr_motion(x_pred: Tensor, x: Tensor, x_before: Tensor) -> Tensor:
    """PSNR in dB of the pixels of `moving(x, x_before)` -> float64 (…, T); shapes as for `sharpness`.

    One MSE over these pixels and all channels. NaN where nothing moves.
    """
    return _per_frame(x_pred, x, _psnr_motion, x_before)


METRICS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "psnr_finn": partial(psnr, protocol="finn"),
    "psnr_joint": partial(psnr, protocol="joint"),
    "ssim_finn": ssim_finn,
    "ssim_skimage014": ssim_skimage014,
}  # (x_pred, x) -> (…, T) by named protocol; for all of them higher is better


@torch.no_grad()
def _per_frame(x_pred: Tensor, x: Tensor, score: Callable[..., Tensor], x_before: Tensor | None = None) -> Tensor:
    """Apply score: two or three float64 (n, C, H, W) -> (n,) over all frames in chunks; the shape (…, T) comes back.

    Expanded tensors (one clip against N samples: `x.expand_as(samples)`) are read as they are, never copied whole.
    """
    if x_pred.shape != x.shape:
        raise ValueError(f"prediction {tuple(x_pred.shape)} and truth {tuple(x.shape)} must have the same shape")
    if x.ndim < 4 or x.numel() == 0:
        raise ValueError(f"frames must be (…, T, C, H, W) and not empty, got shape {tuple(x.shape)}")
    if not (x_pred.is_floating_point() and x.is_floating_point()):
        raise ValueError(f"frames must be floating point in [0, 1], got {x_pred.dtype} and {x.dtype}")
    if x_pred.device != x.device:
        raise ValueError(f"prediction on {x_pred.device} and truth on {x.device}: move them to one device")
    device = torch.device("cpu") if x.device.type == "mps" else x.device  # Apple's GPUs have no float64
    batch_shape = x.shape[:-3]
    frames, frames_per_chunk = math.prod(batch_shape), max(1, CHUNK // math.prod(x.shape[-3:]))
    scores = torch.empty(frames, dtype=torch.float64, device=device)
    for start in range(0, frames, frames_per_chunk):
        rows = slice(start, min(start + frames_per_chunk, frames))
        index = torch.unravel_index(torch.arange(rows.start, rows.stop, device=x.device), batch_shape)
        truth = x[index].to(device).double()
        low, high = truth.aminmax()
        if not (low >= -RANGE_TOLERANCE and high <= 1 + RANGE_TOLERANCE):  # written so that NaN fails too
            raise ValueError(f"true frames must lie in [0, 1], got values from {low.item():g} to {high.item():g}")
        before = [] if x_before is None else [x_before.expand_as(x)[index].to(device).double()]
        scores[rows] = score(x_pred[index].to(device).double(), truth, *before)
    return scores.reshape(batch_shape)


def _psnr_finn(x_pred: Tensor, x: Tensor) -> Tensor:
    mse = (x_pred - x).square().mean(dim=(-2, -1))  # n, C
    return (-10 * torch.log10(mse)).mean(dim=-1)


def _psnr_joint(x_pred: Tensor, x: Tensor) -> Tensor:
    return -10 * torch.log10((x_pred - x).square().mean(dim=(-3, -2, -1)))


def _sharpness(x_pred: Tensor, x: Tensor, x_before: Tensor) -> Tensor:
    where = moving(x, x_before)[:, :-1, :-1]  # n, H - 1, W - 1
    of_pred, of_truth = ((_gradient(frames) * where).sum(dim=(-2, -1)) for frames in (x_pred, x))
    return torch.where(of_truth > 0, of_pred / of_truth, torch.nan)


def _gradient(x: Tensor) -> Tensor:
    """Magnitude of the forward differences of the mean of the channels: (n, C, H, W) -> (n, H - 1, W - 1)."""
    grey = x.mean(dim=-3)
    here = grey[:, :-1, :-1]
    return torch.hypot(grey[:, :-1, 1:] - here, grey[:, 1:, :-1] - here)


def _psnr_motion(x_pred: Tensor, x: Tensor, x_before: Tensor) -> Tensor:
    where = moving(x, x_before)
    mse = ((x_pred - x).square().mean(dim=-3) * where).sum(dim=(-2, -1)) / where.sum(dim=(-2, -1))
    return -10 * torch.log10(mse)  # 0 / 0 where nothing moves


def _ssim(x_pred: Tensor, x: Tensor, window: Tensor, c1: float, c2: float, cov_scale: float) -> Tensor:
    """Wang et al. 2004, equation 13, with a separable window (K,), valid positions only: (n, C, H, W) -> (n,)."""
    height, width = x.shape[-2:]
    if min(height, width) < len(window):
        raise ValueError(f"frames of {height} x {width} are smaller than the {len(window)} x {len(window)} SSIM window")
    # The filter as two matrix products: float64 convolutions are slow on every device, matrix products are not.
    across, down = (_band(window, size).to(x.device) for size in (width, height))

    def local_mean(values: Tensor) -> Tensor:
        return down.T @ (values @ across)  # n, C, H - K + 1, W - K + 1

    mu_p, mu_x = local_mean(x_pred), local_mean(x)
    var_p = cov_scale * (local_mean(x_pred.square()) - mu_p.square())
    var_x = cov_scale * (local_mean(x.square()) - mu_x.square())
    cov = cov_scale * (local_mean(x_pred * x) - mu_p * mu_x)
    luminance = (2 * mu_p * mu_x + c1) / (mu_p.square() + mu_x.square() + c1)
    contrast_structure = (2 * cov + c2) / (var_p + var_x + c2)
    return (luminance * contrast_structure).mean(dim=(-3, -2, -1))  # maps of one size: mean of means


def _band(window: Tensor, size: int) -> Tensor:
    """Matrix (size, size - K + 1) whose column j holds the window (K,) from row j on: values @ band filters a row."""
    band = torch.zeros(size, size - len(window) + 1, dtype=window.dtype)
    for offset, weight in enumerate(window.tolist()):
        band.diagonal(-offset).fill_(weight)
    return band


# --- over samples -----------------------------------------------------------------------------------------------------


class BestOfN(NamedTuple):
    mean: float  # over clips, of the best sample's time average
    ci95: float  # half width of the 95 % interval, 1.96 * std / sqrt(clips)
    index: Tensor  # (clips,) int64: the sample picked for each clip


def best_of_n(values: Tensor) -> BestOfN:
    """Scores (N samples, clips, T), higher better -> the best sample per clip, and the mean over clips.

    Call it once per metric: each metric picks its own samples. The picked curves, (clips, T), are
    `values[best.index, torch.arange(clips)]`. std is the sample deviation (ddof 1); a single clip has ci95 0. With an
    infinite score in a picked curve the mean is infinite and ci95 is NaN. Raises ValueError for NaN scores.
    """
    if values.ndim != 3 or values.numel() == 0:
        raise ValueError(f"values must be (N, clips, T) and not empty, got shape {tuple(values.shape)}")
    if torch.isnan(values).any():
        raise ValueError("values hold NaN: the best of N is not defined")
    best, index = values.double().mean(dim=-1).max(dim=0)  # clips
    clips = len(best)
    ci95 = 1.96 * best.std(correction=1).item() / math.sqrt(clips) if clips > 1 else 0.0
    return BestOfN(best.mean().item(), ci95, index)


def best_of_each_n(values: Tensor) -> Tensor:
    """Scores (N samples, clips, T), higher better -> float64 (N,): the best of one sample, of two, …, mean over clips.

    The best of n is the mean over all choices of n of the N samples, so it hangs on no order: rank k, with k samples
    below it, is the best of a fraction comb(k, n - 1) / comb(N, n) of them. The last entry is `best_of_n`'s mean.
    """
    ordered = values.double().mean(dim=-1).sort(dim=0).values  # samples, clips
    samples = len(ordered)
    n = torch.arange(1, samples + 1, dtype=torch.float64)
    fraction, best = n / samples, torch.zeros(samples, ordered.shape[1], dtype=torch.float64)
    for k in reversed(range(samples)):
        best += torch.where(fraction[:, None] > 0, fraction[:, None] * ordered[k], 0)  # 0 times an infinite score is 0
        fraction = fraction * (k - n + 1).clamp(min=0) / max(k, 1)
    return best.mean(1)


@torch.no_grad()
def sample_diversity(samples: Tensor) -> Tensor:
    """Samples (N, clips, T, C, H, W), N >= 2 -> float64 (clips, T): RMSE between two samples, mean over all pairs.

    In units of the pixel range; 0 when z changes nothing.
    """
    if samples.ndim != 6 or len(samples) < 2 or samples.numel() == 0:
        raise ValueError(f"samples must be (N >= 2, clips, T, C, H, W) and not empty, got {tuple(samples.shape)}")
    if not samples.is_floating_point():
        raise ValueError(f"samples must be floating point in [0, 1], got {samples.dtype}")
    n, clips, steps = samples.shape[:3]
    pixels = math.prod(samples.shape[3:])
    device = torch.device("cpu") if samples.device.type == "mps" else samples.device
    diversity = torch.empty(clips * steps, dtype=torch.float64, device=device)
    frames_per_chunk = max(1, CHUNK // (n * pixels))
    for start in range(0, clips * steps, frames_per_chunk):
        rows = torch.arange(start, min(start + frames_per_chunk, clips * steps), device=samples.device)
        clip, step = torch.unravel_index(rows, (clips, steps))
        pictures = samples[:, clip, step].flatten(2).to(device).double().transpose(0, 1).contiguous()  # rows, N, pixels
        # The matrix-product form of the distance loses half the digits where samples are nearly alike.
        distance = torch.cdist(pictures, pictures, compute_mode="donot_use_mm_for_euclid_dist")  # rows, N, N
        diversity[start : start + len(rows)] = distance.sum(dim=(1, 2)) / (n * (n - 1)) / math.sqrt(pixels)
    return diversity.reshape(clips, steps)


# --- is z used? -------------------------------------------------------------------------------------------------------


def active_units(mu: Tensor, threshold: float = 0.01) -> int:
    """Posterior means (clips, steps, z…) -> number of z whose variance over clips and steps exceeds the threshold.

    Burda et al. 2016, section 5.2, with the population variance. Trailing axes (maps) are counted element by element.
    """
    means = _units(mu)
    return int((means.flatten(0, 1).var(dim=0, correction=0) > threshold).sum())


def active_units_per_step(mu: Tensor, threshold: float = 0.01) -> Tensor:
    """As active_units, with the variance over clips at each step on its own: (clips, steps, z…) -> int64 (steps,).

    With a learned prior give it mu_q - mu_p: a mean that the prior foretells carries nothing.
    """
    return (_units(mu).var(dim=0, correction=0) > threshold).sum(dim=-1)


def _units(mu: Tensor) -> Tensor:
    if mu.ndim < 3 or mu.numel() == 0:
        raise ValueError(f"mu must be (clips, steps, z) and not empty, got shape {tuple(mu.shape)}")
    mu = mu.detach().double() if mu.device.type != "mps" else mu.detach().cpu().double()
    return mu.flatten(2)
