"""A moving picture being written: frames are handed over, and a thread of its own encodes them beside the target."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import av

from fst.errors import UserError
from fst.files import replacing
from fst.media.video.decode import Frame
from fst.values import between

_AHEAD = 4  # frames waiting to be encoded: enough to smooth out key frames, few enough to keep 4K frames in memory
_END, _ABANDON = object(), object()


class _Abandoned(Exception):
    """Ends a file that is not kept."""


class Sink:
    """Base of the writers of films and animations: a context manager whose file appears at its end, whole.

    The encoding thread is also what makes Ctrl-C safe: KeyboardInterrupt is raised in the main thread alone, so it
    never falls between encoding a frame and writing it. It does fall where a frame is handed over: the locks of a
    Queue or a Future, which are Python's, would stay locked, or a waiter would be forgotten; a SimpleQueue's are not.

    On Ctrl-C the file is completed with the frames so far and kept, unless `keeps_part` is false; on any other
    exception, and when no frame was written, nothing is left. That the disk is full, or the encoder refuses the size,
    is a UserError from `write` or at the end.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)  # where the file will be
        self.frames = 0  # taken so far
        self.keeps_part = True
        self._interrupted = False
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._room: queue.SimpleQueue[None] = queue.SimpleQueue()  # an item for each frame that may be handed over
        for _ in range(_AHEAD):
            self._room.put(None)
        self._finished = False  # the thread is
        self._error: Exception | None = None  # of the thread
        self._file = replacing(self.path)

    def _encode(self, beside: Path, frames: Iterator[Frame]) -> None:
        """Write every frame to `beside`; runs in the thread."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        beside = self._file.__enter__()
        self._thread = threading.Thread(target=self._run, args=(beside,), name=f"write {self.path.name}", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        keep = self.frames > 0 and (kind is None or (self.keeps_part and issubclass(kind, KeyboardInterrupt)))
        with contextlib.suppress(_Abandoned), contextlib.ExitStack() as stack:
            stack.push(self._file)
            self._interrupted = kind is not None
            self._queue.put(_END if keep else _ABANDON)
            self._thread.join()
            self._check()

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _put(self, item: object) -> None:
        while not self._finished:
            with contextlib.suppress(queue.Empty):  # look again whether the thread is still alive
                self._room.get(timeout=0.2)
                return self._queue.put(item)
        self._check()

    def _taken(self) -> Iterator[Frame]:
        for item in iter(self._queue.get, _END):
            self._room.put(None)
            if item is _ABANDON:
                raise _Abandoned
            yield item

    def _run(self, beside: Path) -> None:
        try:
            self._encode(beside, self._taken())
        except (OSError, av.FFmpegError) as error:
            self._error = UserError(f"cannot write {self.path}: {error.strerror or error}")
        except Exception as error:
            self._error = error
        self._finished = True


def checked_quality(quality: int | None, default: int) -> int:
    """The quality asked for, or the default; a UserError where it is not within 0 to 100."""
    quality = default if quality is None else quality
    between("quality", quality, 0, 100, ": 0 is small, 100 the best")
    return quality
