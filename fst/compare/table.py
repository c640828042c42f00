"""What differs between runs, and their results: quality, speed, cost; the best among those that compare."""

import json
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from statistics import median
from typing import Any

from fst import runfolder
from fst.compare.reading import Run

# Never the reason for a result: where things were logged, and what a style's name already says.
ABOUT = ("title", "artist", "year", "file", "address", "sha256", "bytes", "licence")
WATCHED = ("checkpoint_every_n_steps", "log_every_n_steps", "val_check_interval")
ASIDE = ("logger.", "resume", *(f"style.{key}" for key in ABOUT), *(f"trainer.{key}" for key in WATCHED))

# Numbers compare between runs that have these settings in common; * stands for any loss term.
MEASURED = ("loss.architecture", "loss.weights")
CONTENT = (*MEASURED, "loss.pooling", "loss.content_layers")
PAINTING = ("style.name", "style.image", "style.size")
STYLE = ("loss.style_layers", "loss.style_layer_weights", "loss.style_scales", *PAINTING)
WEIGHTS = ("loss.*_weight",)
PHOTOS = ("data.name", "data.root", "data.val_images", "data.size")
PICTURE = ("content", "method.size")  # what the baseline optimises
MACHINE = ("run.cpu", "run.gpus", "run.threads", "trainer.devices", "method.name", "data.size", "method.size")


@dataclass(frozen=True)
class Column:
    """A result: `value` of a run, best low or high (`better` -1 or 1; 0: neither) among runs alike in `alike`."""

    key: str
    title: str
    group: str
    note: str
    better: int
    value: Callable[[Run], float | None]
    alike: tuple[str, ...] = ()


HELD_OUT = "on held-out photos, at the end"


def _reference(name: str, alike: tuple[str, ...]) -> Column:
    note = f"{name} loss by the definition that a sweep measures all its networks with, on held-out photos"
    value = f"reference/{name}_loss"
    return Column(f"reference {name}", f"{name}, reference", "quality", note, -1, lambda run: run.last(value), alike)


def _quality(key: str, title: str, metric: str, alike: tuple[str, ...], note: str = HELD_OUT) -> Column:
    def value(run: Run) -> float | None:
        found = run.last(f"val/{metric}")
        return run.last(f"train/{metric}") if found is None and run.gatys else found  # its photo is what it optimises

    return Column(key, title, "quality", note, -1, value, alike)


def _typical(metric: str) -> Callable[[Run], float | None]:
    return lambda run: median(value for _, value in run.series[metric]) if run.series.get(metric) else None


def _megabytes(run: Run) -> float | None:
    path = run.folder / runfolder.STYLE
    return path.stat().st_size / 1e6 if path.is_file() else None


COLUMNS = (
    _reference("content", MEASURED),
    _reference("style", MEASURED + PAINTING),
    _quality("content", "content loss", "content_loss", CONTENT),
    _quality("style", "style loss", "style_loss", CONTENT + STYLE),
    _quality("ratio", "style ratio", "style_ratio", CONTENT + STYLE, "style loss over the untouched photo's"),
    _quality("loss", "total loss", "loss", CONTENT + STYLE + WEIGHTS, "weighted sum: compares at equal weights only"),
    Column("speed", "images/s", "speed", "in training, the median", 1, _typical("train/images_per_second"), MACHINE),
    Column("step", "s/step", "speed", "in training, the median", -1, _typical("train/step_seconds"), MACHINE),
    Column("steps", "steps", "cost", "made so far", 0, lambda run: run.step),
    Column("seconds", "time", "cost", "of work until the last record, all starts together", 0, lambda run: run.seconds),
    Column("size", "style file", "cost", "MB on disk", 0, _megabytes),
)


def differing(runs: Sequence[Run]) -> list[str]:
    """The settings that are not the same in all runs, in the order of the configs."""
    keys = dict.fromkeys(key for run in runs for key in run.settings if not key.startswith(ASIDE))
    return [key for key in keys if len({_plain(run.settings.get(key)) for run in runs}) > 1]


def varied(runs: Sequence[Run], keys: Sequence[str]) -> list[str]:
    """Those of them that were chosen rather than found on the machine, and differ among runs that have them."""
    chosen = [key for key in keys if not key.startswith("run.")]
    return [key for key in chosen if len({_plain(run.settings[key]) for run in runs if key in run.settings}) > 1]


def results(runs: Sequence[Run]) -> tuple[list[Column], list[dict[str, float]], list[list[str]]]:
    """The columns that some run has a value in; the values of each run by column; the columns each run is best in."""
    values = [{column.key: column.value(run) for column in COLUMNS} for run in runs]
    cells = [{key: value for key, value in row.items() if value is not None} for row in values]
    columns = [column for column in COLUMNS if any(column.key in row for row in cells)]
    best: list[list[str]] = [[] for _ in runs]
    for column in columns:
        for alike in groups(runs, column):
            known = [index for index in alike if column.key in cells[index]]
            if column.better and len(known) > 1:
                top = max(column.better * cells[index][column.key] for index in known)
                winners = [index for index in known if column.better * cells[index][column.key] == top]
                for index in winners if len(winners) < len(known) else []:
                    best[index].append(column.key)
    return columns, cells, best


def groups(runs: Sequence[Run], column: Column) -> list[list[int]]:
    """The runs, by index, whose numbers in a column compare."""
    found: dict[str, list[int]] = defaultdict(list)
    for index, run in enumerate(runs):
        keys = column.alike
        if column.group == "quality":
            keys += PICTURE if run.gatys else PHOTOS
        same = {key: value for key, value in run.settings.items() if any(fnmatchcase(key, one) for one in keys)}
        found[_plain({key: value for key, value in same.items() if value is not None})].append(index)
    return list(found.values())


def remarks(runs: Sequence[Run], columns: Sequence[Column]) -> list[str]:
    """Sentences on what does not compare."""
    split = [column.title for column in columns if column.group == "quality" and len(groups(runs, column)) > 1]
    if not split:
        return []
    because = "painting, loss settings, weights or photos differ"
    return [f"Not all runs compare in {', '.join(split)}: {because}; ★ is the best among runs that do."]


def text(value: Any) -> str:
    """A setting as one writes it on the command line; empty for None."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        if 1e-3 <= abs(value) < 1e4 or not value or not math.isfinite(value):
            return f"{value:g}"
        mantissa, _, exponent = f"{value:e}".partition("e")
        return f"{float(mantissa):g}e{int(exponent)}"
    if isinstance(value, list):
        return f"[{','.join(text(item) for item in value)}]"
    return str(value)


def _plain(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)
