"""Live painting: the camera, the style chosen, and a window, a recording or the page to see it in."""

from __future__ import annotations

import contextlib
import functools
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from fst.errors import UserError
from fst.files import check_free
from fst.media.bar import progress, say
from fst.media.live import window
from fst.media.live.camera import Camera, NoCamera
from fst.media.live.controls import Controls
from fst.media.live.style_loader import StyleLoader
from fst.media.places import numbered
from fst.stylize import Stylizer
from fst.stylize.many import Style
from fst.stylize.styles import live_styles
from fst.system import handling

if TYPE_CHECKING:
    from fst.config.infer import InferConfig


def run(config: InferConfig, styles: list[str]) -> None:
    """Paint the camera in one of some styles until the user ends it.

    Where to: `output=window`, `output=page` (in a browser) and `output=FILE.mp4` (a recording without a window, until
    Ctrl-C) are done as said. Without `output`: a window; the page where this machine has no display or no camera.
    The page paints its viewer's own camera; but a device that was named, by `source=webcam:N` or `webcam.device=`, is
    never swapped for another: the page then shows that one.

    Raises:
        UserError: an unknown style, no display or camera where one was asked for, a camera that is busy or was
            unplugged (a recording is completed first), or a file that cannot be written.
    """
    path = None if config.output in (None, "window", "page") else _recording_path(config, styles)
    if path is None:
        styles = live_styles(styles)
    loader = StyleLoader(styles, functools.partial(_load, config))
    try:
        first = loader.choose(0)  # loads while the display and the camera are looked for
        why_page = "Page" if config.output == "page" else None
        if why_page is None and path is None and not window.has_display():
            if config.output == "window":
                raise UserError("output=window: this machine has no display; use output=page or output=FILE.mp4")
            why_page = "No display here"
        if why_page is None:
            try:
                return _show(config, loader, path)
            except NoCamera:
                if config.output is not None:
                    raise
                why_page = "No camera here"
        first.result()
        from fst.media.live import server  # late: a window needs no web server

        server.serve(config, loader, why_page)
    finally:
        loader.close()


def _load(config: InferConfig, style: str | Style) -> Stylizer:
    return Stylizer.configured(config, style, live=True)


def _recording_path(config: InferConfig, styles: list[str]) -> Path:
    from fst.media.video.encode import choose

    path = Path(config.output)
    if len(styles) > 1:
        raise UserError(f"output={path} records one style of the {len(styles)}; a window can change between them")
    if path.is_dir() or not path.suffix:
        return numbered(path / f"webcam-{time.strftime('%Y%m%d-%H%M%S')}.mp4")
    choose(path.suffix, config.codec)
    check_free(path, config.overwrite)
    return path


def _show(config: InferConfig, loader: StyleLoader, path: Path | None) -> None:
    """Paint the camera in a window; with a path, into that file instead, which is kept if the camera is lost."""
    first = loader.choose(0).result()
    with Camera(config.webcam) as camera, _until_interrupted() as stop:
        frame, seen, shown = camera.first(), 0, None
        first(frame)  # compiles the network: seconds that should not be in a film
        with (
            Controls(config, loader, camera.rate) as controls,
            progress(None, "frame", shown=path is not None) as bar,
        ):
            if path is None:
                shown = window.Window("fst")
            else:
                controls.record(path, frame.shape[:2])
                say(f"Recording {camera.name} to {path}; press Ctrl-C to end.")
            while not stop.is_set() and not controls.ended:
                found = camera.newest(seen, timeout=0.05)
                if found is not None:
                    seen, frame = found
                    picture = controls.paint(frame)
                    if path is not None:
                        bar(advance=1, description=f"{controls.seconds:.1f} s  {path.name}")
                    if shown is not None:
                        shown.show(picture)
                while shown is not None and not controls.ended and (word := shown.key()) is not None:
                    controls.do(word)


@contextlib.contextmanager
def _until_interrupted() -> Iterator[threading.Event]:
    """An event that the first signal to end sets, so that a file is completed; the second one interrupts."""
    stop = threading.Event()

    def ask(number: int, frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    with handling(ask):
        yield stop
