"""Where backends keep what they have compiled, so that a style opened before starts without torch."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from fst import store
from fst.stylize.styles import Style

CODE = Path(__file__).parent


def made_once(style: Style, backend: str, version: str, make: Callable[[Path], None]) -> Path:
    """The folder of what a backend makes of a style: found, or made by `make(folder)` and put in place whole.

    Its name changes with the style's weights, the code that makes it, and the library's `version`.
    """
    digest = hashlib.sha256(version.encode())
    for path in (style.path, *sorted((CODE.parent / "networks").glob("*.py")), *sorted(CODE.glob("*.py"))):
        digest.update(path.read_bytes())
    shelf = writable("compiled")
    folder = shelf / f"{backend}-{digest.hexdigest()[:20]}"
    if folder.is_dir():
        return folder
    if sys.stderr.isatty():  # it takes some seconds, most of them to import torch
        print(f"preparing style '{style.name}' for {backend}, once", file=sys.stderr)
    unfinished = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=shelf))
    try:
        make(unfinished)
        unfinished.replace(folder)
    except OSError:
        if not folder.is_dir():  # else another process was first, with the same
            raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def writable(name: str) -> Path:
    """A folder of the store; where the store may not be written, one of this user's in the temporary folder."""
    for folder in (store.home(), Path(tempfile.gettempdir()) / f"fst-{_user()}"):
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # A folder that somebody else made under our name could hold models that are not ours.
            if os.access(folder, os.W_OK) and (folder == store.home() or folder.stat().st_uid == _user()):
                (folder / name).mkdir(exist_ok=True)
                return folder / name
        except OSError:
            continue
    return Path(tempfile.mkdtemp(prefix="fst-"))


def _user() -> int:
    return os.getuid() if hasattr(os, "getuid") else 0
