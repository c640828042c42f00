"""Where backends keep what they have compiled, so that a style opened before starts without torch."""

from __future__ import annotations

import hashlib
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
    shelf = store.writable("compiled")
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
