"""Small films made for the tests, and independent ways to look at results (OpenCV for pixels, a fresh demux)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

BARS = np.array(
    [[255, 255, 255], [255, 255, 0], [0, 255, 255], [0, 255, 0], [255, 0, 255], [255, 0, 0], [0, 0, 255], [0, 0, 0]],
    dtype=np.uint8,
)


class Identity:
    """A stylizer that changes nothing, one frame ahead as the real one; may be told to fail at a frame."""

    name = "same"

    def __init__(self, fail_at: int | None = None, error: BaseException | None = None) -> None:
        self.fail_at, self.error = fail_at, error

    def stream(self, frames: Iterable[np.ndarray], count: int | None = None) -> Iterator[np.ndarray]:
        waiting: list[np.ndarray] = []
        for index, frame in enumerate(frames):
            if index == self.fail_at:
                raise self.error
            waiting.append(frame)
            if len(waiting) > 1:
                yield waiting.pop(0)
        yield from waiting


def scene(index: int, width: int = 64, height: int = 48) -> np.ndarray:
    """uint8 (H, W, 3): flat colours a white square in the upper left corner, a red level that tells `index`."""
    pixels = np.full((height, width, 3), (40 + 5 * index % 180, 90, 150), dtype=np.uint8)
    pixels[: height // 3, : width // 3] = 255
    return pixels


def bars(width: int = 256, height: int = 64) -> np.ndarray:
    """uint8 (H, W, 3): eight saturated colour bars."""
    return np.repeat(np.repeat(BARS[None], width // 8, axis=1), height, axis=0)


def film(
    path: Path,
    frames: Sequence[np.ndarray],
    *,
    pts: Sequence[int] | None = None,
    time_base: Fraction = Fraction(1, 25),
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    tags: Sequence[int] | None = None,
    rotation: int = 0,
    tones: int = 0,
    sound: str = "aac",
    options: dict[str, str] | None = None,
    aspect: Fraction | None = None,
    metadata: dict[str, str] | None = None,
) -> Path:
    """Write frames with PyAV.

    `tags`: primaries, transfer, matrix, range. `tones`: audio tracks of a tone each, in a language each.
    """
    height, width = frames[0].shape[:2]
    exact = {"movie_timescale": str(time_base.denominator)} if path.suffix == ".mp4" else {}
    with av.open(str(path), "w", container_options=exact) as container:
        container.metadata.update(metadata or {})
        stream = container.add_stream(codec, rate=25 if pts else 1 / time_base, options=options or {})
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        context = stream.codec_context
        context.time_base = time_base
        if aspect:
            context.sample_aspect_ratio = aspect
        if tags:
            context.color_primaries, context.color_trc, context.colorspace, context.color_range = tags
        if rotation:
            stream.set_display_rotation(rotation)
        tracks = [container.add_stream(sound, rate=48000, layout="mono") for _ in range(tones)]
        for track, language in zip(tracks, ("eng", "deu", "fra"), strict=False):
            track.metadata["language"] = language
        for index, pixels in enumerate(frames):
            rgb = av.VideoFrame.from_ndarray(pixels, "rgb24")
            matrix = {"dst_colorspace": tags[2], "dst_color_range": tags[3]} if tags else {}
            frame = rgb.reformat(format=pixel_format, interpolation="BICUBIC", **matrix)
            frame.pts, frame.time_base = (pts[index] if pts else index), time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        seconds = (pts[-1] + 1 if pts else len(frames)) * time_base
        for number, track in enumerate(tracks):
            for frame in _tone(float(seconds), 440 * (number + 1)):
                container.mux(track.encode(frame))
            container.mux(track.encode(None))
    return path


def _tone(seconds: float, hertz: float) -> Iterator[av.AudioFrame]:
    """A click at 0.5 s over a quiet tone: where the click lies tells whether sound is in sync."""
    time = np.arange(int(seconds * 48000)) / 48000
    wave = 0.05 * np.sin(2 * np.pi * hertz * time)
    wave[24000:24200] = 0.9
    for start in range(0, len(wave), 960):
        samples = (wave[None, start : start + 960] * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
        yield frame


def pixels(path: Path) -> list[np.ndarray]:
    """Every frame as OpenCV decodes it, RGB, rotation applied as players do."""
    capture = cv2.VideoCapture(str(path))
    found = []
    while True:
        good, frame = capture.read()
        if not good:
            return found
        found.append(frame[..., ::-1])


def times(path: Path) -> list[Fraction]:
    """When each frame is shown, in seconds."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return [frame.pts * stream.time_base for frame in container.decode(stream)]


def packets(path: Path, track: int = 0) -> list[tuple[Fraction, bytes]]:
    """(time in seconds, bytes) of each packet of an audio track."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[track]
        return [(packet.pts * stream.time_base, bytes(packet)) for packet in container.demux(stream) if packet.size]


def click(path: Path) -> float:
    """Seconds at which the loudest sample of the sound lies."""
    with av.open(str(path)) as container:
        best = (0.0, 0.0)
        for frame in container.decode(audio=0):
            samples = np.abs(frame.to_ndarray().astype(float)).reshape(-1)
            where = int(samples.argmax())
            best = max(best, (samples[where], float(frame.pts * frame.time_base) + where / frame.sample_rate))
    return best[1]
