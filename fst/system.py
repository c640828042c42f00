"""The machine and the process: the allocator, signals, how many cores there are."""

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType


def keep_memory() -> None:
    """Let glibc keep freed memory instead of handing it back to the kernel at every step.

    A training step on a CPU frees and asks for gigabytes: page faults took up to two thirds of its time.
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


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def data_workers(processes: int) -> int:
    """Data workers for each of `processes` training processes: half of the cores, the rest is theirs; at most 8."""
    return min(8, max(1, cores() // (2 * processes)))


@contextlib.contextmanager
def handling(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Within, SIGINT, SIGTERM and SIGHUP go to the handler; after it, to whom they went before.

    For the main thread only. A closed terminal or a lost ssh connection is a SIGHUP: under nohup it is left alone; else
    it is handled once, since a shell that ends passes it on and the system sends it again.
    """

    def once(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_IGN)
        handler(number, frame)

    ways = {signal.SIGINT: handler, signal.SIGTERM: handler}
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        ways[signal.SIGHUP] = once
    before = {number: signal.signal(number, way) for number, way in ways.items()}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def interrupt(number: int, frame: FrameType | None) -> None:
    """A handler: any signal ends what runs as Ctrl-C does, which keeps what was done."""
    raise KeyboardInterrupt(number)
