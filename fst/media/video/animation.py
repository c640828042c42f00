"""GIF, animated WebP, PNG (APNG) and AVIF, in and out, with Pillow."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from fst.errors import UserError
from fst.images import DAMAGED
from fst.media.video.decode import Frame
from fst.media.video.sink import Sink, checked_quality

FORMATS = {".gif": "GIF", ".webp": "WEBP", ".png": "PNG", ".apng": "PNG", ".avif": "AVIF"}
_MILLISECOND = Fraction(1, 1000)
_MOST_BYTES = 2_000_000_000
_SAMPLE = 8000  # pixels of a frame, from which the colours of a GIF are chosen


class AnimationReader:
    """The frames of an animation: a VideoReader (see there) without sound. Transparency is laid over white.

    With `as_shown`, durations up to 10 ms become the 100 ms for which every browser shows such frames: a film would
    take them at their word.
    """

    live = False
    time_base = _MILLISECOND
    rate = Fraction(10)
    damaged = 0

    def __init__(self, source: str, *, as_shown: bool = False) -> None:
        self.name = source
        try:
            self._image = Image.open(source)
        except FileNotFoundError:
            raise UserError(f"animation {source} does not exist") from None
        except DAMAGED as error:
            raise UserError(f"cannot open animation {source}: {getattr(error, 'strerror', None) or error}") from None
        # A PNG may begin with a picture for those that show no animation.
        self._first = int(bool(getattr(self._image, "default_image", False)))
        self.count: int | None
        try:
            self.count = getattr(self._image, "n_frames", 1) - self._first
        except DAMAGED:  # it breaks off somewhere
            self.count = None
        self.transparent = False  # whether there was any transparency, so far
        gif, loop = self._image.format == "GIF", self._image.info.get("loop")
        # How often it is shown, 0: for ever. A GIF tells how often it is shown again.
        self.plays = int(gif) if loop is None else loop + (gif and loop > 0)
        self.broken: str | None = None
        self._as_shown = as_shown

    def __iter__(self) -> Iterator[Frame]:
        """Frames, in milliseconds; a UserError where the first is damaged already."""
        pts = 0
        for index in itertools.count() if self.count is None else range(self.count):
            try:
                self._image.seek(self._first + index)
                pixels = self._over_white()
            except DAMAGED as error:
                if index == 0:
                    raise UserError(f"{self.name} holds no frame that can be decoded: {error}") from None
                self.broken = str(error)
                return
            duration = round(self._image.info.get("duration", 0))
            if self._as_shown and duration <= 10:
                duration = 100
            yield Frame(pixels, pts, duration)
            pts += duration

    def _over_white(self) -> np.ndarray:
        layer = self._image.convert("RGBA")
        self.transparent |= layer.getextrema()[3][0] < 255
        return np.array(Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB"))


@dataclass(eq=False)
class AnimationWriter(Sink):
    """An animation being written; see Sink for what becomes of it on errors and on Ctrl-C.

    A GIF has 256 colours a frame, chosen for each, and counts time in 10 ms. Frames equal to the one before are merged
    with it by the format: the time stays, the count does not. All frames are kept until the end: 2 bytes a pixel for
    GIF, 3 for the others.

    Frames that would be shown for less than `shortest` milliseconds are left out: browsers slow a GIF with frames of
    less than 20 ms down to 100 ms each.

    Raises:
        UserError: a quality out of range, or for a format that loses nothing; from `write` or at the end: the disk is
            full, or more than 2 GB of pixels in another format than GIF.
    """

    path: Path  # ends in one of FORMATS
    _: KW_ONLY
    time_base: Fraction = _MILLISECOND  # the unit of `pts` and `duration`, in seconds
    quality: int | None = None  # of WebP and AVIF, 0 to 100, default 80
    plays: int = 0  # how often, 0: for ever
    shortest: int = 0

    def __post_init__(self) -> None:
        super().__init__(self.path)
        self._format = FORMATS[self.path.suffix.lower()]
        self._gif = self._format == "GIF"
        if self._format in ("GIF", "PNG") and self.quality is not None:
            raise UserError(
                f"quality= has no meaning for {self.path}, which loses nothing: leave it out, or write .webp"
            )
        self._options = {"quality": checked_quality(self.quality, 80)}
        if not (self._gif and self.plays == 1):  # without a number it is shown once
            self._options["loop"] = self.plays - 1 if self._gif and self.plays else self.plays

    def write(self, frame: np.ndarray, pts: int, duration: int | None = None, sound: tuple = ()) -> None:
        """Take a `Frame` of RGB, not to be changed afterwards, without its sound."""
        self._put(Frame(frame, pts, duration))
        self.frames += 1

    def _encode(self, beside: Path, frames: Iterator[Frame]) -> None:
        images: list[Image.Image] = []
        begins: list[int] = []  # milliseconds
        end = size = 0
        for frame in frames:
            end = frame.pts + (frame.duration or round(1 / (25 * self.time_base)))
            begin = self._milliseconds(frame.pts)
            if begins and begin - begins[-1] < self.shortest:
                continue
            size += 0 if self._gif else frame.pixels.nbytes
            if size > _MOST_BYTES:
                raise UserError(f"{self.path} would grow too long for an animation, made in memory; write .mp4")
            image = Image.fromarray(frame.pixels)
            images.append(_in_256_colours(image) if self._gif else image)
            begins.append(begin)
        begins.append(max(begins[-1] + self.shortest, self._milliseconds(end)))
        durations = [after - before for before, after in itertools.pairwise(begins)]
        how = {"format": self._format, "save_all": True, "append_images": images[1:], "duration": durations}
        images[0].save(beside, **how, **self._options)

    def _milliseconds(self, stamp: int) -> int:
        unit = 10 if self._gif else 1
        return round(stamp * self.time_base * 1000 / unit) * unit


def _in_256_colours(image: Image.Image) -> Image.Image:
    """An RGB picture in the colours that suit it best, by a sample of its pixels: all take half a second at 720p."""
    step = max(1, round((image.width * image.height / _SAMPLE) ** 0.5))
    size = [-(-edge // step) for edge in image.size]
    colours = image.resize(size, Image.Resampling.NEAREST).quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=1)
    return image.quantize(palette=colours, dither=Image.Dither.NONE)
