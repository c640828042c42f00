"""What differs between runs, and their results: quality, speed, cost."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from fst import runfolder
from fst.compare.reading import Run
from fst.files import number

# Never the reason for a result: where things were logged, and what a style's name already says.
ABOUT = ("title", "artist", "year", "file", "address", "sha256", "bytes", "licence")
WATCHED = ("checkpoint_every_n_steps", "log_every_n_steps", "val_check_interval")
ASIDE = ("logger.", "resume", *(f"style.{key}" for key in ABOUT), *(f"trainer.{key}" for key in WATCHED))

# Losses of runs that differ in these do not compare: what they mean, of which painting, on which photos.
MEASURED = (
    "loss.architecture",
    "loss.weights",
    "loss.content_layers",
    "loss.style_",
    "loss.pooling",
    "style.name",
    "style.image",
    "style.size",
    "content",
    "method.name",
    "method.size",
)
MEASURED += ("data.name", "data.root", "data.val_images", "data.size")


@dataclass(frozen=True)
class Column:
    """A result: `value` of a run, None where it has none."""

    key: str
    title: str
    group: str
    note: str
    value: Callable[[Run], float | None]


def _reference(name: str) -> Column:
    note = f"{name} loss by the definition that a sweep measures all its networks with, on held-out photos"
    metric = f"reference/{name}_loss"
    return Column(f"reference {name}", f"{name}, reference", "quality", note, lambda run: run.last(metric))


def _quality(key: str, title: str, metric: str, note: str = "on held-out photos, at the end") -> Column:
    def value(run: Run) -> float | None:
        found = run.last(f"val/{metric}")
        baseline = run.settings.get("method.name") == "gatys"  # whose photo is what it optimises
        return run.last(f"train/{metric}") if found is None and baseline else found

    return Column(key, title, "quality", note, value)


def _typical(metric: str) -> Callable[[Run], float | None]:
    return lambda run: median(value for _, value in run.series[metric]) if run.series.get(metric) else None


def _megabytes(run: Run) -> float | None:
    path = run.folder / runfolder.STYLE
    return path.stat().st_size / 1e6 if path.is_file() else None


COLUMNS = (
    _reference("content"),
    _reference("style"),
    _quality("content", "content loss", "content_loss"),
    _quality("style", "style loss", "style_loss"),
    _quality("ratio", "style ratio", "style_ratio", "style loss over the untouched photo's"),
    _quality("loss", "total loss", "loss", "weighted sum: compares at equal weights only"),
    Column("speed", "images/s", "speed", "in training, the median", _typical("train/images_per_second")),
    Column("step", "s/step", "speed", "in training, the median", _typical("train/step_seconds")),
    Column("steps", "steps", "cost", "made so far", lambda run: run.step),
    Column("seconds", "time", "cost", "of work until the last record, all starts together", lambda run: run.seconds),
    Column("size", "style file", "cost", "MB on disk", _megabytes),
)


def differing(runs: Sequence[Run]) -> list[str]:
    """The settings that are not the same in all runs, in the order of the configs."""
    keys = dict.fromkeys(key for run in runs for key in run.settings if not key.startswith(ASIDE))
    return [key for key in keys if len({str(run.settings.get(key)) for run in runs}) > 1]


def varied(runs: Sequence[Run], keys: Sequence[str]) -> list[str]:
    """Those of them that were chosen rather than found on the machine, and differ among runs that have them."""
    chosen = [key for key in keys if not key.startswith("run.")]
    return [key for key in chosen if len({str(run.settings[key]) for run in runs if key in run.settings}) > 1]


def results(runs: Sequence[Run]) -> tuple[list[Column], list[dict[str, float]]]:
    """The columns that some run has a value in; the values of each run by column."""
    values = [{column.key: column.value(run) for column in COLUMNS} for run in runs]
    cells = [{key: value for key, value in row.items() if value is not None} for row in values]
    return [column for column in COLUMNS if any(column.key in row for row in cells)], cells


def remarks(settings: Sequence[str]) -> list[str]:
    """A sentence on what does not compare between runs that differ in these settings, where they do."""
    found = [key for key in settings if key.startswith(MEASURED) and not key.endswith("_weight")]
    return (
        [f"Losses, but for the reference ones, compare between runs that agree in {', '.join(found)}."] if found else []
    )


def text(value: Any) -> str:
    """A setting as one writes it on the command line; empty for None."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{','.join(text(item) for item in value)}]"
    return number(value) if isinstance(value, float) else str(value)
