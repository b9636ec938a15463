"""The memory of a training on a CPU."""

import ctypes
import platform


def keep_freed_memory() -> None:
    """Tell glibc to keep large freed blocks for the next step.

    It would hand them back to the kernel and take them again, page by page, at every step; that costs a CPU step
    20 to 40 % of its time. Elsewhere than under glibc nothing happens.
    """
    if platform.libc_ver()[0] == "glibc":
        trim_threshold, mmap_max = -1, -4  # parameters of mallopt, from malloc.h
        libc = ctypes.CDLL(None)
        libc.mallopt(mmap_max, 0)
        libc.mallopt(trim_threshold, 2**31 - 1)
