"""Files that appear whole or not at all, JSON among them, and their names for people."""

import contextlib
import itertools
import json
import math
import os
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from fst.errors import UserError


def expanded(name: str | Path) -> Path:
    """A path whose ~ or ~user at the beginning is that home folder; where there is no such user, a file's own name."""
    return Path(os.path.expanduser(name))  # noqa: PTH111  Path's raises for ~nobody


@contextlib.contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A path beside `target` (same suffix) to write to; renamed onto `target` at the end, removed on an error.

    Parent folders are made. The rename is atomic on one file system: readers see the old file or the whole new one.

    Raises:
        UserError: the folder may not be written, or the disk is full.
    """
    beside: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        unique = target.with_name(f".{target.stem[:40]}-{uuid.uuid4().hex[:8]}{target.suffix}")
        unique.touch(exist_ok=False)
        beside = unique
        yield beside
        beside.replace(target)
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror or error}") from None
    finally:
        if beside is not None:
            beside.unlink(missing_ok=True)


def visible(folder: Path, pattern: str) -> Iterator[Path]:
    """What matches below a folder, without what `replacing` is at work on, or left behind when it was killed."""
    return (path for path in folder.glob(pattern) if not path.name.startswith("."))


def check_free(target: Path, overwrite: bool, source: Path | None = None) -> None:
    """Raise a UserError, before the work is done, for a file that exists, and for the source itself always."""
    if source is not None and source.exists() and target.exists() and target.samefile(source):
        raise UserError(f"{target} is the source itself: choose another output=")
    if target.exists() and not overwrite:
        raise UserError(f"{target} exists already: add overwrite=true, or name another output=")


def new_folder(path: Path) -> Path:
    """Make a folder of that name, or where it is taken, of NAME-2, NAME-3: two programs never get the same one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = path
    for number in itertools.count(2):
        try:
            folder.mkdir()
            break
        except FileExistsError:
            folder = path.with_name(f"{path.name}-{number}")
    return folder


def uniquely(names: Iterable[str]) -> list[str]:
    """The names in their order, each once: where one is taken it is NAME-2, NAME-3, ..."""
    found: dict[str, None] = {}
    for name in names:
        called = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
        found[next(one for one in called if one not in found)] = None
    return list(found)


def write_text(path: Path, text: str) -> None:
    """Write a text, as `replacing` does."""
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8")


def write_json(path: Path, content: dict[str, Any]) -> None:
    """As `write_text`, of a JSON object."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; a file that is missing or damaged gives an empty one."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        content = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content, dict):
            return content
    return {}


def shown(path: Path) -> str:
    """A path as one types it from here."""
    path = path.resolve()
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def number(value: object) -> str:
    """A value as people write it: 100000.0 is 1e5, 0.00123456 is 0.001235; whole numbers and words stay."""
    text = str(value)
    try:
        found = float(text)
    except ValueError:
        return text
    if text.lstrip("-").isdigit() or not math.isfinite(found):
        return text
    mantissa, e, exponent = f"{found:.4g}".partition("e")
    return f"{mantissa}e{int(exponent)}" if e else mantissa
