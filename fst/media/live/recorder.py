"""A recording of live frames that lasts as long as what it shows: its clock is the wall's."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from fst.images import resize
from fst.media.video.encode import VideoWriter

if TYPE_CHECKING:
    from fst.config.infer import InferConfig


class Recorder(VideoWriter):
    """Frames that come when they come, written at a constant rate: one is repeated or skipped to keep time.

    The file is kept however the recording ends, also where the camera is lost. The film is of (height, width) `shape`.

    Raises:
        UserError: as VideoWriter.
    """

    def __init__(self, path: Path, shape: tuple[int, int], rate: float, config: InferConfig):
        height, width = shape
        super().__init__(path, width=width, height=height, rate=rate, codec=config.codec, quality=config.quality)
        self._last: np.ndarray | None = None

    @property
    def seconds(self) -> float:
        """How long the recording lasts, so far or in all."""
        return (self._ended or time.monotonic()) - self._start

    def record(self, frame: np.ndarray) -> None:
        """Write uint8 (H, W, 3) RGB as often as the time since the last frame asks; resized where H, W changed."""
        for _ in range(int(self.seconds * self.rate) + 1 - self.frames):
            self.write(resize(frame, (self.height, self.width)))
        self._last = frame

    def __enter__(self) -> Self:
        self._start, self._ended = time.monotonic(), None
        return super().__enter__()

    def __exit__(self, *_: object) -> None:
        self._ended = time.monotonic()
        with contextlib.ExitStack() as stack:  # which hands on what goes wrong here, and nothing else
            stack.push(super().__exit__)
            if self._last is not None:
                self.record(self._last)  # it stays until now
