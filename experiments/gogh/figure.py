"""The figure and the numbers of a training run: python experiments/gogh/figure.py RUN_DIR PHOTO...

Writes figure.jpg (photo | painted, one photo a row) and curve.png (losses of held-out photos over steps) beside this
file, and prints the table that README.md holds.
"""

import json
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np

from fst import images, stylefile
from fst.errors import UserError, one_line_errors
from fst.stylize import Stylizer
from fst.tracking.previews import side_by_side

matplotlib.use("Agg")
import matplotlib.pyplot as plt

HERE = Path(__file__).parent
WIDTH = 480  # pixels of a photo in the figure


def main(run: Path, photos: list[Path]) -> None:
    """Read a finished run, paint the photos with its style file, write the figures, print the losses."""
    rows = validation(run)
    print("| step | style loss | content loss | style loss / untouched photo's |\n|---:|---:|---:|---:|")
    for row in rows:
        print(
            f"| {row['trainer/global_step']:.0f} | {row['val/style_loss']:.3g} | {row['val/content_loss']:.3g} "
            f"| {row['val/style_ratio']:.3f} |"
        )
    plot(rows, HERE / "curve.png")
    paint(run / "style.safetensors", photos, HERE / "figure.jpg")
    print(f"{HERE / 'figure.jpg'}  {HERE / 'curve.png'}")


def validation(run: Path) -> list[dict]:
    """The validation rows of the run's offline W&B record, in order of steps."""
    records = sorted((run / "wandb").glob("offline-run-*/run-*.wandb"))
    if not records:
        raise UserError(f"{run} holds no offline W&B run")
    output = subprocess.run(
        ["wandb", "leet", "inspect", "--json", str(records[-1])], capture_output=True, text=True, check=True
    ).stdout
    history = [record["history"]["item"] for record in map(json.loads, output.splitlines()) if "history" in record]
    return [row for row in history if "val/style_ratio" in row]


def plot(rows: list[dict], path: Path) -> None:
    """Style loss relative to the untouched photos', and content loss, over steps."""
    steps = [row["trainer/global_step"] for row in rows]
    figure, left = plt.subplots(figsize=(6, 3.2), dpi=110)
    left.plot(steps, [row["val/style_ratio"] for row in rows], "o-", color="tab:blue")
    left.axhline(0.12, color="tab:blue", linestyle=":", linewidth=1)
    left.set(xlabel="step", ylabel="style loss / untouched photo's", ylim=(0, None))
    right = left.twinx()
    right.plot(steps, [row["val/content_loss"] for row in rows], "s--", color="tab:orange")
    right.set(ylabel="content loss", ylim=(0, None))
    figure.tight_layout()
    figure.savefig(path)


def paint(style: Path, photos: list[Path], path: Path) -> None:
    """photo | painted, one photo a row, at a common width; the photos are painted at their own size."""
    stylizer = Stylizer.load(style)
    rows = []
    for photo in photos:
        pixels = images.read(photo)
        rows.append(side_by_side([_shrunk(pixels), _shrunk(stylizer(pixels))]))
    spaced = [np.pad(row, ((0, 8), (0, 0), (0, 0)), constant_values=255) for row in rows]
    images.write(path, np.concatenate(spaced), quality=85)
    print(f"style {stylefile.read_info(style).name}, {stylefile.read_info(style).training['steps']} steps")


def _shrunk(pixels: np.ndarray) -> np.ndarray:
    height, width = pixels.shape[:2]
    return images.resize(pixels, (round(height * WIDTH / width), WIDTH))


if __name__ == "__main__":
    with one_line_errors():
        if len(sys.argv) < 3:
            raise UserError("usage: python experiments/gogh/figure.py RUN_DIR PHOTO...")
        main(Path(sys.argv[1]), [Path(argument) for argument in sys.argv[2:]])
