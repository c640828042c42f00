"""The sound of a film: its packets copied as they are, or re-encoded where the container or its players need it."""

from __future__ import annotations

import av
from av.audio.stream import AudioStream

# What browsers and phones play from each container. FFmpeg would put more into MP4 (Vorbis, PCM, AMR) than they play.
_COPIED = {
    ".mp4": {"aac", "mp3", "opus", "flac", "alac", "ac3", "eac3"},
    ".m4v": {"aac", "mp3", "alac", "ac3", "eac3"},
    ".mov": {"aac", "mp3", "alac", "ac3", "eac3", "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be"},
    ".webm": {"opus", "vorbis"},
}
_RATE = 48_000  # samples a second of what is encoded anew: Opus has no other, and everything plays it
_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 8: "7.1"}


class Track:
    """One audio stream of the source, an open input, in a container to which no packet was written yet."""

    def __init__(self, container: av.container.OutputContainer, source: AudioStream, suffix: str) -> None:
        self._container = container
        codec = source.codec_context.codec.canonical_name
        self.copied = codec in _COPIED.get(suffix, {codec})
        if self.copied:
            try:
                self._stream = container.add_stream_from_template(source)
            except ValueError:  # a codec without a place in this container
                self.copied = False
        if not self.copied:
            self._stream = _encoder(container, source, suffix)
        if "language" in source.metadata:
            self._stream.metadata["language"] = source.metadata["language"]
        self._last: int | None = None

    def write(self, packet: av.Packet) -> None:
        """Take a packet of the source; damaged ones, and those that go back in time, are passed over."""
        if packet.dts is None or (self._last is not None and packet.dts <= self._last):
            return
        self._last = packet.dts
        if self.copied:
            packet.stream = self._stream
            self._container.mux_one(packet)
            return
        try:
            frames = packet.decode()
        except av.FFmpegError:
            return
        for frame in frames:
            self._container.mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Write what the encoder still holds."""
        if not self.copied and self._last is not None:
            self._container.mux(self._stream.encode(None))


def _encoder(container: av.container.OutputContainer, source: AudioStream, suffix: str) -> AudioStream:
    # By the count alone: AVI and WAV do not say which channel is which, and the encoders want to know.
    channels = source.codec_context.layout.nb_channels
    name = "libopus" if suffix == ".webm" else "aac"
    stream = container.add_stream(name, rate=_RATE, layout=_LAYOUTS.get(channels, "stereo"))
    stream.codec_context.bit_rate = 96_000 * channels
    return stream
