"""From a study's results.json to words: the table, printed and put into README.md, and plot.png."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from fst.errors import UserError
from fst.evaluate import figures
from fst.files import write_text
from fst.tracking.metadata import run_metadata

if TYPE_CHECKING:
    from fst.sweep.arms import Study

RESULTS = "results.json"
ITERATIONS = 60  # of L-BFGS, where a network is matched with it
BEGIN, END = "<!-- written by python -m fst.evaluate.study {} -->", "<!-- end -->"


class Metric(NamedTuple):
    """How a measure is shown: `better` is -1 where less is better, 1 where more is, 0 where neither."""

    label: str
    form: str
    better: int


METRICS = {
    "style_ratio": Metric("style loss / untouched photo's", ".4f", -1),
    "style_loss": Metric("style loss", ".3g", -1),
    "content_loss": Metric("content loss", ".2f", -1),
    "content_relu3_3": Metric("content loss at relu3_3", ".2f", -1),
    "total": Metric("objective", ".2f", -1),
    "grid": Metric("grid", ".0f", -1),
    "unevenness": Metric("unevenness", ".1e", -1),
    "steps": Metric("steps", "d", 0),
    "step_seconds": Metric("s / step", ".3f", -1),
    "seconds": Metric("training, s", ".0f", -1),
    "images_per_second": Metric("images / s in training", ".2f", 1),
    "parameters": Metric("parameters", ",d", -1),
    "kmac_per_pixel": Metric("kMAC / pixel", ".1f", -1),
    "milliseconds": Metric("640×480 in OpenVINO, ms", ".1f", -1),
    "equivalence": Metric("worth L-BFGS iterations", "g", 1),
}


def write(study: Study, folder: Path) -> None:
    """Print the table of `folder`/results.json, draw plot.png, and renew README.md's block.

    A UserError says that nothing was judged yet, or that README.md lacks the two comments the block stands between.
    """
    path = folder / RESULTS
    if not path.is_file():
        raise UserError(f"{path} does not exist: python -m fst.evaluate.study {study.name}")
    results = json.loads(path.read_text(encoding="utf-8"))
    text = f"{table(study, results)}\n\n{small_print(results)}"
    print(text)
    if study.plots:
        draw(study, results["arms"], folder / "plot.png")
        print(f"plot        {folder / 'plot.png'}")
    if (folder / "README.md").is_file():
        renew(folder / "README.md", BEGIN.format(study.name), text)


def table(study: Study, results: dict[str, Any]) -> str:
    """One row per arm, the best of a style bold, differences to the arm it is compared with in per cent."""
    arms, most = results["arms"], results.get("iterations", ITERATIONS)
    rows = {}
    for name in (name for name in study.arms if name in arms):
        against = study.arms[name].against or study.reference
        rows[name] = [_cell(arms, name, against, column, most) for column in study.columns]
    return markdown(["arm", *(METRICS[column].label for column in study.columns)], rows)


def markdown(heads: Sequence[str], rows: Mapping[str, Iterable[str]]) -> str:
    """A Markdown table: one row per name, its cells set to the right."""
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *([name, *cells] for name, cells in rows.items())]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(arms: dict[str, dict[str, Any]], name: str, against: str, column: str, most: int) -> str:
    """One number, as "**14.20** ±0.31 (+3 %)"."""
    metric, value = METRICS[column], arms[name].get(column)
    if value is None:
        return "–"
    text = format(value, metric.form)
    if column == "equivalence" and value > most:
        text = f"> {most}"
    of_style = [arm.get(column) for arm in arms.values() if arm["style"] == arms[name]["style"]]
    rivals = [one for one in of_style if one is not None]
    if metric.better and len(rivals) > 1 and value == (max(rivals) if metric.better > 0 else min(rivals)):
        text = f"**{text}**"
    if arms[name].get("spread", {}).get(column):
        text += f" ±{format(arms[name]['spread'][column], metric.form)}"
    base = arms.get(against, {}).get(column)
    if name != against and base and metric.better and column != "equivalence":
        text += f" ({100 * (value / base - 1):+.0f} %)"
    return text


def small_print(results: dict[str, Any]) -> str:
    """By what, on what, when and where."""
    criterion = next(iter(results["criterion"].values()))
    scales = " and ".join(f"{scale:g}" for scale in criterion["style_scales"])
    runs = max(arm.get("runs", 1) for arm in results["arms"].values())
    several = f" Means of up to {runs} runs an arm, ± half their range." if runs > 1 else ""
    return (
        f"*Means over {len(results['photos'])} photos that no arm saw, {criterion['side']}×{criterion['side']}; every "
        f"arm judged by {criterion['architecture'].upper()} to {criterion['style_layers'][-1]}, content at "
        f"{', '.join(criterion['content_layers'])}, scales {scales}, style weight {criterion['style_weight']:g}."
        f"{several} {where(results)}.*"
    )


def circumstances() -> dict[str, Any]:
    """When, of which commit and on what something is measured, as results.json keeps it."""
    facts = run_metadata()
    machine = {"cpu": facts["cpu"]["model"], "threads": facts["threads"], "packages": facts["packages"]}
    return {"date": facts["started"][:10], "git": facts["git"], "machine": machine}


def where(measured: Mapping[str, Any]) -> str:
    """The `circumstances` in words, as "2026-11-25, commit 0123abcd, AMD EPYC, 2 threads"."""
    git, machine = measured["git"], measured["machine"]
    commit = f"commit {git['commit'][:8]}{' with changes' if git['dirty'] else ''}, " if git else ""
    threads = f"{machine['threads']} thread{'s' if machine['threads'] > 1 else ''}"
    return f"{measured['date']}, {commit}{machine['cpu']}, {threads}"


def renew(path: Path, begin: str, text: str) -> None:
    """Put the text between README.md's comments `begin` and END, without which a UserError is raised."""
    before = path.read_text(encoding="utf-8")
    found = re.search(f"{re.escape(begin)}.*?{re.escape(END)}", before, re.DOTALL)
    if not found:
        raise UserError(f"{path} has no place for the table: put the lines {begin} and {END} into it")
    write_text(path, before.replace(found[0], f"{begin}\n\n{text}\n\n{END}"))
    print(f"table       {path}")


def draw(study: Study, arms: dict[str, dict[str, Any]], path: Path) -> None:
    """Every panel of a study; where x is a setting, on a logarithmic scale."""
    panels = [(plot.x, y) for plot in study.plots for y in plot.y]
    with figures.plot(path, len(panels)) as axes:
        for axis, (x, y) in zip(axes.flat, panels, strict=False):
            figures.points(axis, _series(arms, x, y))
            labels = [METRICS[key].label if key in METRICS else key for key in (x, y)]
            axis.set(xlabel=labels[0], ylabel=labels[1], xscale="log" if "." in x else "linear")


def _series(arms: dict[str, dict[str, Any]], x: str, y: str) -> dict[str, list[tuple[float, float]]]:
    """Points (x, y) by arm; where x is a setting, one an arm, by style."""
    if x == "step":
        return {name: arm["curves"].get(y) or [] for name, arm in arms.items()}
    series: dict[str, list[tuple[float, float]]] = {}
    for name, arm in arms.items():
        point = (arm["settings"].get(x) if "." in x else arm.get(x), arm.get(y))
        if None not in point:
            series.setdefault(arm["style"] if "." in x else name, []).append(point)
    return {name: sorted(found) for name, found in series.items()}
