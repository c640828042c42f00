"""A film in, the same film painted out: decoding, painting and encoding overlap, each in a thread of its own."""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import av
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from fst.errors import UserError
from fst.images import frame_count
from fst.media.video import animation, encode
from fst.media.video.animation import AnimationReader, AnimationWriter
from fst.media.video.decode import Frame, VideoReader, is_address

if TYPE_CHECKING:
    from fst.stylize import Stylizer

_AHEAD = 4  # frames decoded before the network asks for them
_END = object()


def paint_video(
    source: str,
    output: Path | None,
    stylizer: Stylizer,
    *,
    quality: int | None = None,
    codec: str | None = None,
    overwrite: bool = False,
    bar: bool = True,
) -> Path:
    """Paint a video, an animation (GIF, WebP, PNG, AVIF) or a stream address; returns the file written.

    Frame count, timestamps (variable frame rate too), sound, colour tags and pixel aspect stay as they are; rotation
    is applied. On Ctrl-C the file is completed with the frames and sound so far and kept; KeyboardInterrupt goes on.

    Args:
        source: a file, or an address (rtsp://, http://, ...), which is read until it ends or Ctrl-C is pressed.
        output: the file, whose suffix decides the format; a folder; or None for the current folder. The default name
            is the source's and the style's, as "clip-gogh.mp4"; an animation keeps its format.
        stylizer: a `fst.stylize.Stylizer`; only its `name`, `stream` and, where it has that, `takes_planes` are used.
        quality: 0 to 100, see VideoWriter and AnimationWriter.
        codec: "h264" (default), "hevc", "vp9", "av1", "mpeg4".
        overwrite: replace an existing file.
        bar: show progress, where standard error is a terminal.

    Raises:
        UserError: the source cannot be read or has no frame; the output exists, cannot be written, or its suffix,
            codec and quality do not go together. No file is left then.
    """
    animated = not is_address(source) and (frame_count(source) > 1 or Path(source).suffix.lower() == ".gif")
    target = _target(source, output, stylizer.name, animated)
    to_animation = target.suffix.lower() in animation.FORMATS
    if to_animation and codec is not None:
        raise UserError(f"codec={codec} has no meaning for {target.name}: leave it out, or write .mp4")
    if not to_animation:
        encode.choose(target.suffix, codec)
    encode.check_quality(quality)
    _check_place(source, target, overwrite)
    takes_planes = None if to_animation else getattr(stylizer, "takes_planes", None)
    reader = AnimationReader(source, as_shown=not to_animation) if animated else VideoReader(source, takes_planes)
    console = Console(stderr=True)
    with contextlib.ExitStack() as stack:
        items = stack.enter_context(contextlib.closing(_ahead(reader, drop=reader.live)))
        painted = _painted(items, stylizer, reader.count)
        first, early = _first(painted)
        writer = _writer(target, reader, first, quality, codec)
        try:
            with writer, _progress(console, target.name, reader.count, bar) as advance:
                _write(writer, reader, first, early, painted, advance)
        except KeyboardInterrupt:
            if target.exists() and writer.frames:
                _say(console, f"stopped: {target} holds the first {writer.frames} frames")
            raise
    if reader.broken:
        _say(console, f"{reader.name} breaks off after {writer.frames} frames: {reader.broken}")
    if animated and reader.transparent:
        _say(console, f"{reader.name} is transparent in places: {target.name} has white there")
    if reader.damaged:
        _say(console, f"{reader.name}: {reader.damaged} frames are damaged")
    return target


def _target(source: str, output: Path | None, style: str, animated: bool) -> Path:
    path = Path(urlsplit(source).path if is_address(source) else source)
    kept = path.suffix.lower() if animated and path.suffix.lower() in animation.FORMATS else ".mp4"
    name = f"{path.stem or 'stream'}-{style}{kept}"
    if output is None:
        return Path(name)
    return output / name if output.is_dir() or str(output).endswith(os.sep) else output


def _check_place(source: str, target: Path, overwrite: bool) -> None:
    if not target.exists():
        return
    if not is_address(source) and Path(source).exists() and target.samefile(source):
        raise UserError(f"{target} is the source itself: choose another output=")
    if not overwrite:
        raise UserError(f"{target} exists: choose another output=, or overwrite=true")


def _writer(
    target: Path, reader: VideoReader | AnimationReader, first: Frame, quality: int | None, codec: str | None
) -> encode.VideoWriter | AnimationWriter:
    if target.suffix.lower() in animation.FORMATS:
        was_animated = isinstance(reader, AnimationReader)
        return AnimationWriter(
            target,
            time_base=reader.time_base,
            quality=quality,
            loop=reader.loop if was_animated else 0,
            shortest=0 if was_animated else 20,
        )
    height, width = first.pixels.shape[:2]
    return encode.VideoWriter(
        target,
        width=width,
        height=height,
        rate=reader.rate,
        time_base=reader.time_base,
        codec=codec,
        quality=quality,
        colour=reader.colour,
        sample_aspect=reader.sample_aspect,
        sound=reader.sound,
        metadata=reader.metadata,
    )


def _ahead(items: Iterable[Any], *, drop: bool) -> Iterator[Any]:
    """Iterate in a thread, a few items ahead. `drop`: leave out frames for which there is no room (live sources)."""
    ready: queue.Queue[Any] = queue.Queue(_AHEAD)
    stopped = threading.Event()

    def offer(item: object) -> None:
        patient = not (drop and isinstance(item, Frame))
        while not stopped.is_set():
            with contextlib.suppress(queue.Full):
                return ready.put(item, block=patient, timeout=0.2)
            if not patient:
                return None
        return None

    def work() -> None:
        try:
            for item in items:
                if stopped.is_set():
                    return
                offer(item)
            offer(_END)
        except BaseException as error:  # raised again where the items are asked for
            offer(error)

    threading.Thread(target=work, name="decode", daemon=True).start()
    try:
        for item in iter(ready.get, _END):
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stopped.set()


def _painted(items: Iterable[Frame | av.Packet], stylizer: Stylizer, count: int | None) -> Iterator[Frame | av.Packet]:
    """Frames come back painted; sound packets keep their places between them."""
    passing: deque[Frame | av.Packet] = deque()

    def pixels() -> Iterator[np.ndarray]:
        for item in items:
            if isinstance(item, Frame):
                passing.append(item._replace(pixels=None))
                yield item.pixels
            else:
                passing.append(item)

    for result in stylizer.stream(pixels(), count):
        while not isinstance(passing[0], Frame):
            yield passing.popleft()
        yield passing.popleft()._replace(pixels=result)
    yield from passing


def _first(painted: Iterator[Frame | av.Packet]) -> tuple[Frame, deque[av.Packet]]:
    early: deque[av.Packet] = deque()
    for item in painted:
        if isinstance(item, Frame):
            return item, early
        early.append(item)
    raise AssertionError("a reader raises when there is no frame")


def _write(writer: Any, reader: Any, first: Frame, sound: deque[av.Packet], painted: Iterator, advance: Any) -> None:
    """Write frames, and sound up to each frame's end: a film that is interrupted ends with both."""

    def write(frame: Frame) -> None:
        writer.write(frame.pixels, frame.pts, frame.duration)
        end = (frame.pts + (frame.duration or 0)) * reader.time_base
        while sound and (sound[0].dts is None or sound[0].dts * sound[0].time_base < end):
            keep_sound(sound.popleft())
        advance()

    def keep_sound(packet: av.Packet) -> None:
        if hasattr(writer, "write_sound"):
            writer.write_sound(packet)

    write(first)
    for item in painted:
        if isinstance(item, Frame):
            write(item)
        else:
            sound.append(item)
    for packet in sound:
        keep_sound(packet)


def _say(console: Console, line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)


class _Speed(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.finished_speed or task.speed or 0:.1f} fps")


@contextlib.contextmanager
def _progress(console: Console, name: str, count: int | None, shown: bool) -> Iterator[Any]:
    """A bar on the terminal (none in a log file); gives the function that moves it on by one frame."""
    columns = (TextColumn("{task.fields[name]}", markup=False), BarColumn(), MofNCompleteColumn(), TextColumn("frames"))
    with Progress(
        *columns, _Speed(), TimeRemainingColumn(), console=console, disable=not (shown and console.is_terminal)
    ) as bar:
        task = bar.add_task("", name=name, total=count)
        yield lambda: bar.advance(task)
