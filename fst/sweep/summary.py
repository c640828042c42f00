"""A sweep's summary: a table of its jobs on the screen, and the same with every metric in summary.csv."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fst.config.commandline import unquoted
from fst.files import number, read_json, replacing, shown, write_json
from fst.runfolder import JOB, RUNNING, STOPPED, read_metrics
from fst.sweep.job import DONE, LOST

if TYPE_CHECKING:
    from fst.sweep.job import Sweep

FILE = "summary.csv"
PLAIN_WIDTH = 160  # where standard output is no terminal
LOSSES = ("content_loss", "style_loss")


def read(sweep: Sweep) -> list[dict[str, Any]]:
    """What the jobs of a sweep left in their folders, as job.json has it, by number."""
    folders = [Path(folder) for folder in sweep.jobs] or [path for path in sweep.folder.glob("*") if path.is_dir()]
    jobs = [{**job, "folder": str(folder)} for folder in folders if (job := read_json(folder / JOB))]
    if sweep.jobs:  # a study's arm may have been trained as another one's
        jobs = [{**job, "job": sweep.jobs.index(job["folder"]) + 1} for job in jobs]
    return sorted(jobs, key=lambda job: job["job"])


def finished(sweep: Sweep, *, stopped: bool) -> list[dict[str, Any]]:
    """Print and write the summary of a sweep that has ended; the jobs as job.json has them, and their metrics."""
    jobs = read(sweep)
    for job in jobs:
        if job["status"] == RUNNING:  # its process is gone, without a word
            job |= {"status": STOPPED if stopped else LOST}
            write_json(Path(job["folder"]) / JOB, job)
        job.setdefault("metrics", read_metrics(Path(job["folder"])))
    if jobs:
        _write(sweep.folder / FILE, jobs)
        _show(sweep, jobs)
    return jobs


def front(jobs: list[dict[str, Any]]) -> set[int]:
    """Numbers of the jobs that no other job beats in both content and style loss, by the reference definition."""
    keys = [f"reference/{name}" for name in LOSSES]
    points = {job["job"]: [job["metrics"][key] for key in keys] for job in jobs if keys[0] in job["metrics"]}
    return {
        mine
        for mine, (content, style) in points.items()
        if not any(c <= content and s <= style and (c, s) != (content, style) for c, s in points.values())
    }


def _show(sweep: Sweep, jobs: list[dict[str, Any]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    changed = _changed(jobs)
    best = front(jobs) if sweep.objectives else set()
    # Held-out photos' losses, and the reference where it was measured; Gatys has train's.
    kinds = [kind for kind in ("val", "reference") if any(f"{kind}/{LOSSES[0]}" in job["metrics"] for job in jobs)]
    losses = [f"{kind}/{name}" for kind in kinds or ["train"] for name in LOSSES]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    names = [key.rpartition(".")[2] for key in changed]
    heads = [key.removesuffix("_loss").replace("/", " ") for key in losses]
    for name in ["job", *names, "status", *heads, "images/s", "minutes", "folder"]:
        words = name in ("status", "folder")
        table.add_column(name, overflow="fold", no_wrap=words, justify="left" if words else "right")
    for job in jobs:
        cells = [str(job["job"]), *(number(_values(job).get(key, "")) for key in changed)]
        cells.append(job["status"] + (" *" if job["job"] in best else ""))
        cells += [number(job["metrics"].get(key, "")) for key in [*losses, "train/images_per_second"]]
        cells += [f"{job.get('seconds', 0) / 60:.1f}", Path(job["folder"]).name]
        table.add_row(*map(Text, cells))
    console = Console()
    if not console.is_terminal:
        console = Console(width=PLAIN_WIDTH)
    console.print()
    console.print(table)
    for job in jobs:
        if job.get("reason"):
            console.print(Text(f"job {job['job']} failed: {job['reason']}"), soft_wrap=True)
    if best:
        print("* no other job is better in both losses")
    done = sum(job["status"] == DONE for job in jobs)
    print(f"{done} of {len(sweep.jobs) or len(jobs)} jobs done; summary  {shown(sweep.folder / FILE)}")


def _values(job: dict[str, Any]) -> dict[str, str]:
    pairs = (override.partition("=")[::2] for override in job["overrides"])
    return {key: unquoted(value) for key, value in pairs}


def _changed(jobs: list[dict[str, Any]]) -> list[str]:
    """Every key that the sweep changed, in its order."""
    return list(dict.fromkeys(key for job in jobs for key in _values(job)))


def _write(path: Path, jobs: list[dict[str, Any]]) -> None:
    metrics = sorted({key for job in jobs for key in job["metrics"]})
    heads = ["job", *_changed(jobs), "status", "reason", "seconds", *metrics, "folder"]
    with replacing(path) as beside, beside.open("w", newline="", encoding="utf-8") as file:
        rows = csv.DictWriter(file, heads, extrasaction="ignore")
        rows.writeheader()
        rows.writerows({**job, **_values(job), **job["metrics"]} for job in jobs)
