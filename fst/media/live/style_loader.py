"""The styles of a live session: loaded in the background when first chosen; and what paints in the chosen one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from fst.errors import UserError
from fst.media.live.state import LiveState

if TYPE_CHECKING:
    from fst.stylize import Stylizer


class StyleLoader:
    """Styles by index, kept once they are loaded.

    Attributes:
        names: one short name a style, for people, in the order given.
    """

    def __init__(self, styles: list[str], load: Callable[[str], Stylizer]):
        self.names = [Path(style).stem if style.endswith(".safetensors") else style for style in styles]
        self._styles = styles
        self._load = load
        self._loading: dict[int, Future[Stylizer]] = {}
        self._lock = threading.Lock()
        # One thread: two networks compiled at once would only slow each other and the frames.
        self._loader = ThreadPoolExecutor(1, thread_name_prefix="styles")

    def __len__(self) -> int:
        return len(self.names)

    def choose(self, index: int) -> Future[Stylizer]:
        """The style's Stylizer, now or soon. The result raises UserError where the style is missing or damaged.

        A failure is told once: the next time, loading is tried again.
        """
        with self._lock:
            future = self._loading.get(index)
            if future is None:
                future = self._loading[index] = self._loader.submit(self._load, self._styles[index])
            elif future.done() and future.exception():
                del self._loading[index]
            return future

    def close(self) -> None:
        """Load no more styles; one that is being loaded is not waited for."""
        self._loader.shutdown(wait=False, cancel_futures=True)


class LivePainter:
    """Paints frames as a state says. While a style loads, the last one goes on.

    Attributes:
        shown: index of the style that paints.
    """

    def __init__(self, loader: StyleLoader, state: LiveState, first: Stylizer):
        self.state = state
        self.stylizer = first
        self.shown = 0
        self._loader = loader

    def follow(self) -> None:
        """Take the state's style once it is loaded.

        Raises:
            UserError: it cannot be loaded; the state has the shown style again.
        """
        wanted = self.state.style
        if wanted == self.shown or not (coming := self._loader.choose(wanted)).done():
            return
        try:
            self.stylizer, self.shown = coming.result(), wanted
        except UserError:
            self.state.style = self.shown
            raise

    def paint(self, frame: np.ndarray, *, here: bool = True) -> np.ndarray:
        """Paint uint8 (H, W, 3) RGB; mirrored and beside its source if so chosen, unless that is not done `here`."""
        state = self.state
        if state.mirror and here:
            frame = cv2.flip(frame, 1)
        self.stylizer.strength, self.stylizer.colors = state.strength, state.colors  # viewers share a Stylizer
        painted = self.stylizer(frame)
        return np.concatenate([frame, painted], axis=1) if state.side and here else painted
