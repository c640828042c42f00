"""The Stylizer: one style, ready to paint frames."""

from __future__ import annotations

import functools
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from fst import images
from fst.errors import UserError
from fst.stylize import framing, styles
from fst.stylize.backend import Backend, load_backend
from fst.stylize.many import PAINTING_SIZE, Style, along
from fst.stylize.planes import Planes

if TYPE_CHECKING:
    from fst.config.infer import InferConfig


class Stylizer:
    """Paints uint8 (H, W, 3) RGB arrays and PIL images in one style; what comes back has the same type and size.

        painted = Stylizer.load("gogh")(frame)

    Attributes:
        name: the style's short name, fit for a file name.
        info: what the style file says of itself: network, painting, training.
        strength, colors: as `load`'s; may be set between frames, with its errors.
        many: the file of many styles that the style is from; None: it has a network of its own.
        vector: its style vector (V,) there; a film's first, where it moves from style to style.
    """

    def __init__(
        self, style: Style, backend: Backend, *, size: int | None, strength: float, colors: str, margin: int
    ) -> None:
        self.name, self.info, self.many = style.name, style.info, style.many
        self.vector = None if style.vectors is None else style.vectors[0]
        self.size, self._strength, self._colors = size, strength, colors
        self._style, self._backend, self._margin = style, backend, margin

    @classmethod
    def load(
        cls,
        style: str | Path | Style,
        *,
        backend: str = "auto",
        size: int | None = None,
        strength: float = 1.0,
        colors: str = "style",
        live: bool = False,
        precision: str = "auto",
        painting_size: int = PAINTING_SIZE,
    ) -> Stylizer:
        """A style by name or file, on a backend.

        Args:
            style: as `fst.stylize.styles.find` takes it, or what it found.
            backend: "auto" (the fastest here), "torch" or "openvino".
            size: long edge in pixels at which the network works; None: the frame's own.
            strength: 0 (the source) to 1 (the painting).
            colors: "style", or "content" for the source's own colours.
            live: one frame at a time, as soon as possible, without the margin that evens edges.
            precision: of OpenVINO: "f32", "bf16", "int8", or "auto": int8 where the processor has instructions for it
                and the style file says that nobody sees it, else f32 or bf16, whichever is faster here.
            painting_size: long edge in pixels at which a painting's style is read.

        Raises:
            UserError: an unknown style, a damaged file, a value out of range, a backend that is not installed.
        """
        framing.check(size, strength, colors)
        found = style if isinstance(style, Style) else styles.find(style, painting_size)
        ready = load_backend(backend, found, live=live, precision=precision)
        margin = 0 if live else framing.MARGIN
        return cls(found, ready, size=size, strength=strength, colors=colors, margin=margin)

    @classmethod
    def configured(cls, config: InferConfig, style: str | Path | Style, *, live: bool = False) -> Stylizer:
        """A style as infer.py's settings ask for it; as `load`."""
        names = ("backend", "size", "strength", "colors", "precision", "painting_size")
        return cls.load(style, live=live, **{name: getattr(config, name) for name in names})

    @property
    def strength(self) -> float:
        return self._strength

    @strength.setter
    def strength(self, strength: float) -> None:
        framing.check(self.size, strength, self._colors)
        self._strength = strength

    @property
    def colors(self) -> str:
        return self._colors

    @colors.setter
    def colors(self, colors: str) -> None:
        framing.check(self.size, self._strength, colors)
        self._colors = colors

    def __call__(self, image: np.ndarray | Image.Image, vector: np.ndarray | None = None) -> np.ndarray | Image.Image:
        """Paint one image; by another style vector of its file of many than its own, where one is given.

        Raises:
            TypeError: not a uint8 (H, W, 3) array, nor a PIL image.
        """
        if isinstance(image, Image.Image):
            return Image.fromarray(self(np.asarray(image.convert("RGB")), vector))
        _check_frame(image)
        stylize = self._stylize_in_strips if self._in_strips(*image.shape[:2]) else self._backend.stylize
        frame = framing.working(image, self.size, self._margin)
        painted = stylize(frame, self.vector if vector is None else vector)
        return framing.finish(image, painted, self.strength, self.colors, self._margin)

    def takes_planes(self, height: int, width: int) -> bool:
        """Whether `stream` may be given a film's frames of that size as `Planes`, which is faster."""
        whole = not self._in_strips(height, width, self._backend.streamed)
        return self._backend.takes_planes and self.size is None and whole

    def stream(self, frames: Iterable[np.ndarray | Planes], count: int | None = None) -> Iterator[np.ndarray | Planes]:
        """Paint frames in order, faster than one call each where the backend keeps several in flight.

        Args:
            frames: uint8 (H, W, 3) RGB, or Planes where `takes_planes` is true; painted ones are of the same kind.
            count: how many they are, which a style that moves needs.

        Raises:
            UserError: a style that moves, and nobody knows how many frames there are.
        """
        vectors = self._vectors(count)
        frames = iter(frames)
        first = next(frames, None)
        if first is None:
            return
        frames = itertools.chain([first], frames)
        if self._in_strips(*first.shape[:2], self._backend.streamed):
            yield from map(self, frames, vectors)
            return
        sources: deque[np.ndarray | Planes] = deque()

        def working() -> Iterator[np.ndarray | Planes]:
            for frame in frames:
                _check_frame(frame)
                sources.append(frame)
                yield framing.working(frame, self.size, self._margin)

        for painted in self._backend.stream(zip(working(), vectors, strict=False)):
            yield framing.finish(sources.popleft(), painted, self.strength, self.colors, self._margin)

    def _vectors(self, count: int | None) -> Iterator[np.ndarray | None]:
        stops = self._style.vectors
        if stops is None or len(stops) == 1:
            return itertools.repeat(self.vector)
        if count is None:
            raise UserError(f"style '{self.name}' moves over a film's length, which this source does not tell")
        return itertools.chain(along(stops, count), itertools.repeat(stops[-1]))

    def _in_strips(self, height: int, width: int, at_once: int = 1) -> bool:
        if self.size is not None:
            height, width = images.fit_long_edge(height, width, self.size)
        return framing.in_strips(height + 2 * self._margin, width + 2 * self._margin, self._backend, at_once)

    @functools.cached_property
    def _stylize_in_strips(self) -> Callable[[np.ndarray, np.ndarray | None], np.ndarray]:
        from fst.stylize import strips

        return functools.partial(strips.stylize, self._style.shared())


def _check_frame(frame: np.ndarray | Planes) -> None:
    if isinstance(frame, Planes):
        return
    if not isinstance(frame, np.ndarray) or frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
        what = f"{frame.dtype} {frame.shape}" if isinstance(frame, np.ndarray) else type(frame).__name__
        raise TypeError(f"a Stylizer paints uint8 (H, W, 3) RGB arrays and PIL images, not {what}")
    if not frame.size:
        raise ValueError(f"a Stylizer paints pictures of at least one pixel, not {frame.shape}")
