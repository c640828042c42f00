"""What a source is, by its name and contents, and who paints it."""

from __future__ import annotations

import dataclasses
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from fst import images
from fst.errors import UserError
from fst.media import photos
from fst.media.video import stabilize
from fst.stylize import Stylizer
from fst.stylize.styles import split

if TYPE_CHECKING:
    from fst.config.infer import InferConfig

WINDOW, PAGE = "window", "page"  # outputs that are watched instead of written


def kind_of(source: str) -> str:
    """ "photos", "video" or "live".

    A name decides where it can: webcam, an address, an image's suffix. Else the contents do: what Pillow opens as one
    picture is a photo, what moves or what Pillow does not know is for FFmpeg.
    """
    if re.fullmatch(r"webcam(:\d+)?", source) and not Path(source).exists():
        return "live"
    if re.match(r"[a-z][a-z0-9+]*://", source, re.IGNORECASE):
        return "video"
    if source == photos.STANDARD or photos.is_many(source):
        return "photos"
    path = Path(source).expanduser()
    if not path.is_file():
        if not path.exists():
            raise UserError(f"source={source} does not exist: give a photo, folder, pattern, video, address or webcam")
        return "video"  # a device or a pipe
    frames = images.frame_count(path)
    if frames > 1 or path.suffix.lower() == ".gif":
        return "video"
    return "photos" if frames == 1 or images.is_image(path.name) else "video"


def paint(config: InferConfig) -> None:
    """Paint a config's source in every style of its `style`.

    Raises:
        UserError: a source that is missing, or is damaged, or does not go with the output.
    """
    kind, styles = kind_of(config.source), split(config.style)
    if kind == "photos" and config.output in (WINDOW, PAGE):
        raise UserError(f"output={config.output} shows videos and the webcam: give a file or a folder for a photo")
    watched = config.output in (WINDOW, PAGE) or ("://" in config.source and config.output is None)
    if ">" in config.style and (kind != "video" or watched):
        raise UserError(f"style={config.style} moves over a film that is written: name a film, or one of the styles")
    stabilize.check(config.stabilize, film=kind == "video" and not watched)
    if kind == "live" or watched:
        from fst.media.live.session import run

        if kind == "video":  # a film or an address in the camera's place
            webcam = dataclasses.replace(config.webcam, device=config.source, mirror=False)
            config = dataclasses.replace(config, source="webcam", webcam=webcam)
        run(config, styles)
        return
    load = partial(Stylizer.configured, config)
    if kind == "photos":
        how = {"quality": config.quality, "overwrite": config.overwrite, "stabilize": config.stabilize}
        photos.paint(config.source, config.output, styles, load, **how)
        return
    from fst.media.video.paint_video import paint_video

    for style in styles:
        moving = ">" in style  # its paint is to change, also where the source does not
        stylizer = stabilize.Stabilized(load(style), "none" if moving else config.stabilize)
        output = video_target(config.output, stylizer.name, several=len(styles) > 1)
        how = {"quality": config.quality, "codec": config.codec, "overwrite": config.overwrite}
        print(paint_video(config.source, output, stylizer, **how))


def video_target(output: str | None, style: str, *, several: bool) -> Path | None:
    """Where a painted video goes: as `fst.media.photos.target_of`; None leaves the name to `paint_video`."""
    if output == photos.STANDARD:
        raise UserError("output=- takes a photo: a video needs a file")
    if output is None:
        return None
    target = Path(output).expanduser()
    return target.with_stem(f"{target.stem}-{style}") if several and target.suffix else target
