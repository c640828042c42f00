"""plot.png: one measure against another, a panel each, and validation losses over steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fst.errors import UserError
from fst.files import replacing
from studies.definition import PlotEntry, StudyFile

COLUMNS = 3


def draw(study: StudyFile, results: dict[str, Any], path: Path) -> Path:
    """Write every panel of a study into one picture.

    Raises:
        UserError: matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError:
        raise UserError("plot.png needs matplotlib: pip install matplotlib, or uv sync") from None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    panels = [(plot, y) for plot in study.plots for y in plot.y] + [(None, key) for key in study.curves]
    columns = min(COLUMNS, len(panels))
    lines = -(-len(panels) // columns)
    drawn, axes = pyplot.subplots(lines, columns, figsize=(4.6 * columns, 3.6 * lines), squeeze=False)
    for axis in axes.flat[len(panels) :]:
        axis.set_axis_off()
    for axis, (plot, y) in zip(axes.flat, panels, strict=False):
        if plot is None:
            _curves(axis, y, results["arms"])
        else:
            _points(axis, plot, y, results["arms"])
    drawn.tight_layout()
    with replacing(path) as beside:
        drawn.savefig(beside, dpi=100)
    pyplot.close(drawn)
    return path


def _points(axis, plot: PlotEntry, y: str, arms: dict[str, dict]) -> None:
    """A point an arm; joined, a line a style, where x is a setting."""
    setting = "." in plot.x
    for style in dict.fromkeys(arm["style"] for arm in arms.values()):
        points = [(_value(arm, plot.x), arm.get(y), name) for name, arm in arms.items() if arm["style"] == style]
        points = [point for point in points if None not in point]
        if setting:
            points.sort()
        axis.plot([p[0] for p in points], [p[1] for p in points], "o-" if setting else "o", label=style)
        for across, up, name in () if setting else points:
            axis.annotate(name, (across, up), xytext=(0, 6), textcoords="offset points", fontsize=8, ha="center")
    axis.set(xlabel=_label(plot.x), ylabel=_label(y))
    if "x" in plot.log:
        axis.set_xscale("log")
    if "y" in plot.log:
        axis.set_yscale("log")
    axis.margins(0.2)
    if "y" not in plot.log:
        axis.set_ylim(0, None)
    if len({arm["style"] for arm in arms.values()}) > 1:
        axis.legend(frameon=False)


def _curves(axis, key: str, arms: dict[str, dict]) -> None:
    for name, arm in arms.items():
        points = arm["curves"].get(key) or []
        axis.plot([point[0] for point in points], [point[1] for point in points], "o-", ms=3, label=name)
    axis.set(xlabel="step", ylabel=_label(key))
    axis.margins(y=0.1)
    axis.set_ylim(0, None)
    axis.legend(frameon=False, fontsize=8)


def _value(arm: dict[str, Any], key: str) -> float | None:
    return arm["settings"].get(key) if "." in key else arm.get(key)


def _label(key: str) -> str:
    from studies.reporting import METRICS

    return METRICS[key].label if key in METRICS else key
