"""What the user sees while photos or frames are painted, on standard error: a bar, and lines above it."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Column
from rich.text import Text

CONSOLE = Console(stderr=True)


def say(line: str) -> None:
    """A line as it is, however long."""
    CONSOLE.print(line, markup=False, highlight=False, soft_wrap=True)


def waiting(what: str) -> contextlib.AbstractContextManager:
    """Within, a terminal says what is waited for, which has no length that is known."""
    return CONSOLE.status(escape(what)) if CONSOLE.is_terminal else contextlib.nullcontext()


class _Rate(ProgressColumn):
    """Photos or frames a second, or seconds for each where they take longer."""

    def render(self, task: Task) -> Text:
        speed, unit = task.finished_speed or task.speed or 0, task.fields["unit"]
        if not speed:
            return Text("")
        return Text(f"{speed:.1f} {unit}s/s" if speed >= 1 else f"{1 / speed:.1f} s/{unit}")


@contextlib.contextmanager
def progress(total: int | None, unit: str, *, shown: bool = True) -> Iterator[Callable[..., None]]:
    """A bar on a terminal (none in a log file); gives what moves it on, with `description=` or `advance=`.

    Where no `total` is known: a count instead of a bar.
    """
    name = TextColumn("{task.description}", markup=False, table_column=Column(max_width=32, no_wrap=True))
    columns = (BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    if total is None:
        columns = (TextColumn("{task.completed} {task.fields[unit]}s"), _Rate())
    with Progress(name, *columns, console=CONSOLE, disable=not (shown and CONSOLE.is_terminal)) as bar:
        yield functools.partial(bar.update, bar.add_task("", total=total, unit=unit))
