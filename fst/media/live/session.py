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
from fst.media.live.state import LiveState
from fst.media.live.style_loader import LivePainter, StyleLoader
from fst.stylize.many import Style
from fst.stylize.styles import live_styles
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
        styles: one or more; the first is loaded at once, others when they are chosen. Where they can be changed, the
            others of a single one's file of many styles are offered too.

    Raises:
        UserError: an unknown style, no display or camera where one was asked for, a camera that is busy or was
            unplugged (a recording is completed first), or a file that cannot be written.
    """
    _, _, number = (config.source or "").partition(":")
    if number:
        config = dataclasses.replace(config, webcam=dataclasses.replace(config.webcam, device=number))
    recorded = config.output not in (None, "window", "page")
    if not recorded:
        styles = live_styles(styles)
    loader = StyleLoader(styles, functools.partial(_load, config))
    try:
        first = loader.choose(0)  # loads while the display and the camera are looked for
        if recorded:
            path = _recording_path(config, styles)
            with _until_interrupted() as stop:
                _record(
                    config,
                    LivePainter(loader, LiveState.of(config, 1), first.result(), config.stabilize == "hold"),
                    path,
                    stop,
                )
        elif reason := _why_page(config):
            first.result()
            _serve(config, loader, reason)
        else:
            try:
                _show(config, loader)
            except NoCamera:
                if config.output == "window":
                    raise
                _serve(config, loader, "No camera here")
    finally:
        loader.close()


def _load(config: InferConfig, style: str | Style) -> Stylizer:
    from fst.stylize import Stylizer  # late: it may bring torch, which takes seconds

    return Stylizer.configured(config, style, live=True)


def _why_page(config: InferConfig) -> str | None:
    """Why the page is served, in a few words; None: there is a display for a window.

    Raises:
        UserError: a window was asked for and cannot be had.
    """
    from fst.media.live import window

    if config.output == "page":
        return "Page"
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


def _record(config: InferConfig, painter: LivePainter, path: Path, stop: threading.Event) -> None:
    """Write what the camera sees to a file until `stop`; a file is completed even where the camera is lost."""
    with Camera(config.webcam) as camera:
        frame, clock, seen = camera.first(), Clock(), 0
        painter.paint(frame)  # the first frame compiles the network: seconds that should not be in the film
        with Recorder(path, frame.shape[:2], camera.rate, config) as recorder:
            print(f"Recording {camera.name} to {path}; press Ctrl-C to end.", file=sys.stderr)
            while not stop.is_set():
                found = camera.newest(seen)
                if found is None:
                    continue
                seen, frame = found
                recorder.write(painter.paint(frame))
                clock.tick()
                if sys.stderr.isatty():
                    print(f"\r{recorder.seconds:6.1f} s  {clock.fps:4.1f} fps ", end="", file=sys.stderr)
    print(f"\nRecorded {path}, {recorder.seconds:.1f} s.", file=sys.stderr)


def _serve(config: InferConfig, loader: StyleLoader, reason: str) -> None:
    from fst.media.live import server  # late: a window needs no web server

    server.serve(config, loader, reason)


def _show(config: InferConfig, loader: StyleLoader) -> None:
    from fst.media.live.controls import Controls
    from fst.media.live.window import Window

    first = loader.choose(0).result()
    with Camera(config.webcam) as camera, _until_interrupted() as stop:
        first(camera.first())
        seen, window = 0, Window("fst")
        try:
            with Controls(config, loader, camera.rate) as controls:
                while not stop.is_set() and not controls.ended:
                    found = camera.newest(seen, timeout=0.05)
                    if found is not None:
                        seen, frame = found
                        window.show(controls.paint(frame))
                    while not controls.ended and (word := window.key()) is not None:
                        controls.do(word)
        finally:
            window.close()


@contextlib.contextmanager
def _until_interrupted() -> Iterator[threading.Event]:
    """An event that the first SIGINT or SIGTERM sets, so that a file is completed; the second one interrupts."""
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
