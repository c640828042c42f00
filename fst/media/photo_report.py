"""What the user sees while many photos are painted: a bar with rate and time left, a line for each one skipped."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text


class Rate(ProgressColumn):
    """Photos a second, or seconds a photo where they are large."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        if not speed:
            return Text("")
        return Text(f"{speed:.1f} photos/s" if speed >= 1 else f"{1 / speed:.1f} s/photo")


class Report:
    """Counts photos painted, passed over and failed; on standard error, so that standard output stays the results'."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.painted = self.passed = self.failed = self.white = 0
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), Rate())
        self.bar = Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True)
        self.task = self.bar.add_task("", total=total)

    def __enter__(self) -> Report:
        self.bar.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.bar.stop()

    def start(self, name: str) -> None:
        """The photo now being painted."""
        self.bar.update(self.task, description=name if len(name) <= 32 else f"{name[:31]}…")

    def skip(self, reason: object) -> None:
        """A photo that could not be painted, and why."""
        self.failed += 1
        self.bar.console.print(f"skipped: {reason}", markup=False, highlight=False, soft_wrap=True)

    def leave_out(self, files: list[Path]) -> None:
        """Files among the photos that are none."""
        if files:
            names = ", ".join(file.name for file in files[:3]) + (", ..." if len(files) > 3 else "")
            line = f"left out: {len(files)} files that are no photos ({names})"
            self.bar.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def advance(self) -> None:
        """One photo less to go."""
        self.bar.advance(self.task)

    def summary(self) -> str:
        """What happened, in a line."""
        parts = [f"{self.painted} of {self.total} painted"]
        if self.passed:
            parts.append(f"{self.passed} there already (overwrite=true paints them again)")
        if self.white:
            parts.append(f"{self.white} had transparent areas that are now white: their format has no transparency")
        if self.failed:
            parts.append(f"{self.failed} failed")
        return ", ".join(parts)
