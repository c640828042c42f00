"""What a source is, by its name and contents, and who paints it."""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from fst import images
from fst.errors import UserError
from fst.media import folders, photos
from fst.media.places import STANDARD
from fst.media.video import stabilize
from fst.stylize import Stylizer
from fst.stylize.styles import find_each, moves, split

if TYPE_CHECKING:
    from fst.config.infer import InferConfig

WATCHED = ("window", "page")  # outputs that are watched instead of written


def kind_of(source: str) -> str:
    """ "photo", "many" (a folder or pattern), "video" or "live".

    A name decides where it can: webcam, an address, an image's suffix. Else the contents do: what Pillow opens as one
    picture is a photo, what moves or what Pillow does not know is for FFmpeg.
    """
    if re.fullmatch(r"webcam(:\d+)?", source) and not Path(source).exists():
        return "live"
    if re.match(r"[a-z][a-z0-9+]*://", source, re.IGNORECASE):
        return "video"
    if source == STANDARD:
        return "photo"
    if folders.is_many(source):
        return "many"
    path = Path(source)
    if not path.is_file():
        if not path.exists():
            raise UserError(f"source={source} does not exist: give a photo, folder, pattern, video, address or webcam")
        return "video"  # a device or a pipe
    frames = images.frame_count(path)
    if frames > 1:
        return "video"
    return "photo" if frames == 1 or images.is_image(path.name) else "video"


def paint(config: InferConfig) -> None:
    """Paint a config's source in every style of its `style`.

    Raises:
        UserError: a source that is missing, or is damaged, or does not go with the output.
    """
    # Path's expanduser raises for ~nobody, which may be a file's name.
    source, output = (name and os.path.expanduser(name) for name in (config.source, config.output))  # noqa: PTH111
    config = dataclasses.replace(config, source=source, output=output)
    kind, names = kind_of(config.source), split(config.style)
    if kind in ("photo", "many") and config.output in WATCHED:
        raise UserError(f"output={config.output} shows a video or the webcam: give a file or a folder for photos")
    if kind in ("video", "live") and config.output == STANDARD:
        raise UserError("output=- takes a photo: a video needs a file")
    watched = config.output in WATCHED or ("://" in config.source and config.output is None)
    moving = moves(config.style)
    if moving and (kind != "video" or watched):
        raise UserError(f"style={config.style} moves over a film that is written: name a film, or one of the styles")
    if moving and config.stabilize == "flow":
        raise UserError(f"style={config.style} changes the paint, which stabilize=flow keeps: leave one of them out")
    stabilize.check(config.stabilize, film=kind in ("video", "many") and not watched)
    if kind == "live" or watched:
        from fst.media.live.session import run

        webcam = config.webcam
        if kind == "video":  # a film or an address in the camera's place
            webcam = dataclasses.replace(webcam, device=config.source, mirror=False)
        elif number := config.source.removeprefix("webcam").removeprefix(":"):
            webcam = dataclasses.replace(webcam, device=number)
        run(dataclasses.replace(config, webcam=webcam), names)
        return
    styles = find_each(names, config.painting_size)  # all: a mistake in the last is said before the first paints
    if kind in ("photo", "many"):
        (photos if kind == "photo" else folders).paint(config, styles)
        return
    from fst.media.video.paint_video import film_target, paint_video

    where = {"overwrite": config.overwrite, "several": len(styles) > 1}
    for style in styles:  # what is there already, of all, before the first is painted
        film_target(config.source, config.output, style.name, **where)
    how = where | {"quality": config.quality, "codec": config.codec}
    # What moves from style to style is to change, also where the film does not.
    how["stabilize"] = "none" if moving else config.stabilize
    for style in styles:
        stylizer = Stylizer.configured(config, style)
        print(paint_video(config.source, config.output, stylizer, **how))
