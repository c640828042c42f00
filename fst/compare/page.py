"""Runs become one self-contained page: a template, its styles and scripts, and the data as JSON."""

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from fst.compare import pictures, table
from fst.compare.reading import Run
from fst.errors import UserError
from fst.files import write_text

HERE = Path(__file__).parent
PARTS = ("page.css", "page.js", "curves.js", "pictures.js")
POINTS = 240  # of a curve; more are averaged
MARK = '<meta name="generator" content="fst compare">'


def write(output: Path, runs: Sequence[Run], left_out: Sequence[str] = ()) -> Path:
    """Write the page of some runs, whole or not at all, with sentences about folders that are left out."""
    page = (HERE / "page.html").read_text(encoding="utf-8")
    for name in PARTS:
        page = page.replace(f"/* {name} */", (HERE / name).read_text(encoding="utf-8"))
    # Last, and with "<" escaped, so that no name or setting is taken as markup or as a part's place.
    page = page.replace("/* data */", json.dumps(content(runs, left_out), allow_nan=False).replace("<", "\\u003c"))
    write_text(output, page)
    return output


def check(output: Path) -> None:
    """Raise UserError, before any work, for an output without .html name, a folder, or a file of another program."""
    if output.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"output={output} is no page: name an .html file, as output=compare.html")
    if output.is_dir():
        raise UserError(f"output={output} is a folder: name an .html file in it")
    if output.exists() and MARK not in output.read_text(encoding="utf-8", errors="replace")[:1000]:
        raise UserError(f"{output} exists and is no comparison of runs: name another file, as output=runs.html")


def content(runs: Sequence[Run], left_out: Sequence[str] = ()) -> dict[str, Any]:
    """What the page shows, as plain JSON values."""
    settings = table.differing(runs)
    columns, cells = table.results(runs)
    shown = pictures.collect(runs)
    failures = [f"{run.name} failed: {run.reason}" for run in runs if run.reason]
    notes = [*table.remarks(settings), *failures, *left_out]
    if shown.left_out:
        notes.append(f"{shown.left_out} more photos have previews; those that most runs share are shown.")
    return {
        "made": datetime.now().astimezone().isoformat(timespec="minutes"),
        "notes": notes,
        "settings": settings,
        "varied": table.varied(runs, settings),
        "columns": [{"key": c.key, "title": c.title, "group": c.group, "note": c.note} for c in columns],
        "photos": [{"name": name, "src": src} for name, src in shown.photos.items()],
        "stops": shown.stops,
        "runs": [
            {
                "name": run.name,
                "state": run.state,
                "step": run.step,
                "total": run.total,
                "settings": {key: table.text(run.settings[key]) for key in settings if key in run.settings},
                "cells": {key: _rounded(value, 6) for key, value in cells[index].items()},
                "series": {key: _columns(reduced(points)) for key, points in run.series.items() if _says_much(points)},
                "clock": _columns(reduced(run.clock)),
                "pictures": shown.runs[index],
                "painting": shown.paintings[index],
            }
            for index, run in enumerate(runs)
        ],
    }


def reduced(points: Sequence[tuple[int, float]], count: int = POINTS) -> list[tuple[int, float]]:
    """At most `count` points: means of neighbours, each at the last step it stands for; the last point as it is."""
    if len(points) <= count:
        return list(points)
    size = -(-(len(points) - 1) // (count - 1))
    parts = [points[start : min(start + size, len(points) - 1)] for start in range(0, len(points) - 1, size)]
    return [(part[-1][0], sum(value for _, value in part) / len(part)) for part in parts] + [points[-1]]


def _says_much(points: Sequence[tuple[int, float]]) -> bool:
    return any(value for _, value in points)  # a loss without weight is zero throughout


def _columns(points: Sequence[tuple[int, float]]) -> list[list[float]]:
    return [[step for step, _ in points], [_rounded(value, 5) for _, value in points]]


def _rounded(value: float, digits: int) -> float:
    return float(f"{value:.{digits}g}")
