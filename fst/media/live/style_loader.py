"""The styles of a live session: loaded in the background when first chosen; and what paints in the chosen one."""

from __future__ import annotations

import copy
import dataclasses
import functools
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from fst.errors import UserError
from fst.media.live.state import LiveState
from fst.media.video.stabilize import Hold
from fst.stylize.many import Style, bundled, of_many
from fst.stylize.styles import short

if TYPE_CHECKING:
    from fst.config.infer import InferConfig
    from fst.stylize import Stylizer

NO_PICTURE = "the camera has given no picture yet"
FADE_SECONDS = 0.5  # from style to style of one file of many
MOST = 100  # styles, with the paintings that a viewer adds


@dataclass(eq=False)
class _Entry:
    """A style to choose: its name for people, what loads it, and its loading."""

    name: str
    load: Callable[[], Stylizer]
    future: Future[Stylizer] | None = None


class StyleLoader:
    """Styles by index, kept once they are loaded; for one thread."""

    def __init__(self, styles: list[str], load: Callable[[str | Style], Stylizer]):
        self._load = load
        self._entries = [_Entry(short(style), functools.partial(load, style)) for style in styles]
        # One thread: two networks compiled at once would only slow each other and the frames.
        self._loader = ThreadPoolExecutor(1, thread_name_prefix="styles")

    @property
    def names(self) -> list[str]:
        """One short name a style, for people."""
        return [entry.name for entry in self._entries]

    def __len__(self) -> int:
        return len(self._entries)

    def choose(self, index: int) -> Future[Stylizer]:
        """The style's Stylizer, now or soon. A failure is told once: the next time, loading is tried again."""
        entry = self._entries[index]
        future = entry.future = entry.future or self._loader.submit(entry.load)
        if future.done() and future.exception():
            entry.future = None
        return future

    def add(self, painting: np.ndarray, size: int) -> int:
        """Add the style of a painting, uint8 (H, W, 3) RGB, read at a long edge of `size` pixels; its index."""
        many = self.choose(0).result().many or bundled()
        if len(self) >= MOST:
            raise UserError(f"there are already {MOST} styles, the maximum: restart to add paintings")
        painting = many.fitted(painting, size)
        name = f"painting {sum(name.startswith('painting ') for name in self.names) + 1}"

        def read() -> Stylizer:
            return self._load(of_many(many, name, many.read_pixels(painting)[None]))

        self._entries.append(_Entry(name, read))
        return len(self) - 1

    def for_viewer(self) -> StyleLoader:
        """The same styles, to which one viewer adds paintings of their own."""
        own = copy.copy(self)
        own._entries = self._entries.copy()
        return own

    def close(self) -> None:
        """Load no more styles; one that is being loaded is not waited for."""
        self._loader.shutdown(wait=False, cancel_futures=True)


class LivePainter:
    """Paints frames as one viewer's state says; while a style loads, in the last one, at the beginning in the `first`.

    Styles of one file of many fade into each other and mix. With `stabilize=hold`, paint stays where the picture stays.
    """

    def __init__(self, config: InferConfig, loader: StyleLoader, first: Stylizer):
        self.state = LiveState.of(config, len(loader))
        self.stylizer = first
        self.shown = 0  # index of the style that paints
        self._loader = loader
        self._painting_size = config.painting_size
        self._source: np.ndarray | None = None  # the last frame, unpainted
        self._vector = self._before = first.vector  # what the last frame was painted by; what is faded from
        self._chosen = -FADE_SECONDS  # when the fade began
        self._other: Stylizer | None = None  # mixed in
        self._hold = Hold() if config.stabilize == "hold" else None

    def choose_painting(self, painting: np.ndarray | None = None) -> None:
        """Add a painting, or what the camera sees, to the styles and choose it; a UserError as `StyleLoader.add`."""
        if painting is None and self._source is None:
            raise UserError(NO_PICTURE)
        index = self._loader.add(self._source if painting is None else painting, self._painting_size)
        self.state.styles = len(self._loader)
        self.state.apply(f"style={index}")

    def follow(self) -> None:
        """Take the state's styles once they are loaded.

        Where one cannot be loaded, or they do not mix, the state is again what is shown, and a UserError says why.
        """
        state, other = self.state, None
        try:
            if state.style != self.shown and (chosen := self._loaded(state.style)) is not None:
                self._before = self._vector if chosen.many is self.stylizer.many else chosen.vector
                self._chosen = time.monotonic()
                self.stylizer, self.shown = chosen, state.style
            if state.mix and state.style == self.shown:
                other = self._loaded(state.other)
            if other is not None and (other.many is None or other.many is not self.stylizer.many):
                raise UserError(f"{self.stylizer.name} and {other.name} have networks of their own: they do not mix")
        except UserError:
            state.style, state.mix, other = self.shown, 0.0, None
            raise
        finally:
            self._other = other

    def paint(self, frame: np.ndarray, *, here: bool = True) -> np.ndarray:
        """Paint uint8 (H, W, 3) RGB; mirrored and beside its source if so chosen, unless that is not done `here`."""
        self._source = frame
        state = dataclasses.replace(self.state)  # which a viewer may change while the frame is painted
        if state.mirror and here:
            frame = cv2.flip(frame, 1)
        stylizer = self.stylizer  # `follow` may put another in its place while the frame is painted
        stylizer.strength, stylizer.colors = state.strength, state.colors  # viewers share a Stylizer
        self._vector = self._faded(stylizer)
        how = (self.shown, self._vector is not None and self._vector.tobytes(), state)
        painted = stylizer(frame, self._vector)
        if self._hold:
            painted = self._hold(frame, painted, how)
        return np.concatenate([frame, painted], axis=1) if state.side and here else painted

    def _loaded(self, index: int) -> Stylizer | None:
        coming = self._loader.choose(index)
        return coming.result() if coming.done() else None

    def _faded(self, stylizer: Stylizer) -> np.ndarray | None:
        """The style vector of now: between what was shown when a style was chosen and what the state says."""
        target = stylizer.vector
        if target is None:
            return None
        other = self._other  # `follow` may take it away
        if other is not None:
            target = _between(target, other.vector, self.state.mix)
        passed = (time.monotonic() - self._chosen) / FADE_SECONDS
        return target if passed >= 1 else _between(self._before, target, passed)


def _between(first: np.ndarray, second: np.ndarray, share: float) -> np.ndarray:
    return np.float32(1 - share) * first + np.float32(share) * second
