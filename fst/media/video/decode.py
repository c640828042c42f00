"""A film being read: its frames as RGB or planes, upright, with its sound, in the order of the file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.format import Flags
from av.video.stream import VideoStream

from fst.errors import UserError
from fst.media.places import is_address, without_password
from fst.media.video.colour import Colour, Converter, is_planar
from fst.stylize.planes import Planes

_TELL_LENGTH = ("mov,", "matroska,")  # formats whose header says how long a film is; others have it estimated
_KEPT = ("title", "artist", "album", "comment", "copyright", "description", "date", "creation_time", "location")


class Frame(NamedTuple):
    """One frame of a film."""

    pixels: np.ndarray | Planes  # uint8 (H, W, 3) RGB, or planes
    pts: int  # when it is shown, in the time base
    duration: int | None  # likewise; None: unknown
    sound: Sequence[av.Packet] = ()  # what the file has between this frame and the next


class VideoReader:
    """Frames and sound of a video file or of a stream address; iterate over it once, in one thread.

    Display rotation is applied: the frames stand upright. The clock of transport streams and live addresses starts
    anywhere; theirs is made to start at zero, all others keep their timestamps. A frame that does not decode is passed
    over, and the one before it stays for longer. Frames of a height and width that `takes_planes` come as Planes, of a
    film in 8-bit 4:2:0 whose frames are stored upright.

    Raises:
        UserError: there is no such file, it is not a video, or no frame of it can be decoded.
    """

    def __init__(self, source: str, takes_planes: Callable[[int, int], bool] | None = None) -> None:
        self.name = without_password(source)
        self._container = _open(source, self.name)
        if self._container.format.name.endswith("_pipe"):  # FFmpeg's name for one picture of a format
            raise UserError(f"{self.name} is a picture in a format that is not read: save it as PNG or JPEG")
        self._stream = self._video_stream()
        self._stream.thread_type = "AUTO"
        self.time_base: Fraction = self._stream.time_base or Fraction(1, 90_000)  # seconds
        rates = (self._stream.average_rate, self._stream.guessed_rate)
        self.rate = next((rate for rate in rates if rate and 0 < rate <= 1000), Fraction(25))  # average
        # An address without an end, where a frame that comes too early is lost.
        self.live = is_address(source) and self._container.duration is None
        self.count = self._stream.frames or self._estimate()  # as far as the file says; None: unknown
        self.sound = [track for track in self._container.streams.audio if track.codec_context is not None]
        self.metadata = {key: value for key, value in self._container.metadata.items() if key in _KEPT}
        self.colour = Colour()  # as `sample_aspect`, known once the first frame was read
        self.sample_aspect: Fraction | None = None
        self.damaged = 0  # how many frames did not decode, so far
        self.broken: str | None = None  # why reading ended before the end of the file, if it did
        discontinuous = self._container.format.flags & Flags.ts_discont.value
        self._start = Fraction(self._container.start_time or 0, av.time_base) if discontinuous else Fraction(0)
        self._converter = Converter()
        self._takes_planes = takes_planes or (lambda height, width: False)
        self._planar = False
        self._size: tuple[int, int] | None = None
        self._next = 0
        self._seen = 0
        self._reached = 0.0  # seconds, the end of what was read of any track

    def _video_stream(self) -> VideoStream:
        for stream in self._container.streams.video:
            cover = stream.disposition & av.stream.Disposition.attached_pic
            if not cover and stream.codec_context is not None and stream.codec_context.width:
                return stream
        reason = "it holds sound only" if self._container.streams.audio else "no video in it can be decoded"
        raise UserError(f"{self.name} is not a film: {reason}")

    def _estimate(self) -> int | None:
        stream, whole = self._stream.duration, self._container.duration
        if stream is None and whole is None:
            return None
        seconds = Fraction(whole, av.time_base) if stream is None else stream * self.time_base
        return round(seconds * self.rate)

    def __iter__(self) -> Iterator[Frame]:
        """Its frames; a UserError where none could be decoded."""
        waiting: Frame | None = None  # for the next one, which ends it: files tell durations in order of decoding
        sound: list[av.Packet] = []
        for packet in self._packets():
            if packet.stream.index != self._stream.index:  # of a last, empty packet, stream_index is not set
                if packet.size:
                    sound.append(packet)
                continue
            for decoded in self._decoded(packet):
                frame = self._upright(decoded)
                if waiting is not None:
                    yield waiting._replace(duration=max(1, frame.pts - waiting.pts), sound=sound)
                    sound = []
                waiting = frame
        if waiting is None:
            raise UserError(f"{self.name} holds no frame that can be decoded{f': {self.broken}' * bool(self.broken)}")
        yield waiting._replace(duration=self._remainder(waiting), sound=sound)

    def _remainder(self, last: Frame) -> int | None:
        """How long the last frame is shown: to the end of the stream, if all of it was there."""
        stream = self._stream
        if stream.duration and self._seen == stream.frames:
            end = (stream.start_time or 0) + stream.duration - round(self._start / self.time_base)
            return end - last.pts if end > last.pts else last.duration
        return last.duration

    def _packets(self) -> Iterator[av.Packet]:
        try:
            for packet in self._container.demux(self._stream, *self.sound):
                shift = round(self._start / packet.time_base)
                if shift and packet.dts is not None:
                    packet.dts -= shift
                if shift and packet.pts is not None:
                    packet.pts -= shift
                if packet.pts is not None:
                    self._reached = max(self._reached, float((packet.pts + (packet.duration or 0)) * packet.time_base))
                yield packet
        except av.FFmpegError as error:
            self.broken = error.strerror or str(error)
        else:
            self.broken = self._missing()

    def _missing(self) -> str | None:
        """What a file that was cut off lacks, which FFmpeg takes for its end."""
        if not self._container.format.name.startswith(_TELL_LENGTH):
            return None
        whole = (self._container.duration or 0) / av.time_base  # of a live address it is not known
        if whole - self._reached <= max(1, whole / 20):
            return None
        return f"{self._reached:.1f} of {whole:.1f} seconds are there"

    def _decoded(self, packet: av.Packet) -> list[av.VideoFrame]:
        self._seen += packet.size > 0
        try:
            frames = packet.decode()
        except av.FFmpegError:
            self.damaged += 1
            return []
        self.damaged += sum(frame.is_corrupt for frame in frames)
        return frames

    def _upright(self, frame: av.VideoFrame) -> Frame:
        transform = _orientation(frame)
        if self._size is None:
            self._size = (frame.width, frame.height)
            self.colour = Colour.of(frame)
            aspect = self._stream.sample_aspect_ratio or None
            self.sample_aspect = 1 / aspect if aspect and transform[0] else aspect
            stored_upright = not any(transform) and is_planar(frame)
            self._planar = stored_upright and self._takes_planes(frame.height, frame.width)
        if self._planar:
            pixels = self._converter.to_planes(frame, *self._size, self.colour)
        else:
            pixels = _turn(self._converter.to_rgb(frame, *self._size), *transform)
        # AVI has no presentation times: what FFmpeg makes up goes back and forth where there are B-frames.
        stamps = (frame.dts, frame.pts) if self._container.format.name == "avi" else (frame.pts, frame.dts)
        pts = next((stamp for stamp in stamps if stamp is not None), self._next)
        duration = frame.duration or None
        self._next = pts + (duration or round(1 / self.rate / self.time_base))
        return Frame(pixels, pts, duration)


def _open(source: str, name: str) -> av.container.InputContainer:
    try:
        if is_address(source):
            options = {"rtsp_flags": "prefer_tcp"} if source.startswith("rtsp") else {}
            return av.open(source, container_options=options, timeout=(15, 30))
        if not Path(source).exists():
            raise UserError(f"video {name} does not exist")
        return av.open(source, metadata_errors="replace")
    except (av.InvalidDataError, av.EOFError):
        raise UserError(f"{name} is not a video that FFmpeg can read, or it breaks off before its index") from None
    except (av.FFmpegError, OSError) as error:
        hint = "no answer within 15 s" if isinstance(error, av.ExitError) else error.strerror or error
        raise UserError(f"cannot open {name}: {hint}") from None


def _orientation(frame: av.VideoFrame) -> tuple[bool, bool, bool]:
    """(swap rows and columns, then mirror left-right, then top-bottom) from a frame's display matrix."""
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return False, False, False
    # (x, y) goes to (a x + c y, b x + d y), 16.16 fixed point; what is not a quarter turn is taken as the nearest one.
    a, b, _, c, d = np.frombuffer(data, dtype=np.int32)[:5].tolist()
    swap = abs(b) > abs(a)
    return (True, c < 0, b < 0) if swap else (False, a < 0, d < 0)


def _turn(pixels: np.ndarray, swap: bool, mirror: bool, flip: bool) -> np.ndarray:
    if swap:
        pixels = pixels.transpose(1, 0, 2)
    return np.ascontiguousarray(pixels[:: -1 if flip else 1, :: -1 if mirror else 1])
