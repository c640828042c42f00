"""A film of a run: what it makes of its first preview photo at chosen steps."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_only

from fst import images
from fst.files import visible
from fst.media.video.animation import AnimationWriter
from fst.media.video.encode import VideoWriter
from fst.tracking.loggers import pixels

FRAMES = 100
RATE = 12  # frames a second
HOLD = 2  # seconds for which the last frame stays
LONG_EDGE = {"mp4": 1280, "gif": 480, "webp": 640}  # pixels; larger frames are reduced


def spaced(steps: int) -> list[int]:
    """About 100 of the steps 0 to `steps`, the last one among them, in growing distances: most happens early."""
    return sorted({0, *(round(steps ** (index / (FRAMES - 2))) for index in range(FRAMES - 1))})


class Film(Callback):
    """Keep frames in run_dir/animation/000123.png, and at the end of the fit write films, run_dir/animation.mp4, say.

    Frames are files, so a resumed run's film has those from before. Steps are global ones, 0 for the start.
    """

    def __init__(self, films: Sequence[Path], steps: Sequence[int]) -> None:
        self.films, self.folder = films, films[0].with_suffix("")
        self.steps = frozenset(steps)

    @rank_zero_only
    def on_train_batch_end(self, trainer: Trainer, module: LightningModule, *_: Any) -> None:
        if trainer.global_step in self.steps:
            images.write(self.folder / f"{trainer.global_step:06d}.png", pixels(module.previews()[0].result))

    on_train_start = on_train_batch_end

    @rank_zero_only
    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        for film in self.films:
            write_film(film, sorted(visible(self.folder, "*.png")))


def write_film(path: Path, frames: Sequence[Path]) -> None:
    """Write image files of one size as a film, MP4, GIF or WebP by its suffix; the last one stays for 2 s."""
    if not frames:
        return
    first = images.read(frames[0])
    edge = min(max(first.shape[:2]), LONG_EDGE[path.suffix[1:]])
    height, width = images.fit_long_edge(*first.shape[:2], edge)
    pictures = (images.resize(images.read(frame), (height, width)) for frame in frames)
    if path.suffix == ".mp4":
        with VideoWriter(path, width=width, height=height, rate=RATE) as film:
            for picture in pictures:
                film.write(picture)
            for _ in range(HOLD * RATE):
                film.write(picture)
        return
    with AnimationWriter(path) as film:
        for index, picture in enumerate(pictures):
            begin, end = (round(1000 * number / RATE) for number in (index, index + 1))
            film.write(picture, begin, HOLD * 1000 if index == len(frames) - 1 else end - begin)
