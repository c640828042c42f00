"""A film in, the same film painted out: decoding, painting and encoding overlap, each in a thread of its own."""

from __future__ import annotations

import contextlib
import itertools
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from fst.errors import UserError
from fst.files import check_free
from fst.images import frame_count
from fst.media.bar import progress, say
from fst.media.places import is_address, target_of
from fst.media.video.animation import FORMATS, AnimationReader, AnimationWriter
from fst.media.video.decode import Frame, VideoReader
from fst.media.video.encode import VideoWriter, choose
from fst.media.video.sink import checked_quality
from fst.media.video.stabilize import steadier

if TYPE_CHECKING:
    from fst.stylize import Stylizer

_AHEAD = 4  # frames decoded before the network asks for them
_END = object()


def paint_video(
    source: str,  # a file, or an address (rtsp://, ...), which is read until it ends or Ctrl-C is pressed
    output: str | Path | None,  # see `fst.media.places.target_of`; the suffix decides the format
    stylizer: Stylizer,  # only its `name`, `stream` and, where it has that, `takes_planes` are used
    *,
    quality: int | None = None,  # 0 to 100, see VideoWriter and AnimationWriter
    codec: str | None = None,  # see VideoWriter
    overwrite: bool = False,
    stabilize: str = "none",  # one of `fst.media.video.stabilize.WAYS`
    several: bool = False,  # the style's name goes into the file's
    shown: bool = True,  # with a bar on a terminal
    keep_part: bool = True,  # one of many is painted whole or not at all
) -> Path:
    """Paint a video, an animation (GIF, WebP, PNG, AVIF) or a stream address; returns the file written.

    Frame count, timestamps (variable frame rate too), sound, colour tags and pixel aspect stay as they are; rotation
    is applied. On Ctrl-C, with `keep_part`, the file is completed with the frames and sound so far and kept;
    KeyboardInterrupt goes on.

    Raises:
        UserError: the source cannot be read or has no frame; the output exists, cannot be written, or its suffix,
            codec and quality do not go together. No file is left then.
    """
    target = film_target(source, output, stylizer.name, overwrite=overwrite, several=several)
    animated = _is_animated(source)
    to_animation = target.suffix.lower() in FORMATS
    # Said before the source is opened, which may take an address its time.
    if not to_animation:
        choose(target.suffix, codec)
    elif codec is not None:
        raise UserError(f"codec={codec} has no meaning for {target.name}: leave it out, or write .mp4")
    checked_quality(quality, 0)
    if animated:
        reader = AnimationReader(source, as_shown=not to_animation)
    else:
        rgb = to_animation or stabilize == "flow"  # which looks for motion there
        planes = None if rgb else getattr(stylizer, "takes_planes", None)
        reader = VideoReader(source, planes)
    with contextlib.closing(_ahead(reader, drop=reader.live)) as frames:
        first = next(frames)  # a reader raises when there is none
        writer = _writer(target, reader, first, quality, codec)
        writer.keeps_part = keep_part
        frames = itertools.chain([first], frames)
        try:
            with progress(reader.count, "frame", shown=shown) as update, writer:
                update(description=target.name)
                for frame in _painted(frames, stylizer, reader.count, steadier(stabilize)):
                    writer.write(*frame)
                    update(advance=1)
        except KeyboardInterrupt:
            if keep_part and target.exists() and writer.frames:
                say(f"stopped: {target} holds the first {writer.frames} frames")
            raise
    if reader.broken:
        say(f"{reader.name} breaks off after {writer.frames} frames: {reader.broken}")
    if animated and reader.transparent:
        say(f"{reader.name} is transparent in places: {target.name} has white there")
    if reader.damaged:
        say(f"{reader.name}: {reader.damaged} frames are damaged")
    return target


def film_target(source: str, output: str | Path | None, style: str, *, overwrite: bool, several: bool) -> Path:
    """Where a film or animation is painted to, see `fst.media.places.target_of`; UserError where it would not fit."""
    path = Path(urlsplit(source).path if is_address(source) else source)
    suffix = path.suffix.lower() if _is_animated(source) and path.suffix.lower() in FORMATS else ".mp4"
    output = None if output is None else str(output)
    target = target_of(path.stem or "stream", suffix, style, output, several=several)
    check_free(target, overwrite, None if is_address(source) else path)
    return target


def _is_animated(source: str) -> bool:
    return not is_address(source) and (frame_count(source) > 1 or source.lower().endswith(".gif"))


def _writer(
    target: Path, reader: VideoReader | AnimationReader, first: Frame, quality: int | None, codec: str | None
) -> VideoWriter | AnimationWriter:
    if target.suffix.lower() in FORMATS:
        was_animated = isinstance(reader, AnimationReader)
        how = {"plays": reader.plays, "shortest": 0} if was_animated else {"plays": 0, "shortest": 20}
        return AnimationWriter(target, time_base=reader.time_base, quality=quality, **how)
    height, width = first.pixels.shape[:2]
    kept = ("rate", "time_base", "colour", "sample_aspect", "sound", "metadata")
    how = {name: getattr(reader, name) for name in kept if hasattr(reader, name)}
    return VideoWriter(target, width=width, height=height, codec=codec, quality=quality, **how)


def _ahead(frames: Iterable[Frame], *, drop: bool) -> Iterator[Frame]:
    """Iterate in a thread, a few frames ahead.

    `drop`: leave out those for which there is no room (live sources), but never the last one; their sound goes with the
    next that is kept.
    """
    ready: queue.Queue[Any] = queue.Queue(_AHEAD)
    stopped = threading.Event()

    def offer(item: object) -> None:
        while not stopped.is_set():
            with contextlib.suppress(queue.Full):
                return ready.put(item, timeout=0.2)

    def work() -> None:
        left_out: Frame | None = None
        try:
            for frame in frames:
                if stopped.is_set():
                    return
                if left_out is not None:
                    frame = frame._replace(sound=[*left_out.sound, *frame.sound])
                left_out = frame if drop and ready.full() else None
                if left_out is None:
                    offer(frame)
            if left_out is not None:
                offer(left_out)
            offer(_END)
        except BaseException as error:  # raised again where the frames are asked for
            offer(error)

    threading.Thread(target=work, name="decode", daemon=True).start()
    try:
        for item in iter(ready.get, _END):
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stopped.set()


def _painted(
    frames: Iterable[Frame], stylizer: Stylizer, count: int | None, shown: Callable[[Any, Any], Any]
) -> Iterator[Frame]:
    """Frames come back painted, by `shown` of each source and painting; memory: the frames in flight."""
    passing: deque[Frame] = deque()

    def sources() -> Iterator[Any]:
        for frame in frames:
            passing.append(frame)
            yield frame.pixels

    for painted in stylizer.stream(sources(), count):
        frame = passing.popleft()
        yield frame._replace(pixels=shown(frame.pixels, painted))
