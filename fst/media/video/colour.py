"""Colours of a film: its tags, and the way from its frames to RGB or planes and back with its own matrix and range."""

from __future__ import annotations

from dataclasses import dataclass

import av
import numpy as np
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter

from fst.stylize.planes import Matrix, Planes

LIMITED, FULL = 1, 2  # AVColorRange: luma 16..235, or 0..255

# libswscale's fast path from YUV to RGB darkens by one level and repeats chroma samples; these flags cost 3 ms a
# frame of 1280x720 and leave luma exact.
_EXACT = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT

# Of H.273's matrix coefficients (table 4) libswscale's names, and the shares of red and blue in luma. ICtCp, YCgCo and
# the like are not among them.
_BT709, _BT601 = (Colorspace.ITU709, 0.2126, 0.0722), (Colorspace.ITU601, 0.299, 0.114)
_FCC, _SMPTE240M = (Colorspace.FCC, 0.30, 0.11), (Colorspace.SMPTE240M, 0.212, 0.087)
_BT2020 = (Colorspace.BT2020, 0.2627, 0.0593)
_MATRICES = {1: _BT709, 4: _FCC, 5: _BT601, 6: _BT601, 7: _SMPTE240M, 9: _BT2020, 10: _BT2020}


@dataclass(frozen=True)
class Colour:
    """The four tags of ITU-T H.273 as FFmpeg numbers them; the defaults are what sRGB pixels become in a new film."""

    primaries: int = 1
    transfer: int = 13
    matrix: int = 1
    range: int = LIMITED

    @classmethod
    def of(cls, frame: av.VideoFrame) -> Colour:
        """The tags of a decoded frame; those of a new film if it is not YUV (GIF, PNG, grey)."""
        name = frame.format.name
        if not name.startswith(("yuv", "nv", "p0", "p2", "p4", "uyvy", "y2", "xv")):
            return cls()
        full = frame.color_range == FULL or name.startswith("yuvj")
        return cls(frame.color_primaries, frame.color_trc, frame.colorspace, FULL if full else LIMITED)

    def coefficients(self, width: int, height: int) -> Colorspace:
        """The matrix to convert with."""
        return self._matrix(width, height)[0]

    def of_planes(self, width: int, height: int) -> Matrix:
        """The same, for a network that takes planes."""
        return Matrix(*self._matrix(width, height)[1:], self.range == FULL)

    def _matrix(self, width: int, height: int) -> tuple[Colorspace, float, float]:
        """An untagged film is taken as players take it: BT.709 if HD, else BT.601."""
        return _MATRICES.get(self.matrix, _BT709 if width >= 1280 or height > 576 else _BT601)


def is_planar(frame: av.VideoFrame) -> bool:
    """Whether a decoded frame is what `Planes` can hold: 4:2:0 in 8 bits, of an even width and height."""
    return frame.format.name in ("yuv420p", "yuvj420p") and frame.width % 2 == frame.height % 2 == 0


class Converter:
    """Decoded frames -> RGB or planes, and these -> frames in an encoder's pixel format. One a thread."""

    def __init__(self) -> None:
        self._scaler = VideoReformatter()

    def to_rgb(self, frame: av.VideoFrame, width: int, height: int) -> np.ndarray:
        """Pixels of a frame at `width` x `height` (a film may change its size on the way)."""
        colour = Colour.of(frame)
        source = {"src_colorspace": colour.coefficients(frame.width, frame.height), "src_color_range": colour.range}
        rgb = self._scaler.reformat(frame, width, height, "rgb24", interpolation=_EXACT, threads=1, **source)
        return np.ascontiguousarray(rgb.to_ndarray())

    def from_rgb(self, pixels: np.ndarray, colour: Colour) -> av.VideoFrame:
        """A yuv420p frame of RGB pixels, by the matrix and range of `colour`."""
        height, width = pixels.shape[:2]
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        target = {"dst_colorspace": colour.coefficients(width, height), "dst_color_range": colour.range}
        return self._scaler.reformat(frame, format="yuv420p", interpolation=_EXACT, threads=1, **target)

    def to_planes(self, frame: av.VideoFrame, width: int, height: int, colour: Colour) -> Planes:
        """A frame's own memory as planes; converted where its size, format or colours are not those of the film."""
        own, matrix = Colour.of(frame), colour.of_planes(width, height)
        size = (frame.width, frame.height)
        if not is_planar(frame) or size != (width, height) or own.of_planes(*size) != matrix:
            source = {"src_colorspace": own.coefficients(*size), "src_color_range": own.range}
            target = {"dst_colorspace": colour.coefficients(width, height), "dst_color_range": colour.range}
            frame = self._scaler.reformat(frame, width, height, "yuv420p", threads=1, **source, **target)
        return Planes(*_planes(frame), matrix)

    def from_planes(self, planes: Planes) -> av.VideoFrame:
        """A yuv420p frame of planes."""
        height, width = planes.shape
        frame = av.VideoFrame(width, height, "yuv420p")
        for plane, pixels in zip(_planes(frame), planes[:3], strict=True):
            plane[:] = pixels
        return frame


def _planes(frame: av.VideoFrame) -> list[np.ndarray]:
    """Views of a frame's memory, without the bytes that fill up its lines."""
    lines = [np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size) for plane in frame.planes]
    return [line[: plane.height, : plane.width] for line, plane in zip(lines, frame.planes, strict=True)]
