"""Judge the finished arms of a study alike: the same photos, the same criterion, the same clock; results.json."""

from __future__ import annotations

import json
import math
import statistics
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import OmegaConf
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from fst import images, store, stylefile
from fst.compare import reading
from fst.errors import UserError
from fst.files import replacing
from fst.stylize import Stylizer
from fst.system import keep_memory
from fst.tracking import run_metadata
from studies import figure
from studies.criterion import SIDE, Judge
from studies.definition import Arm, Study, config_of, judge_config
from studies.training import FINISHED, complete, state

RESULTS = "results.json"
FRAME = (480, 640)
ROUNDS, FRAMES = 7, 9  # networks are timed by turns, so that a busy machine slows all of them alike


def judge(study: Study, runs: Path, out: Path, more: tuple[str, ...] = (), photos: Path | None = None) -> dict:
    """Measure every finished arm, write results.json and figure.jpg into `out`, return what results.json holds.

    Raises:
        UserError: no arm is finished, or there are no photos to judge on.
    """
    keep_memory()
    folders = finished(study, runs, more)
    held_out = unseen(photos, study.file.photos)
    also = [column.removeprefix("content_") for column in study.file.columns if column.startswith("content_relu")]
    earlier = _read(out / RESULTS)
    judges: dict[str, Judge] = {}
    arms: dict[str, dict[str, Any]] = {}
    for name, folder in folders.items():
        network, info = stylefile.load(folder / "style.safetensors")
        if info.name not in judges:
            judges[info.name] = Judge(judge_config(study, info.name), held_out, also)
        measured = judges[info.name].losses(network) | cost(network) | training(study, folder)
        arms[name] = {"style": info.name, "overrides": list(study.arms[name].overrides), **measured}
        losses = f"style {measured['style_loss']:.3g}, content {measured['content_loss']:.3g}"
        print(f"{name:<24} {losses}, objective {measured['total']:.4g}", flush=True)
    if study.file.speed:
        for name, milliseconds in speeds(folders).items():
            arms[name]["milliseconds"] = milliseconds
    results = about(study, judges, held_out) | {"arms": arms}
    if study.file.equivalence is not None:
        results["lbfgs"] = equivalences(study, folders, judges, arms, earlier)
    with replacing(out / RESULTS) as beside:
        beside.write_text(json.dumps(_finite(results), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"results     {out / RESULTS}")
    print(f"figure      {figure.draw(study.file.figure, folders, arms, held_out, out / 'figure.jpg')}")
    return results


def finished(study: Study, runs: Path, more: tuple[str, ...]) -> dict[str, Path]:
    """The run folders of the arms that are finished, by name; the others are told.

    Raises:
        UserError: none is.
    """
    found = {}
    for arm in study.arms.values():
        problem = _unfinished(study, arm, runs, more)
        if problem:
            print(f"{arm.name:<24} not judged: {problem}")
        else:
            found[arm.name] = arm.folder(runs)
    if not found:
        raise UserError(f"no arm of {study.name} is finished: python experiments/study.py {study.name} run")
    return found


def _unfinished(study: Study, arm: Arm, runs: Path, more: tuple[str, ...]) -> str:
    try:
        arm = complete(study, arm, runs, more)
        reached = state(arm, config_of(arm, more), runs)
    except UserError as error:
        return str(error)
    return "" if reached == FINISHED else f"{reached}, in {arm.folder(runs)}"


def unseen(folder: Path | None, count: int) -> dict[str, np.ndarray]:
    """`count` photos by name, uint8 (H, W, 3), spread evenly over the folder in the order of names.

    Raises:
        UserError: no such folder, or no photo in it.
    """
    folder = folder or store.find("photos")
    if folder is None:
        raise UserError(f"{store.home() / 'photos'} does not exist: name photos that no run saw, photos=DIR")
    files = images.files(folder)
    chosen = [files[index * len(files) // count] for index in range(count)] if len(files) > count else files
    return {file.stem: images.read(file) for file in chosen}


def cost(network: nn.Module) -> dict[str, float]:
    """What a network is, whatever it was trained on: parameters, and thousands of multiplications a pixel."""
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, SIDE, SIDE))
    return {
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "kmac_per_pixel": counter.get_total_flops() / 2 / SIDE**2 / 1000,
    }


def training(study: Study, folder: Path) -> dict[str, Any]:
    """What a run cost, what it says of itself, and its validation losses over steps.

    `seconds` is its steps times the median step, which validation, previews and a busy hour do not change;
    `wall_seconds` is what the clock said.
    """
    run = reading.read(folder, folder.name)
    config = OmegaConf.load(folder / "config.yaml")
    steps = config.trainer.max_steps
    step = statistics.median([value for _, value in run.series.get("train/step_seconds", [])] or [math.nan])
    curves = {key: run.series.get(key, []) for key in study.file.curves}
    asked = [plot.x for plot in study.file.plots if "." in plot.x]
    return {
        "steps": steps,
        "step_seconds": step,
        "seconds": steps * step,
        "wall_seconds": run.seconds if run.seconds is not None else math.nan,
        "images_per_second": config.data.batch_size / step,
        "trained": {"commit": run.settings.get("run.commit"), "threads": run.settings.get("run.threads")},
        "settings": {key: OmegaConf.select(config, key) for key in asked},
        "curves": {key: [list(point) for point in points] for key, points in curves.items()},
    }


def speeds(folders: dict[str, Path]) -> dict[str, float]:
    """Median milliseconds in which each network paints a 640×480 frame in OpenVINO, as a webcam's."""
    rng = np.random.default_rng(0)
    frame = images.resize(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8), FRAME)
    stylizers = {
        name: Stylizer.load(folder / "style.safetensors", backend="openvino", live=True)
        for name, folder in folders.items()
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
    study: Study, folders: dict[str, Path], judges: dict[str, Judge], arms: dict[str, dict], earlier: dict
) -> dict[str, dict[str, list[float]]]:
    """Give each arm the iterations of L-BFGS that it is worth; the curves of the optimisation by style and photo.

    Curves of an earlier results.json are used again where criterion and length are the same.
    """
    entry = study.file.equivalence
    curves: dict[str, dict[str, list[float]]] = {}
    for style, judged in judges.items():
        kept = earlier.get("lbfgs", {}).get(style, {})
        usable = earlier.get("criterion", {}).get(style) == judged.criterion_facts()
        curves[style] = {
            photo: kept[photo]
            if usable and len(kept.get(photo, ())) == entry.iterations + 1
            else judged.lbfgs(photo, entry.iterations)
            for photo in list(judged.photos)[: entry.photos]
        }
    for name, folder in folders.items():
        network, info = stylefile.load(folder / "style.safetensors")
        worth = [
            next((index for index, loss in enumerate(losses) if loss <= total), entry.iterations + 1)
            for losses, total in (
                (losses, judges[info.name].total(network, photo)) for photo, losses in curves[info.name].items()
            )
        ]
        arms[name]["equivalence"] = statistics.median(worth)
        arms[name]["equivalence_range"] = [min(worth), max(worth)]
    return curves


def about(study: Study, judges: dict[str, Judge], held_out: dict[str, np.ndarray]) -> dict[str, Any]:
    """What was judged, by what, where and when."""
    facts = run_metadata()
    return {
        "study": study.name,
        "question": study.file.question,
        "command": f"python experiments/study.py {study.name}",
        "date": datetime.now().astimezone().date().isoformat(),
        "git": facts["git"] and {key: facts["git"][key] for key in ("commit", "dirty")},
        "machine": {"cpu": facts["cpu"]["model"], "threads": facts["threads"], "packages": facts["packages"]},
        "reference": study.file.reference,
        "criterion": {style: judged.criterion_facts() for style, judged in judges.items()},
        "photos": list(held_out),
    }


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _finite(value: Any) -> Any:
    """JSON has no nan: what could not be measured is null."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
