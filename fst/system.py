"""The machine and the process: the allocator, signals, how many cores there are."""

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType

# malloc.h: M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD, M_MMAP_MAX
TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD, MMAP_MAX = -1, -2, -3, -4


def keep_memory() -> None:
    """Let glibc keep freed memory instead of handing it back to the kernel at every step.

    A training step on a CPU frees and asks for gigabytes: page faults took up to two thirds of its time.
    Elsewhere than on Linux with glibc nothing is done.
    """
    _allocate({TRIM_THRESHOLD: 2**31 - 1, TOP_PAD: 256 * 2**20, MMAP_MAX: 0})


def keep_small_memory() -> None:
    """As `keep_memory`, but of blocks below 32 MB only, and no more than 256 MB: for work in little memory."""
    _allocate({TRIM_THRESHOLD: 256 * 2**20, TOP_PAD: 0, MMAP_THRESHOLD: 32 * 2**20, MMAP_MAX: 65536})


def _allocate(options: dict[int, int]) -> None:
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    for option, value in options.items():
        mallopt(option, value)


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def data_workers(processes: int) -> int:
    """Data workers for each of `processes` training processes: half of the cores, the rest is theirs; at most 8."""
    return min(8, max(1, cores() // (2 * processes)))


_HANGUP = {signal.SIGHUP} if hasattr(signal, "SIGHUP") else set()  # Windows has none
_SAME_END = {signal.SIGTERM: _HANGUP, **{number: {number, signal.SIGTERM} for number in _HANGUP}}


@contextlib.contextmanager
def sigterm_kept() -> Iterator[None]:
    """After it, SIGTERM goes to whom it went before.

    Lightning's handler, which only takes a note, would stay: it is what `handling` finds within a fit and puts back.
    """
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def handling(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Within, SIGINT, SIGTERM and SIGHUP go to the handler; after it, to whom they went before.

    For the main thread only. What is ignored stays so: SIGHUP, of a closed terminal, under nohup; Ctrl-C in a script's
    background. One end may be told twice: a shell that ends passes SIGHUP on and the system sends it again, a logout
    sends SIGTERM as well. Only a second SIGINT, or SIGTERM, counts as one.
    """

    def handled(number: int, frame: FrameType | None) -> None:
        for other in before.keys() & _SAME_END.get(number, set()):
            signal.signal(other, lambda *_: None)  # by SIG_IGN Python would complain of one that is on its way
        handler(number, frame)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, *_HANGUP)}
    before = {number: earlier for number, earlier in before.items() if earlier not in (signal.SIG_IGN, None)}
    for number in before:
        signal.signal(number, handled)
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def interrupt(number: int, frame: FrameType | None) -> None:
    """A handler: any signal ends what runs as Ctrl-C does, which keeps what was done."""
    raise KeyboardInterrupt(number)
