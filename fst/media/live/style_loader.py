"""The styles of a live session: each loaded in the background when it is first chosen, and kept."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fst.stylize import Stylizer


class Palette:
    """Styles by index. `names` are for people: a path is shown as its file's name.

    Attributes:
        names: one short name a style, in the order given.
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
        """The style's stylizer, now or soon; a style that failed to load is tried again when chosen again.

        The future's result raises UserError where the style is missing or damaged.
        """
        with self._lock:
            future = self._loading.get(index)
            if future is None or (future.done() and future.exception()):
                future = self._loading[index] = self._loader.submit(self._load, self._styles[index])
            return future

    def close(self) -> None:
        """Wait for nothing that was not begun."""
        self._loader.shutdown(wait=False, cancel_futures=True)
