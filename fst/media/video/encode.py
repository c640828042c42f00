"""Frames into a video file: H.264 by default, in a container chosen by the suffix."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.stream import AudioStream
from av.video.stream import VideoStream

from fst.errors import UserError, near
from fst.media.video.colour import Colour, Converter
from fst.media.video.decode import Frame
from fst.media.video.sink import Sink, checked_quality
from fst.media.video.sound import Track
from fst.stylize.planes import Planes

# The codecs a container takes, the default first; what plays everywhere stands before what does not.
CONTAINERS = {
    ".mp4": ("h264", "hevc", "vp9", "av1"),
    ".m4v": ("h264", "hevc"),
    ".mov": ("h264", "hevc"),
    ".mkv": ("h264", "hevc", "vp9", "av1"),
    ".webm": ("vp9", "av1"),
}
# FFmpeg's encoder of each codec, with settings fit for a machine whose cores the network needs too.
_ENCODERS = {
    # Of painted films, as good as superfast at 0.6 of its work, and 1.13 times as large (experiments/speed).
    "h264": (
        "libx264",
        {"preset": "ultrafast", "x264-params": "8x8dct=1:bframes=3:b-adapt=0:aq-mode=1:subme=1:no-deblock=0"},
    ),
    "hevc": ("libx265", {"preset": "ultrafast", "x265-params": "log-level=none"}),
    "vp9": ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "7", "row-mt": "1"}),
    "av1": ("libsvtav1", {"preset": "9"}),
}
_SYNONYMS = {"h265": "hevc", "avc": "h264", "x264": "h264", "x265": "hevc"}


def choose(suffix: str, codec: str | None = None) -> str:
    """The codec for a film with a file's suffix, by the name asked for (None: the first that this FFmpeg has).

    Raises:
        UserError: no such container or codec, one that does not go with the other, or none in this FFmpeg.
    """
    if suffix.lower() not in CONTAINERS:
        raise UserError(f"no video is written as '{suffix}'{near(suffix, [*CONTAINERS, '.gif', '.webp'])}")
    allowed = CONTAINERS[suffix.lower()]
    there = [name for name in allowed if _ENCODERS[name][0] in av.codecs_available]
    name = (*there, allowed[0])[0] if codec is None else _SYNONYMS.get(codec.lower(), codec.lower())
    if name not in _ENCODERS:
        raise UserError(f"no video codec is called '{codec}'{near(name, [*_ENCODERS, *_SYNONYMS])}")
    if name not in allowed:
        raise UserError(f"codec={codec} does not go into {suffix} files; there use {', '.join(allowed)}")
    if name not in there:
        lacks = f"the FFmpeg in PyAV {av.__version__} was built without {_ENCODERS[name][0]}, which {name} needs"
        raise UserError(f"{lacks}; it has {' and '.join(there) or 'none'} for {suffix} files")
    return name


@dataclass(eq=False)
class VideoWriter(Sink):
    """A video file being written; see Sink for what becomes of it on errors and on Ctrl-C.

        with VideoWriter(Path("film.mp4"), width=640, height=480, rate=30) as film:
            film.write(frame)

    8-bit 4:2:0 (yuv420p), and in MP4 with the index first, so that browsers and phones play it. H.264 and HEVC have
    only even sizes there: an odd width or height becomes one pixel more, by repeating the last column or row.

    Quality goes from 0 to 100, default 75: H.264 and HEVC have a constant rate factor of 50 - 0.4 quality (so 20), VP9
    and AV1 of 60 - 0.4 quality (so 30). 90 is visually lossless, 50 small.

    Raises:
        UserError: see `choose`; a quality out of range.
    """

    path: Path  # its suffix is the container (CONTAINERS)
    _: KW_ONLY
    width: int  # of the frames, in pixels
    height: int
    rate: Fraction | float = 25  # frames a second: the spacing of frames without `pts`, else a hint
    time_base: Fraction | None = None  # the unit of `pts` in seconds; None: one frame
    codec: str | None = None  # "h264", "hevc" (or "h265"), "vp9", "av1"; None: the container's default
    quality: int | None = None
    # Tags of the film, and the matrix and range by which RGB becomes YUV.
    colour: Colour = field(default_factory=Colour)
    sample_aspect: Fraction | None = None  # width of a pixel over its height; None: square
    sound: Sequence[AudioStream] = ()  # of an open input; their packets come with the frames
    metadata: dict[str, str] = field(default_factory=dict)  # title, artist, date and so on

    def __post_init__(self) -> None:
        super().__init__(self.path)
        self._suffix = self.path.suffix.lower()
        self._codec = choose(self._suffix, self.codec)
        self.quality = checked_quality(self.quality, 75)
        self.rate = Fraction(self.rate).limit_denominator(100_000)
        self.time_base = self.time_base or 1 / self.rate
        self._step = max(1, round(1 / self.rate / self.time_base))
        odd = self.height % 2, self.width % 2
        self._pads = ((0, odd[0]), (0, odd[1]), (0, 0)) if any(odd) and self._codec != "vp9" else None
        self._next = 0
        self._earliest = -(2**62)
        self._durations: dict[int, int] = {}  # of the frames in the encoder, by pts
        self._delay: int | None = None  # from decoding to showing, in the time base
        self._end = 0
        self._converter = Converter()

    def write(
        self,
        frame: np.ndarray | Planes,
        pts: int | None = None,
        duration: int | None = None,
        sound: Sequence[av.Packet] = (),
    ) -> None:
        """Take a `Frame`, not to be changed afterwards; waits while the encoder is four frames behind.

        Planes are by the matrix and range of `colour`. Without `pts` and `duration` frames follow each other at the
        rate. A `pts` that does not lie after the last is moved to one tick after it: no player accepts time that stands
        still. Sound waits for the end of its frame, so that a film that is interrupted ends with both.
        """
        if frame.shape[:2] != (self.height, self.width):
            raise ValueError(f"frame of {frame.shape[:2]} for a film of {(self.height, self.width)}")
        pts = self._next if pts is None else max(pts, self._earliest)
        duration = duration or self._step
        self._put(Frame(frame, pts, duration, sound))
        self._next = pts + duration
        self._earliest = pts + 1
        self.frames += 1

    def _encode(self, beside: Path, frames: Iterator[Frame]) -> None:
        # A movie's own clock counts milliseconds unless told, to which a late first frame would be rounded.
        scale = self.time_base.denominator
        scale = min(scale * -(-10_000 // scale), 2**31 - 1)
        moov = {"movflags": "+faststart", "movie_timescale": str(scale)}
        options = moov if self._suffix in (".mp4", ".m4v", ".mov") else {}
        with av.open(str(beside), "w", container_options=options) as container:
            container.metadata.update(self.metadata)
            stream = self._open(container)
            tracks = {source.index: Track(container, source, self._suffix) for source in self.sound}
            sound: deque[av.Packet] = deque()
            for frame in frames:
                self._mux(container, stream.encode(self._encodable(frame)))
                sound += frame.sound
                end = self._end * self.time_base
                while sound and (sound[0].dts is None or sound[0].dts * sound[0].time_base < end):
                    tracks[sound[0].stream_index].write(sound.popleft())
            self._mux(container, stream.encode(None), final=True)
            for packet in () if self._interrupted else sound:
                tracks[packet.stream_index].write(packet)
            for track in tracks.values():
                track.finish()

    def _mux(self, container: av.container.OutputContainer, packets: list[av.Packet], *, final: bool = False) -> None:
        for packet in packets:
            if self._delay is None:
                self._delay = packet.pts - packet.dts
            packet.duration = self._durations.pop(packet.pts)  # encoders forget it
            if final and packet is packets[-1]:
                # MP4 adds up durations in order of decoding, where the last frame shown need not be the last.
                packet.duration = max(1, self._end - packet.dts - self._delay)
            container.mux_one(packet)

    def _open(self, container: av.container.OutputContainer) -> VideoStream:
        encoder, options = _ENCODERS[self._codec]
        factor = (60 if self._codec in ("vp9", "av1") else 50) - 0.4 * self.quality
        crf = factor - 0.5 if self._codec == "h264" else round(factor)
        stream = container.add_stream(encoder, rate=self.rate, options={**options, "crf": str(crf)})
        stream.pix_fmt = "yuv420p"
        stream.height, stream.width = (edge + edge % 2 if self._pads else edge for edge in (self.height, self.width))
        context = stream.codec_context
        context.time_base = self.time_base
        context.color_primaries, context.color_trc = self.colour.primaries, self.colour.transfer
        context.colorspace, context.color_range = self.colour.matrix, self.colour.range
        if self.sample_aspect:
            context.sample_aspect_ratio = self.sample_aspect
        if self._codec == "av1":
            os.environ.setdefault("SVT_LOG", "1")  # errors only; it has no other switch for its chatter
        if self._codec == "hevc" and self._suffix != ".mkv":
            context.codec_tag = "hvc1"  # what Apple's players ask for
        refusal = UserError(f"{encoder} cannot encode {self.width}x{self.height} pixels; choose another codec=")
        if self._codec == "av1" and min(self.height, self.width) < 32:  # it hangs on 640x8 and such
            raise refusal
        try:
            context.open()
        except av.FFmpegError:
            raise refusal from None
        return stream

    def _encodable(self, frame: Frame) -> av.VideoFrame:
        self._durations[frame.pts], self._end = frame.duration, frame.pts + frame.duration
        if isinstance(frame.pixels, Planes):
            encodable = self._converter.from_planes(frame.pixels)
        else:
            pixels = np.pad(frame.pixels, self._pads, mode="edge") if self._pads else frame.pixels
            encodable = self._converter.from_rgb(np.ascontiguousarray(pixels), self.colour)
        encodable.pts, encodable.time_base = frame.pts, self.time_base
        return encodable
