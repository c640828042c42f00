"""Content and style reconstructions, transfer and its animation, for a photo and a frame of a film.

python experiments/togetsukyo/run.py bridge.jpg chaplin.mp4 [--frame 100] [settings of train.py]

Runs go to runs/togetsukyo/, figures beside this file. A run that is there already is not made again.
"""

from __future__ import annotations

import argparse
import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT))

from fst import images  # noqa: E402
from fst.errors import UserError, one_line_errors  # noqa: E402
from fst.media.video.decode import VideoReader  # noqa: E402
from fst.tracking.previews import side_by_side  # noqa: E402

SHOWN = [0, 1, 3, 10, 20, 40, 60]
NOISE = ["method.init=noise", "method.coarsest=null"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="+", help="photos, and films of which one frame is taken")
    parser.add_argument("--frame", type=int, default=100, help="number of the frame, from 0")
    parser.add_argument("--out", type=Path, default=Path("runs/togetsukyo"))
    arguments = parser.parse_intermixed_args()
    overrides = [source for source in arguments.sources if "=" in source]
    with one_line_errors():
        for source in (Path(source) for source in arguments.sources if "=" not in source):
            photo = source if images.is_image(source.name) else frame(source, arguments.frame, arguments.out)
            study(photo, arguments.out, overrides)


def frame(film: Path, number: int, folder: Path) -> Path:
    """One frame of a film as a PNG."""
    frames = iter(VideoReader(str(film)))
    found = next(itertools.islice(frames, number, None), None)
    if found is None:
        raise UserError(f"{film} has fewer than {number + 1} frames: choose another with --frame")
    return images.write(folder / f"{film.stem}.png", found.pixels)


def study(photo: Path, folder: Path, overrides: list[str]) -> None:
    """Every run on one photo, and the two figures of it."""
    name = photo.stem
    jobs = {
        layer: ["loss.style_weight=0", f"loss.content_layers=[{layer}]", "loss.tv_weight=0", *NOISE]
        for layer in ("relu1_2", "relu2_2", "relu3_3")
    }
    jobs["style"] = ["loss.content_weight=0", "loss.tv_weight=0", *NOISE]
    jobs["transfer"] = ["method.animation=[mp4,webp]", f"method.animation_steps={SHOWN}".replace(" ", ""), *NOISE]
    jobs["best"] = []
    runs = {job: folder / name / job for job in jobs}
    for job, settings in jobs.items():
        train(runs[job], [f"content={photo}", *settings, *overrides])
    picture = f"{name}-gogh.png"
    first = [images.read(photo), *(images.read(runs[layer] / picture) for layer in jobs if layer.startswith("relu"))]
    second = [images.read(runs[job] / picture) for job in ("style", "transfer", "best")]
    figure(HERE / f"{name}.jpg", [first, [the_painting(), *second]])
    strips = sorted((runs["transfer"] / "animation").glob("*.png"))
    figure(HERE / f"{name}_animation.jpg", [[images.read(path) for path in strips]], height=170)


def train(run: Path, overrides: list[str]) -> None:
    """One run of train.py, unless its folder has a finished one."""
    if next(run.glob("*-gogh.png"), None) is None:
        command = [sys.executable, str(ROOT / "train.py"), "experiment=togetsukyo", f"hydra.run.dir={run}", *overrides]
        if subprocess.run(command).returncode:
            raise UserError(f"the run in {run} did not finish")


def the_painting() -> np.ndarray:
    """The painting."""
    from fst.config.compose import compose
    from fst.data.paintings import painting

    return painting(compose(["style=gogh", "style.size=384"]).style)


def figure(path: Path, rows: list[list[np.ndarray]], height: int = 200) -> None:
    """Pictures of equal height in rows, as a JPEG."""
    lines = []
    for row in rows:
        cells = [images.resize(cell, (height, round(cell.shape[1] * height / cell.shape[0]))) for cell in row]
        lines.append(side_by_side(cells))
    stacked = side_by_side([line.transpose(1, 0, 2) for line in lines]).transpose(1, 0, 2)
    images.write(path, np.ascontiguousarray(stacked), quality=88)
    print(f"figure      {path}")


if __name__ == "__main__":
    main()
