"""Live painting: the camera, the style chosen, and a window, a recording or the page to see it in."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from fst.errors import UserError
from fst.media.live.camera import Camera, NoCamera
from fst.media.live.recorder import Clock, Recorder, free_path
from fst.media.live.style_loader import Palette
from fst.system import handling

if TYPE_CHECKING:
    from fst.config.infer import InferConfig
    from fst.stylize import Stylizer


def run(config: InferConfig, styles: list[str]) -> None:
    """Paint the camera until the user ends it.

    Where to: `output=window`, `output=page` (in a browser) and `output=FILE.mp4` (a recording without a window, until
    Ctrl-C) are done as said. Without `output`: a window; the page where this machine has no display or no camera.
    The page paints its viewer's own camera; but a device that was named, by `source=webcam:N` or `webcam.device=`, is
    never swapped for another: the page then shows that one.

    Args:
        config: of infer.py.
        styles: one or more; the first is loaded at once, others when they are chosen.

    Raises:
        UserError: an unknown style, no display or camera where one was asked for, a camera that is busy or was
            unplugged (a recording is completed first), or a file that cannot be written.
    """
    _, _, number = (config.source or "").partition(":")
    if number:
        config = dataclasses.replace(config, webcam=dataclasses.replace(config.webcam, device=number))
    palette = Palette(styles, functools.partial(_load, config))
    try:
        first = palette.choose(0)  # loads while the display and the camera are looked for
        if config.output not in (None, "window", "page"):
            path = _recording_path(config, styles)
            with _until_interrupted() as stop:
                _record(config, first.result(), path, stop)
        elif reason := _why_page(config):
            first.result()
            _serve(config, palette, reason)
        else:
            try:
                _show(config, palette)
            except NoCamera:
                if config.output == "window":
                    raise
                _serve(config, palette, "No camera here")
    finally:
        palette.close()


def _load(config: InferConfig, style: str) -> Stylizer:
    from fst.stylize import Stylizer  # late: it may bring torch, which takes seconds

    look = {"size": config.size, "strength": config.strength, "colors": config.colors}
    how = {"backend": config.backend, "precision": config.precision, "calibration": config.calibration}
    return Stylizer.load(style, network=config.network, live=True, **how, **look)


def _why_page(config: InferConfig) -> str | None:
    """Why the page is served, in a few words; None: there is a display for a window.

    Raises:
        UserError: a window was asked for and cannot be had.
    """
    from fst.media.live import window

    if config.output == "page":
        return "As asked"
    display = window.has_display()
    if not display and config.output == "window":
        raise UserError("output=window: this machine has no display; use output=page or output=FILE.mp4")
    return None if display else "No display here"


def _recording_path(config: InferConfig, styles: list[str]) -> Path:
    from fst.media.video.encode import choose

    path = Path(config.output).expanduser()
    if config.output == "-":
        raise UserError("a live recording is not written to standard output; use output=FILE.mp4")
    if len(styles) > 1:
        raise UserError(
            f"output={path} records one style and {len(styles)} were given; a window can change between them"
        )
    if path.is_dir() or not path.suffix:
        return free_path(path / f"webcam-{time.strftime('%Y%m%d-%H%M%S')}.mp4")
    choose(path.suffix, config.codec)
    if path.exists() and not config.overwrite:
        raise UserError(f"{path} exists: name another file, or add overwrite=true")
    return path


def _record(config: InferConfig, stylizer: Stylizer, path: Path, stop: threading.Event) -> None:
    """Write what the camera sees to a file until `stop`; a file is completed even where the camera is lost."""
    import cv2

    with Camera(config.webcam) as camera:
        frame, mirror, clock, seen = camera.first(), config.webcam.mirror, Clock(), 0
        stylizer(frame)  # the first frame compiles the network: seconds that should not be in the film
        with Recorder(path, frame.shape[:2], camera.rate, config) as recorder:
            print(f"Recording {camera.name} to {path}; Ctrl-C ends.", file=sys.stderr)
            while not stop.is_set():
                found = camera.newest(seen)
                if found is None:
                    continue
                seen, frame = found
                recorder.write(stylizer(cv2.flip(frame, 1) if mirror else frame))
                clock.tick()
                if sys.stderr.isatty():
                    print(f"\r{recorder.seconds:6.1f} s  {clock.fps:4.1f} fps ", end="", file=sys.stderr)
    print(f"\nRecorded {path}, {recorder.seconds:.1f} s.", file=sys.stderr)


def _serve(config: InferConfig, palette: Palette, reason: str) -> None:
    from fst.media.live import server  # late: a window needs no web server

    server.serve(config, palette, reason)


def _show(config: InferConfig, palette: Palette) -> None:
    from fst.media.live.controls import Booth
    from fst.media.live.window import Window

    first = palette.choose(0).result()
    with Camera(config.webcam) as camera, _until_interrupted() as stop:
        first(camera.first())
        seen, window = 0, Window("fst")
        try:
            with Booth(config, palette, camera.rate) as booth:
                while not stop.is_set() and not booth.ended:
                    found = camera.newest(seen, timeout=0.05)
                    if found is not None:
                        seen, frame = found
                        window.show(booth.paint(frame))
                    while not booth.ended and (word := window.key()) is not None:
                        booth.do(word)
        finally:
            window.close()


@contextlib.contextmanager
def _until_interrupted() -> Iterator[threading.Event]:
    """An event that Ctrl-C or a polite kill sets, so that a file is completed; the second time they interrupt."""
    stop = threading.Event()

    def ask(number: int, frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    with handling(ask):
        yield stop
