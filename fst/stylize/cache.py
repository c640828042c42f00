"""Where is kept what takes seconds to make, most of them to import torch: what backends compiled, paintings read."""

from __future__ import annotations

import errno
import hashlib
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from fst import store
from fst.errors import UserError

FST = Path(__file__).parents[1]
UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS}
CODE = ("losses", "networks", "stylize")


def made_once(what: str, kind: str, sources: Iterable[Path | bytes], make: Callable[[Path], None]) -> Path:
    """The folder of something made: found, or made by `make(folder)` and put in place whole.

    Args:
        what: is done, as "reading painting wave.jpg"; told where a person waits for it.
        kind: a word that its folder's name begins with.
        sources: files and bytes; it is made anew where these, or the code that makes it, change.
        make: writes into a folder.

    Raises:
        UserError: it could not be written.
    """
    digest = hashlib.sha256()
    for source in (*sources, *(file for room in CODE for file in sorted((FST / room).glob("*.py")))):
        digest.update(source if isinstance(source, bytes) else source.read_bytes())
    shelf = store.writable("compiled")
    folder = shelf / f"{kind}-{digest.hexdigest()[:20]}"
    if folder.is_dir():
        return folder
    if sys.stderr is not None and sys.stderr.isatty():
        print(f"{what}, once", file=sys.stderr)
    unfinished = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=shelf))
    try:
        make(unfinished)
        unfinished.replace(folder)
    except OSError as error:
        if folder.is_dir():  # another process was first, with the same
            return folder
        if error.errno not in UNWRITABLE:
            raise
        full = f"{what}: cannot write {shelf}: {error.strerror}"
        raise UserError(f"{full}; make room there, or set FST_HOME to another folder") from None
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder
