"""Judge and report a study of experiments/: python -m fst.evaluate.study NAME [--report] [--photos FOLDER]

A study is a folder with a study.yaml: a question and arms, which `python train.py -m experiment=NAME` trains. Here
every finished arm is judged alike, on photos that no run saw: results.json and figure.jpg, then plot.png and the table
in README.md. --report only makes the last two anew from results.json; without a name the studies are listed. An arm
that was trained several times, as by `seed=1,2,3`, has the mean of its runs, and half the range between them.
"""

import argparse
import dataclasses
import functools
import statistics
import timeit
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from fst import images, runfolder, store, stylefile
from fst.compare import reading
from fst.config import groups
from fst.errors import UserError, one_line_errors
from fst.evaluate import figures, report
from fst.evaluate.equivalence import Match
from fst.evaluate.judge import SIDE, Judge, as_used, judges, read_photos
from fst.files import write_json
from fst.stylize import Stylizer
from fst.stylize.many import is_many
from fst.sweep import arms
from fst.sweep.arms import FigureEntry, Study
from fst.system import keep_memory

PHOTOS, MATCHED = 24, 3  # that every arm is judged on; that it is matched with L-BFGS on
FRAME = (480, 640)
ROUNDS, FRAMES = 7, 9  # networks are timed by turns, so that a busy machine slows all of them alike

Results = dict[str, dict[str, Any]]  # what was measured, by arm


def load(name: str) -> Study:
    """A study by the name of its folder; a UserError names a mistake in its file."""
    study = arms.load(name)
    unknown = [column for column in study.columns if column not in report.METRICS]
    if unknown:
        raise UserError(f"{name}: columns has '{unknown[0]}'; choose from {', '.join(report.METRICS)}")
    return study


def finished(study: Study, runs: Path) -> dict[str, list[Path]]:
    """The folders of each arm's finished runs, by arm; the others are told. Where none is finished, a UserError."""
    found, known = {}, arms.arms(study.name)
    for name, arm in known.items():
        folder = arm.folder(runs)
        several = sorted(folder.parent.glob(f"{name}_*=*"))
        others = tuple(f"{other}_" for other in known if other.startswith(f"{name}_"))
        own = [folder, *(run for run in several if not run.name.startswith(others))]
        done = [run for run in own if runfolder.state(run) == runfolder.FINISHED]
        if done:
            found[name] = done
        else:
            print(f"{name:<24} not judged: {runfolder.state(folder) or 'absent'}, in {folder}")
    if not found:
        raise UserError(f"no arm of {study.name} is finished: python train.py -m experiment={study.name}")
    return found


def judge(study: Study, runs: Path, out: Path, photos: Path | None = None) -> None:
    """Measure every finished arm; write results.json and figure.jpg into `out`."""
    keep_memory()
    folders = finished(study, runs)
    held_out = read_photos(photos, PHOTOS, kept="photos")
    also = [column.removeprefix("content_") for column in study.columns if column.startswith("content_relu")]
    judge_of = judges(held_out, also=also, **dataclasses.asdict(study.judge))
    found: Results = {}
    for name, own in folders.items():
        measured = [measure(study, run, judge_of) for run in own]
        found[name] = combined(measured) | {"overrides": list(study.arms[name].overrides)}
        losses = f"style {found[name]['style_loss']:.3g}, content {found[name]['content_loss']:.3g}"
        print(f"{name:<24} {losses}, objective {found[name]['total']:.4g}", flush=True)
    first = {name: own[0] for name, own in folders.items()}
    if "milliseconds" in study.columns:
        for name, value in speeds(first).items():
            found[name]["milliseconds"] = value
    if "equivalence" in study.columns:
        for name, value in equivalences(first, judge_of).items():
            found[name]["equivalence"] = value
    styles = dict.fromkeys(arm["style"] for arm in found.values())
    results = report.circumstances() | {
        "criterion": {style: dataclasses.asdict(judge_of(style).loss) | {"side": SIDE} for style in styles},
        "photos": list(held_out),
        "iterations": report.ITERATIONS,
        "arms": found,
    }
    write_json(out / report.RESULTS, results)
    print(f"results     {out / report.RESULTS}")
    print(f"figure      {figures.write_jpeg(out / 'figure.jpg', drawn(study.figure, first, found, held_out))}")


def measure(study: Study, run: Path, judge_of: Callable[[str], Judge]) -> dict[str, Any]:
    """One run's losses, and what it and its network cost."""
    network, info = stylefile.load(run / runfolder.STYLE)
    if is_many(info):
        raise UserError(f"{run} learnt many styles: a study compares networks of one")
    losses = judge_of(info.name).losses(as_used(network))
    return {"style": info.name, **losses, **cost(network), **training(study, run)}


def combined(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One arm of several runs: means of what was measured, and under "spread" half the range of each."""
    first = dict(runs[0])
    if len(runs) == 1:
        return first
    known = [key for key in first if all(isinstance(run[key], float) for run in runs)]
    numbers = {key: [run[key] for run in runs] for key in known}
    first |= {key: statistics.fmean(values) for key, values in numbers.items()}
    return first | {"runs": len(runs), "spread": {key: (max(v) - min(v)) / 2 for key, v in numbers.items()}}


def cost(network: nn.Module) -> dict[str, float]:
    """What a network is, whatever it was trained on: parameters, and thousands of multiplications a pixel."""
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, SIDE, SIDE))
    return {
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "kmac_per_pixel": counter.get_total_flops() / 2 / SIDE**2 / 1000,
    }


def training(study: Study, folder: Path) -> dict[str, Any]:
    """What a run cost, what it says of itself, and its validation losses over steps; None: not measured.

    `seconds` is its steps times the median step, which validation, previews and a busy hour do not change.
    """
    run = reading.read(folder, folder.name)
    measured = [value for _, value in run.series.get("train/step_seconds", [])]
    step = statistics.median(measured) if measured else None
    return {
        "steps": run.step,
        "step_seconds": step,
        "seconds": step and run.step * step,
        "images_per_second": step and run.settings["data.batch_size"] / step,
        "trained": {key: run.settings.get(f"run.{key}") for key in ("commit", "changes", "threads")},
        "settings": {plot.x: run.settings.get(plot.x) for plot in study.plots if "." in plot.x},
        "curves": {key: run.series.get(key, []) for plot in study.plots if plot.x == "step" for key in plot.y},
    }


def speeds(runs: Mapping[str, Path]) -> dict[str, float]:
    """Median milliseconds in which each network paints a 640×480 frame in OpenVINO, as a webcam's."""
    frame = np.random.default_rng(0).integers(0, 256, (*FRAME, 3), dtype=np.uint8)
    paints = {
        name: functools.partial(Stylizer.load(run / runfolder.STYLE, backend="openvino", live=True), frame)
        for name, run in runs.items()
    }
    found: dict[str, list[float]] = {name: [] for name in paints}
    for _ in range(ROUNDS):
        for name, paint in paints.items():
            paint()
            found[name] += timeit.repeat(paint, number=1, repeat=FRAMES)
    return {name: 1000 * statistics.median(times) for name, times in found.items()}


def equivalences(runs: Mapping[str, Path], judge_of: Callable[[str], Judge]) -> dict[str, float]:
    """The iterations of L-BFGS that each network is worth, the median of the first of the judged photos. Slow."""
    curve = functools.cache(lambda style, photo: judge_of(style).lbfgs(photo, report.ITERATIONS))
    found = {}
    for name, run in runs.items():
        network, info = stylefile.load(run / runfolder.STYLE)
        judge, paint = judge_of(info.name), as_used(network)
        photos = list(judge.photos)[:MATCHED]
        matches = [Match(photo, judge.total(paint, photo), curve(info.name, photo)) for photo in photos]
        found[name] = statistics.median(match.iteration for match in matches)
    return found


def drawn(entry: FigureEntry, runs: Mapping[str, Path], found: Results, held_out: Mapping[str, Tensor]) -> np.ndarray:
    """Photos by arms, as they are judged: the first column is the photos."""
    kept = [store.find(f"content/{name}.jpg") for name in entry.photos]
    photos = [images.square(images.read(path), SIDE) for path in kept if path]
    photos = photos or [images.to_pixels(photo) for photo in list(held_out.values())[: len(kept)]]

    def cells(paint: Callable[[np.ndarray], np.ndarray]) -> list[np.ndarray]:
        pictures = [paint(photo) for photo in photos]
        if entry.zoom:
            pictures.append(figures.enlarged(images.square(pictures[0], entry.zoom, part=entry.zoom), SIDE))
        return pictures

    columns = [figures.column("", "the photos", cells(lambda photo: photo))]
    for name, run in runs.items():
        facts = f"style {found[name]['style_ratio']:.3f}  content {found[name]['content_loss']:.1f}"
        columns.append(figures.column(name, facts, cells(Stylizer.load(run / runfolder.STYLE, backend="torch"))))
    return figures.bands(columns, entry.columns)


def main(words: Sequence[str] | None = None) -> None:
    """Run the command line; what cannot be had or read is a UserError."""
    parser = argparse.ArgumentParser(prog="python -m fst.evaluate.study", description=__doc__.partition("\n")[0])
    parser.add_argument("name", nargs="?", help="of the study; without one all are listed")
    parser.add_argument("--report", action="store_true", help="from results.json, without judging anew")
    parser.add_argument("--runs", type=Path, default=arms.RUNS, help="where the arms were trained (runs/studies)")
    parser.add_argument("--out", type=Path, help="for results and figures (the study's own folder)")
    parser.add_argument("--photos", type=Path, help="photos that no run saw (photos/ of the store)")
    given = parser.parse_args(words)
    if given.name is None:
        for name in arms.names():
            print(f"{name:<16} {load(name).question}")
        return
    study = load(given.name)
    out = given.out or groups.EXPERIMENTS / study.name
    if not given.report:
        judge(study, given.runs, out, given.photos)
    report.write(study, out)


if __name__ == "__main__":
    with one_line_errors():
        main()
