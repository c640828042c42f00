"""glibc's allocator, set for programs that ask for the same gigabytes again and again."""

import ctypes
import sys


def keep_memory() -> None:
    """Let glibc keep freed memory instead of handing it back to the kernel at every step.

    A training step on a CPU frees and asks for gigabytes: page faults made up to two thirds of it.
    Elsewhere than on Linux with glibc nothing is done.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    trim_threshold, top_pad, mmap_max = -1, -2, -4  # malloc.h: M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX
    mallopt(trim_threshold, 2**31 - 1)
    mallopt(top_pad, 256 * 2**20)
    mallopt(mmap_max, 0)
