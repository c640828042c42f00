"""What seconds of training make of a painting: python -m experiments.adapt.seconds [PAINTING ...] [--report]

From three beginnings: what the network of many styles reads of the painting, the mean of its styles, and nothing. Runs
go to runs/adapt/ARM/PAINTING. One that is there, or in results.json or seconds.json, is not made again; with --report
none is. Prints the table of objectives; writes seconds.json, seconds.png and, of the first painting, seconds.jpg.
"""

from __future__ import annotations

import argparse
import dataclasses

import numpy as np
import torch

from experiments.adapt import run
from fst import images, stylefile
from fst.errors import one_line_errors
from fst.evaluate import figures, judge
from fst.files import read_json, write_json
from fst.networks import Network
from fst.runfolder import STYLE

ADAPT, USUAL = {0: 0, 10: 42, 30: 125, 60: 250, 300: 1600}, {10: 67, 30: 200, 60: 400, 300: 2600}
STEPS = {"prediction": ADAPT, "mean": ADAPT, "nothing": USUAL}  # by seconds of two idle cores: as run.py, and in scale
ARMS = [(beginning, seconds) for beginning, steps in STEPS.items() for seconds in steps]
IN_RUN = {"prediction-0s": "prediction", "prediction-60s": "adapt", "nothing-300s": "nothing-5min"}  # run.py's names
FOUND = run.HERE / "seconds.json"
MEAN = run.RUNS / "mean.safetensors"

Objectives = dict[str, float]  # by arm


def arm(beginning: str, seconds: int) -> str:
    """A run's name, run.py's where it has it."""
    name = f"{beginning}-{seconds}s"
    return IN_RUN.get(name, name)


def overrides(beginning: str, seconds: int) -> list[str]:
    """What its run is given."""
    steps = STEPS[beginning][seconds]
    told = ["trainer.max_steps", "trainer.val_check_interval", "trainer.checkpoint_every_n_steps"]
    settings = [f"{key}={steps}" for key in told]
    if beginning == "nothing":
        return [*run.NOTHING, *settings, f"method.warmup_steps={min(50, steps // 4)}"]
    return [*settings, *([f"method.init_from={MEAN}"] if beginning == "mean" else [])]


def write_mean() -> None:
    """The file of many styles without its predictor: a run that begins with it begins with the mean of its styles."""
    many, info = stylefile.load(stylefile.BUNDLED / stylefile.MANY)
    many.predictor = None
    MEAN.parent.mkdir(parents=True, exist_ok=True)
    stylefile.save(MEAN, many, dataclasses.replace(info, settings={**info.settings, "predictor": 0}))


def network(name: str, beginning: str, seconds: int) -> Network | None:
    """What a beginning became; None: its run is not here."""
    if seconds:
        path = run.RUNS / arm(beginning, seconds) / name / STYLE
        return stylefile.load(path)[0] if path.is_file() else None
    if beginning == "prediction":
        return run.network(name, "prediction", [])
    many = stylefile.load(MEAN)[0]
    return many.folded(many.table.mean(0, keepdim=True))


def measured(name: str, known: Objectives) -> tuple[Objectives, np.ndarray]:
    """The objectives of a painting's arms, and a picture of those whose networks are here."""
    photos = judge.read_photos(None)
    one, weight = run.judged(name, photos)
    photo, found = photos["golden_gate"], {}
    blank, painting = np.full((judge.SIDE, judge.SIDE, 3), 255, np.uint8), judge.read_painting(str(run.file(name)))
    cells = {0: [], **{seconds: [] for seconds in USUAL}}
    for beginning in STEPS:
        for seconds, column in cells.items():
            key = arm(beginning, seconds)
            made = network(name, beginning, seconds) if seconds in STEPS[beginning] else None
            if key in known:
                found[key] = known[key]
            elif made is not None:
                losses = one.losses(judge.as_used(made))
                found[key] = losses["content_loss"] + weight * losses["style_loss"]
            column.append(blank if made is None else images.to_pixels(judge.as_used(made)(photo)))
    first = figures.column(
        name, "painting, photo", [images.square(painting, judge.SIDE), images.to_pixels(photo), blank]
    )
    shown = {seconds: column for seconds, column in cells.items() if any(cell is not blank for cell in column)}
    columns = [figures.column(f"{seconds} s", "", column) for seconds, column in shown.items()]
    return found, figures.bands([first, *columns], 1 + len(columns))


def lines(found: dict[str, Objectives]) -> list[str]:
    """Markdown: one row per painting and beginning."""
    rows = [f"| painting | from | {' | '.join(f'{s} s' for s in ADAPT)} |", f"|---|---|{'---:|' * len(ADAPT)}"]
    for name, one in found.items():
        for beginning in STEPS:
            cells = [one.get(arm(beginning, seconds)) for seconds in ADAPT]
            if any(cells):
                told = " | ".join("" if cell is None else f"{cell:.1f}" for cell in cells)
                rows.append(f"| {name} | {beginning} | {told} |")
    return rows


def draw(found: dict[str, Objectives]) -> None:
    """One panel per painting: objective over seconds."""
    with figures.plot(FOUND.with_suffix(".png"), len(found)) as axes:
        for axis, (name, one) in zip(axes.flat, found.items(), strict=False):
            series = {
                beginning: [(s, one[arm(beginning, s)]) for s in steps if arm(beginning, s) in one]
                for beginning, steps in STEPS.items()
            }
            figures.points(axis, series)
            axis.set_xscale("symlog", linthresh=10)
            axis.set(title=name, xlabel="seconds", ylabel="objective", xlim=(-2, 400))
            axis.set_xticks(list(ADAPT), list(map(str, ADAPT)))


@torch.no_grad()
def main(words: list[str], *, report: bool) -> None:
    """Train what is not there, then tell."""
    names = [word for word in words if word in run.PAINTINGS] or ["vignal", "souza"]
    settings = [word for word in words if "=" in word]
    write_mean()
    earlier = read_json(run.HERE / "results.json")
    found = read_json(FOUND) if FOUND.is_file() else {}
    pictures = []
    for name in names:
        known = {key: one["objective"] for key, one in earlier.get(name, {}).items() if key != "style_weight"}
        known |= found.get(name, {})
        for beginning, seconds in [] if report else ARMS:
            if seconds and arm(beginning, seconds) not in known:
                run.train(name, arm(beginning, seconds), [*overrides(beginning, seconds), *settings])
        found[name], picture = measured(name, known)
        pictures.append(picture)
    write_json(FOUND, found)
    draw(found)
    figures.write_jpeg(FOUND.with_suffix(".jpg"), pictures[0], 600_000)
    print("\n".join(lines(found)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help=f"paintings of {', '.join(run.PAINTINGS)}; settings of train.py")
    parser.add_argument("--report", action="store_true", help="train nothing")
    given = parser.parse_intermixed_args()
    if unknown := [word for word in given.words if word not in run.PAINTINGS and "=" not in word]:
        parser.error(f"no painting or setting: {' '.join(unknown)}")
    with one_line_errors():
        main(given.words, report=given.report)
