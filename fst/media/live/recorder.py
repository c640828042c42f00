"""A recording of live frames that lasts as long as what it shows: its clock is the wall's."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fst.images import resize

if TYPE_CHECKING:
    from fst.config.infer import InferConfig


class Recorder:
    """Frames that come when they come, written at a constant rate: one is repeated or skipped to keep time.

    Args:
        path: the file; it appears when the recording is closed.
        shape: (height, width) of the film.
        rate: frames a second.
        config: of infer.py, for quality and codec.

    Raises:
        UserError: the file cannot be written, or its suffix is no video's.
    """

    def __init__(self, path: Path, shape: tuple[int, int], rate: float, config: InferConfig):
        from fst.media.video.encode import VideoWriter  # late: most sessions record nothing

        self.path = path
        self._shape = shape
        self._rate = rate
        self._written = 0
        self._last: np.ndarray | None = None
        self._closing = contextlib.ExitStack()  # completes the file, or removes it where a frame cannot be written
        self._writer = self._closing.enter_context(
            VideoWriter(path, width=shape[1], height=shape[0], rate=rate, codec=config.codec, quality=config.quality)
        )
        self._start = time.monotonic()
        self._end: float | None = None

    @property
    def seconds(self) -> float:
        """How long the recording lasts, so far or in all."""
        return (self._end or time.monotonic()) - self._start

    def write(self, frame: np.ndarray) -> None:
        """Write uint8 (H, W, 3) RGB as often as the time since the last frame asks; resized where H, W changed."""
        due = int(self.seconds * self._rate) + 1
        for _ in range(due - self._written):
            self._writer.write(resize(frame, self._shape))
        self._written = max(self._written, due)
        self._last = frame

    def close(self) -> None:
        """Complete the file: its last frame stays until now."""
        self._end = time.monotonic()
        with self._closing:
            if self._last is not None:
                self.write(self._last)

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Clock:
    """Frames per second over the last second or so."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=30)

    def tick(self) -> None:
        """A frame was finished."""
        self._times.append(time.monotonic())

    @property
    def fps(self) -> float:
        """Zero until two frames came."""
        if len(self._times) < 2:
            return 0.0
        return (len(self._times) - 1) / max(1e-6, self._times[-1] - self._times[0])


def free_path(path: Path) -> Path:
    """The path, numbered if it is taken."""
    number = 2
    candidate = path
    while candidate.exists():
        candidate = path.with_stem(f"{path.stem}-{number}")
        number += 1
    return candidate
