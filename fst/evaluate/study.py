"""Judge and report a study of experiments/: python -m fst.evaluate.study NAME [--report] [--photos FOLDER]

A study is a folder with a study.yaml: a question and arms, which `python train.py -m experiment=NAME` trains. Here
every finished arm is judged alike, on photos that no run saw: results.json and figure.jpg, then plot.png and the table
in README.md. --report only makes the last two anew from results.json; without a name the studies are listed. An arm
that was trained several times, as by `seed=1,2,3`, has the mean of its runs, and half the range between them.
"""

import argparse
import dataclasses
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import MISSING, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from fst import images, runfolder, store, stylefile
from fst.compare import reading
from fst.config import groups
from fst.config.compose import compose
from fst.config.schema import TrainConfig
from fst.data.paintings import painting
from fst.errors import UserError, near, one_line_errors
from fst.evaluate import figures, report
from fst.evaluate.equivalence import Match
from fst.evaluate.judge import SIDE, Judge, as_used, crops, read_photos
from fst.files import write_json
from fst.stylize import Stylizer
from fst.sweep.arms import RUNS, arms
from fst.system import keep_memory
from fst.tracking import run_metadata

PHOTOS = 24  # that every arm is judged on
SIDE_SHOWN, CELL = 384, 256  # pixels: the short side of a photo as it is painted for the figure; its square there
FRAME = (480, 640)
ROUNDS, FRAMES = 7, 9  # networks are timed by turns, so that a busy machine slows all of them alike


@dataclass
class ArmEntry:
    """What a report needs of an arm; what it trains is `fst.sweep.arms`' business."""

    overrides: list[str] = field(default_factory=list)
    same_as: str | None = None
    against: str | None = None  # the arm its row is compared with; None: the study's reference


@dataclass
class FigureEntry:
    """figure.jpg: each photo by each arm."""

    photos: list[str] = field(default_factory=lambda: ["tubingen", "chicago", "golden_gate"])  # content/ of the store
    zoom: int | None = None  # a last row: so many pixels from the middle of the first photo, enlarged
    columns: int = 6


@dataclass
class PlotEntry:
    """A panel of plot.png for each y: a metric of results.json, or a setting as loss.style_weight, against another."""

    x: str = MISSING
    y: list[str] = MISSING
    log: str = ""  # x: on a logarithmic scale


@dataclass
class EquivalenceEntry:
    """How many iterations of L-BFGS each network is worth, on the first of the judged photos. Slow."""

    photos: int = 3
    iterations: int = 60


@dataclass
class Study:
    """The whole of study.yaml."""

    question: str = MISSING
    arms: dict[str, ArmEntry] = MISSING
    reference: str = MISSING
    # Every arm is judged by these losses, whatever it was trained with, on its style's own painting.
    judge: list[str] = field(default_factory=lambda: ["loss=vgg16_relu3", "loss.style_scales=[1,0.5]"])
    columns: list[str] = field(default_factory=lambda: ["style_ratio", "content_loss", "total", "seconds"])
    figure: FigureEntry = field(default_factory=FigureEntry)
    plots: list[PlotEntry] = field(default_factory=list)
    curves: list[str] = field(default_factory=list)  # val/ metrics over steps, each a panel of plot.png
    speed: bool = False  # time each network in OpenVINO
    equivalence: EquivalenceEntry | None = None
    name: str = ""


def names() -> list[str]:
    """Every entry of experiments/ that has a study.yaml."""
    return sorted(file.parent.name for file in groups.EXPERIMENTS.glob("*/study.yaml"))


def load(name: str) -> Study:
    """A study by the name of its folder; a UserError names a mistake in its file."""
    if name not in names():
        raise UserError(f"no study is called '{name}'{near(name, names())}")
    path = groups.EXPERIMENTS / name / "study.yaml"
    try:
        study: Study = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Study), OmegaConf.load(path)))
    except (OmegaConfBaseException, ValueError) as error:
        raise UserError(f"{path}: {str(error).splitlines()[0]}") from None
    for word in [study.reference, *(arm.against for arm in study.arms.values() if arm.against)]:
        if word not in study.arms:
            raise UserError(f"{path} names an arm '{word}' that it does not have{near(word, list(study.arms))}")
    unknown = [column for column in study.columns if column not in report.METRICS]
    if unknown:
        raise UserError(f"{path}: columns has '{unknown[0]}'; choose from {', '.join(report.METRICS)}")
    study.name = name
    return study


def finished(study: Study, runs: Path) -> dict[str, list[Path]]:
    """The folders of each arm's finished runs, by arm; the others are told. Where none is finished, a UserError."""
    found = {}
    for name, arm in arms(study.name).items():
        folder = arm.folder(runs)
        several = sorted(folder.parent.glob(f"{folder.name}_*=*"))
        done = [run for run in [folder, *several] if runfolder.state(run) == runfolder.FINISHED]
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
    judges: dict[str, Judge] = {}
    arms: dict[str, dict[str, Any]] = {}
    first = {name: own[0] for name, own in folders.items()}
    for name, own in folders.items():
        measured = [measure(study, run, held_out, judges) for run in own]
        arms[name] = combined(measured) | {"overrides": list(study.arms[name].overrides)}
        losses = f"style {arms[name]['style_loss']:.3g}, content {arms[name]['content_loss']:.3g}"
        print(f"{name:<24} {losses}, objective {arms[name]['total']:.4g}", flush=True)
    if study.speed:
        for name, milliseconds in speeds(first).items():
            arms[name]["milliseconds"] = milliseconds
    results = about(study, judges, held_out) | {"arms": arms}
    if study.equivalence is not None:
        results["lbfgs"] = equivalences(study.equivalence, first, judges, arms)
    write_json(out / report.RESULTS, results)
    print(f"results     {out / report.RESULTS}")
    pixels = drawn(study.figure, first, arms, held_out)
    print(f"figure      {figures.write_jpeg(out / 'figure.jpg', pixels)}")


def measure(study: Study, run: Path, held_out: dict[str, np.ndarray], judges: dict[str, Judge]) -> dict[str, Any]:
    """One run's losses, and what it and its network cost; `judges` keeps a judge a style."""
    network, info = stylefile.load(run / runfolder.STYLE)
    if info.name not in judges:
        config: TrainConfig = OmegaConf.to_object(
            compose([f"experiment={study.name}", f"style={info.name}", *study.judge])
        )
        also = [column.removeprefix("content_") for column in study.columns if column.startswith("content_relu")]
        judges[info.name] = Judge(config.loss, painting(config.style), crops(held_out), also=also)
    return {"style": info.name, **judges[info.name].losses(as_used(network)), **cost(network), **training(study, run)}


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

    `seconds` is its steps times the median step, which validation, previews and a busy hour do not change;
    `wall_seconds` is what the clock said.
    """
    run = reading.read(folder, folder.name)
    measured = [value for _, value in run.series.get("train/step_seconds", [])]
    step = statistics.median(measured) if measured else None
    return {
        "steps": run.step,
        "step_seconds": step,
        "seconds": step and run.step * step,
        "wall_seconds": run.seconds,
        "images_per_second": step and run.settings["data.batch_size"] / step,
        "trained": {key: run.settings.get(f"run.{key}") for key in ("commit", "changes", "threads")},
        "settings": {plot.x: run.settings.get(plot.x) for plot in study.plots if "." in plot.x},
        "curves": {key: [list(point) for point in run.series.get(key, [])] for key in study.curves},
    }


def speeds(folders: dict[str, Path]) -> dict[str, float]:
    """Median milliseconds in which each network paints a 640×480 frame in OpenVINO, as a webcam's."""
    rng = np.random.default_rng(0)
    frame = images.resize(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8), FRAME)
    stylizers = {
        name: Stylizer.load(folder / runfolder.STYLE, backend="openvino", live=True) for name, folder in folders.items()
    }
    found: dict[str, list[float]] = {name: [] for name in folders}
    for _ in range(ROUNDS):
        for name, stylizer in stylizers.items():
            stylizer(frame)
            for _ in range(FRAMES):
                start = time.perf_counter()
                stylizer(frame)
                found[name].append(1000 * (time.perf_counter() - start))
    return {name: statistics.median(times) for name, times in found.items()}


def equivalences(
    entry: EquivalenceEntry, folders: dict[str, Path], judges: dict[str, Judge], arms: dict[str, dict]
) -> dict[str, dict[str, list[float]]]:
    """Give each arm the iterations of L-BFGS that it is worth; the curves of the optimisation by style and photo."""
    curves = {
        style: {photo: judged.lbfgs(photo, entry.iterations) for photo in list(judged.photos)[: entry.photos]}
        for style, judged in judges.items()
    }
    for name, folder in folders.items():
        network, info = stylefile.load(folder / runfolder.STYLE)
        painted = as_used(network)
        matches = [
            Match(photo, judges[info.name].total(painted, photo), losses) for photo, losses in curves[info.name].items()
        ]
        arms[name]["equivalence"] = statistics.median(match.iteration for match in matches)
    return curves


def about(study: Study, judges: dict[str, Judge], held_out: dict[str, np.ndarray]) -> dict[str, Any]:
    """What was judged, by what, where and when."""
    facts = run_metadata()
    return {
        "study": study.name,
        "question": study.question,
        "date": datetime.now().astimezone().date().isoformat(),
        "git": facts["git"] and {key: facts["git"][key] for key in ("commit", "dirty")},
        "machine": {"cpu": facts["cpu"]["model"], "threads": facts["threads"], "packages": facts["packages"]},
        "reference": study.reference,
        "criterion": {style: dataclasses.asdict(judged.loss) | {"side": SIDE} for style, judged in judges.items()},
        "photos": list(held_out),
    }


def drawn(
    entry: FigureEntry, folders: dict[str, Path], arms: dict[str, dict[str, Any]], held_out: dict[str, np.ndarray]
) -> np.ndarray:
    """Photos by arms: a band of arms a style, each beginning with the photos; arms of a style each in one band."""
    kept = [store.find(f"content/{name}.jpg") for name in entry.photos]
    photos = [images.read(path) for path in kept if path] or list(held_out.values())[: len(entry.photos)]
    photos = [_reduced(pixels) for pixels in photos]
    styles = list(dict.fromkeys(arm["style"] for arm in arms.values()))
    grouped = [[name for name in folders if arms[name]["style"] == style] for style in styles]
    if all(len(own) == 1 for own in grouped):
        styles, grouped = [""], [list(folders)]
    bands = []
    for style, own in zip(styles, grouped, strict=True):
        columns = [figures.column(style, "the photos", _cells(entry, photos))]
        for name in own:
            stylizer = Stylizer.load(folders[name] / runfolder.STYLE, backend="torch")
            facts = f"style {arms[name]['style_ratio']:.3f}  content {arms[name]['content_loss']:.1f}"
            columns.append(figures.column(name, facts, _cells(entry, [stylizer(photo) for photo in photos])))
        bands.append(figures.bands(columns, entry.columns))
    width = max(band.shape[1] for band in bands)
    return np.concatenate(
        [np.pad(band, ((0, 0), (0, width - band.shape[1]), (0, 0)), constant_values=255) for band in bands]
    )


def _cells(entry: FigureEntry, pictures: list[np.ndarray]) -> list[np.ndarray]:
    cells = [images.square(picture, CELL) for picture in pictures]
    if entry.zoom:
        cells.append(figures.enlarged(images.square(pictures[0], entry.zoom, part=entry.zoom), CELL))
    return cells


def _reduced(pixels: np.ndarray) -> np.ndarray:
    height, width = pixels.shape[:2]
    scale = SIDE_SHOWN / min(height, width)
    return images.resize(pixels, (round(height * scale), round(width * scale)))


def main(words: Sequence[str] | None = None) -> None:
    """Run the command line; what cannot be had or read is a UserError."""
    parser = argparse.ArgumentParser(prog="python -m fst.evaluate.study", description=__doc__.partition("\n")[0])
    parser.add_argument("name", nargs="?", help="of the study; without one all are listed")
    parser.add_argument("--report", action="store_true", help="from results.json, without judging anew")
    parser.add_argument("--runs", type=Path, default=RUNS, help="where the arms were trained (runs/studies)")
    parser.add_argument("--out", type=Path, help="for results and figures (the study's own folder)")
    parser.add_argument("--photos", type=Path, help="photos that no run saw (photos/ of the store)")
    given = parser.parse_args(words)
    if given.name is None:
        for name in names():
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
