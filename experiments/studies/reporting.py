"""From results.json to words: the table and the goals, printed and put into README.md, and plot.png."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from fst.errors import UserError
from fst.files import replacing
from studies import plots
from studies.definition import GoalEntry, Study
from studies.judging import RESULTS

BEGIN, END = "<!-- written by experiments/study.py: {} -->", "<!-- end -->"


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
    "steps": Metric("steps", "d", 0),
    "step_seconds": Metric("s / step", ".3f", -1),
    "seconds": Metric("training, s", ".0f", -1),
    "wall_seconds": Metric("with validation, s", ".0f", -1),
    "images_per_second": Metric("images / s in training", ".2f", 1),
    "parameters": Metric("parameters", ",d", -1),
    "kmac_per_pixel": Metric("kMAC / pixel", ".1f", -1),
    "milliseconds": Metric("640×480 in OpenVINO, ms", ".1f", -1),
    "equivalence": Metric("worth L-BFGS iterations", "g", 1),
}


def report(study: Study, folder: Path) -> None:
    """Print the table and the goals of `folder`/results.json, draw plot.png, and renew README.md's block.

    Raises:
        UserError: nothing was judged yet, or a README.md without the two comments the block stands between.
    """
    path = folder / RESULTS
    if not path.is_file():
        raise UserError(f"{path} does not exist: python experiments/study.py {study.name} judge")
    results = json.loads(path.read_text(encoding="utf-8"))
    text = "\n\n".join(part for part in (table(study, results), goals(study, results), small_print(results)) if part)
    print(text)
    if study.file.plots or study.file.curves:
        print(f"plot        {plots.draw(study.file, results, folder / 'plot.png')}")
    if (folder / "README.md").is_file():
        renew(folder / "README.md", study.name, text)


def table(study: Study, results: dict[str, Any]) -> str:
    """A row an arm, the best of a style bold, differences to the arm it is compared with in per cent."""
    unknown = [column for column in study.file.columns if column not in METRICS]
    if unknown:
        raise UserError(f"{study.name}: columns has '{unknown[0]}'; choose from {', '.join(METRICS)}")
    arms = results["arms"]
    rows = [["arm", *(METRICS[column].label for column in study.file.columns)]]
    rows.append(["---", *["---:"] * len(study.file.columns)])
    for name in (name for name in study.arms if name in arms):
        against = study.arms[name].against or study.file.reference
        rows.append([name, *(cell(arms, name, against, column, results) for column in study.file.columns)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def cell(arms: dict[str, dict], name: str, against: str, column: str, results: dict[str, Any]) -> str:
    """One number, as "**14.20** (+3 %)"."""
    metric, value = METRICS[column], arms[name].get(column)
    if value is None:
        return "–"
    text = _number(column, value, results)
    rivals = [arm[column] for arm in arms.values() if arm["style"] == arms[name]["style"] and arm.get(column)]
    if metric.better and len(rivals) > 1 and value == (max(rivals) if metric.better > 0 else min(rivals)):
        text = f"**{text}**"
    base = arms.get(against, {}).get(column)
    if name != against and base and metric.better and column != "equivalence":
        text += f" ({100 * (value / base - 1):+.0f} %)"
    return text


def _number(column: str, value: float, results: dict[str, Any]) -> str:
    if column == "equivalence":
        most = max(len(losses) for photos in results["lbfgs"].values() for losses in photos.values()) - 1
        return f"> {most}" if value > most else f"{value:g}"
    return format(value, METRICS[column].form)


def goals(study: Study, results: dict[str, Any]) -> str:
    """A line a goal: met, or missed by how much."""
    return "\n".join(f"- {goal.text}: {_verdict(goal, results['arms'])}" for goal in study.file.goals)


def _verdict(goal: GoalEntry, arms: dict[str, dict]) -> str:
    pair = [arms.get(name, {}).get(goal.metric) for name in (goal.arm, goal.against)]
    if None in pair:
        return "not measured yet"
    percent = 100 * (pair[0] / pair[1] - 1)
    said = f"{percent:+.1f} % ({METRICS[goal.metric].label}, {goal.arm} against {goal.against})"
    over = percent - goal.percent
    return f"**met**, {said}" if over <= 0 else f"**missed** by {over:.1f} points, {said}"


def small_print(results: dict[str, Any]) -> str:
    """By what, on what, when and where."""
    criterion = next(iter(results["criterion"].values()))
    scales = " and ".join(f"{scale:g}" for scale in criterion["style_scales"])
    deepest = criterion["style_layers"][-1]
    git, machine = results["git"], results["machine"]
    commit = f", commit {git['commit'][:8]}{' with changes' if git['dirty'] else ''}" if git else ""
    return (
        f"*Means over {len(results['photos'])} photos that no arm saw, {criterion['side']}×{criterion['side']}; every "
        f"arm judged by {criterion['architecture'].upper()} to {deepest}, content at "
        f"{', '.join(criterion['content_layers'])}, scales {scales}, style weight {criterion['style_weight']:g}. "
        f"{results['date']}{commit}, {machine['cpu']}, {_counted(machine['threads'])}.*"
    )


def _counted(threads: int) -> str:
    return f"{threads} thread{'s' if threads > 1 else ''}"


def renew(path: Path, study: str, text: str) -> None:
    """Put the text between README.md's two comments, and leave the rest as it is.

    Raises:
        UserError: the comments are not there.
    """
    begin = BEGIN.format(f"{study} report")
    before = path.read_text(encoding="utf-8")
    found = re.search(f"{re.escape(begin)}.*?{re.escape(END)}", before, re.DOTALL)
    if not found:
        raise UserError(f"{path} has no place for the table: put the lines {begin} and {END} into it")
    with replacing(path) as beside:
        beside.write_text(before.replace(found[0], f"{begin}\n\n{text}\n\n{END}"), encoding="utf-8")
    print(f"table       {path}")
