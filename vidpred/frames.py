"""The border between pictures and tensors: the only two functions that cross it."""

import numpy as np
import torch

from vidpred.errors import BadInput


def to_float(frames: np.ndarray | torch.Tensor) -> torch.Tensor:
    """uint8 (…, T, H, W, C) -> float32 (…, T, C, H, W) in [0, 1], on the device of the input.

    A pixel's channels stay side by side in memory, as they are on disk and as the encoder takes them.

    Raises ValueError for another dtype (a float picture would be divided by 255 a second time).
    """
    if isinstance(frames, np.ndarray):
        if frames.dtype != np.uint8:
            raise ValueError(f"frames must be uint8, got {frames.dtype}")
        # torch warns about arrays it could write into by mistake; a memory-mapped clip is copied while it is small.
        writable = frames.flags.writeable and all(stride >= 0 for stride in frames.strides)
        frames = torch.from_numpy(frames if writable else frames.copy())
    if frames.dtype != torch.uint8:
        raise ValueError(f"frames must be uint8, got {frames.dtype}")
    if frames.ndim < 3:
        raise ValueError(f"frames must be (…, T, H, W, C), got shape {tuple(frames.shape)}")
    # One memory layout for one picture: the layout picks the convolution kernel, and that the last bits of its result.
    return frames.contiguous().to(torch.float32).div_(255.0).movedim(-1, -3)


def to_uint8(frames: np.ndarray | torch.Tensor) -> np.ndarray:
    """Float (…, T, C, H, W) -> numpy uint8 (…, T, H, W, C): clamped to [0, 1], rounded to nearest, ties to even.

    Raises ValueError for integers (already on the other side of the border), BadInput for values that are not finite.
    """
    frames = torch.from_numpy(frames.copy()) if isinstance(frames, np.ndarray) else frames.detach()
    if not frames.is_floating_point():
        raise ValueError(f"frames must be floating point, got {frames.dtype}")
    if frames.ndim < 3:
        raise ValueError(f"frames must be (…, T, C, H, W), got shape {tuple(frames.shape)}")
    if not torch.isfinite(frames).all():
        raise BadInput(
            "The frames are not finite (NaN or infinity), as those of a run that has diverged: they have no picture"
        )
    if frames.dtype != torch.float64:
        frames = frames.float()  # 255 * x has no exact place in 16 bits
    # torch.round takes ties to even; quantised before the transfer, a quarter of the bytes leave the device.
    pixels = frames.clamp(0.0, 1.0).mul(255.0).round().to(torch.uint8)
    return np.ascontiguousarray(pixels.movedim(-3, -1).cpu().numpy())
