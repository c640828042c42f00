"""The local store, FST_HOME: named files found there, or downloaded from a pinned address and checked."""

import hashlib
import http.client
import os
import tempfile
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from fst.errors import UserError
from fst.files import expanded, replacing

CHUNK_BYTES = 1 << 20
TIMEOUT_SECONDS = 20


@dataclass(frozen=True)
class Remote:
    """Where a file comes from: the digest, or its first 8 or more hex digits, and bytes; None: nobody published it."""

    address: str
    sha256: str | None
    size: int | None


def home() -> Path:
    """The store's folder: the environment variable FST_HOME, or the platform's user cache folder for fst."""
    return expanded(os.environ.get("FST_HOME") or platformdirs.user_cache_dir("fst", appauthor=False))


def find(name: str) -> Path | None:
    """The store's file or folder of that name (as "styles/wave.jpg"), or None."""
    path = home() / name
    return path if path.exists() else None


def fetch(name: str, remote: Remote, *, otherwise: str) -> Path:
    """The store's file `name` (as "styles/wave.jpg"), downloaded first if it is not there.

    `otherwise` is the setting that does without the file, said when the download fails.

    Raises:
        UserError: no network, a wrong digest or a full disk; nothing is left in the store then.
    """
    found = find(name)
    if found is not None:
        return found
    target = home() / name
    with replacing(target) as beside:
        digest = _download(remote, beside, title=target.name, otherwise=otherwise)
        if remote.sha256 is not None and not digest.startswith(remote.sha256):
            raise UserError(
                f"{remote.address} is not the file fst knows (sha256 {digest[:16]}…, expected {remote.sha256[:16]}…): "
                f"it was changed or damaged on the way; try again, or {otherwise}"
            )
    return target


def _download(remote: Remote, target: Path, *, title: str, otherwise: str) -> str:
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    columns = ("{task.description}", BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    digest = hashlib.sha256()
    try:
        with (
            urllib.request.urlopen(remote.address, timeout=TIMEOUT_SECONDS) as response,
            target.open("wb") as out,
            Progress(*columns, transient=True) as progress,
        ):
            _check_answer(response, remote.address)
            task = progress.add_task(title, total=remote.size)
            while chunk := _read(response):
                out.write(chunk)
                digest.update(chunk)
                progress.advance(task, len(chunk))
            announced = response.headers.get("Content-Length")
            if announced is not None and out.tell() < int(announced):
                raise ConnectionError(f"it ended after {readable_size(out.tell())} of {readable_size(int(announced))}")
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        reason = " ".join(str(getattr(error, "reason", None) or error).split())[:200]  # a server may say anything
        size = f" ({readable_size(remote.size)})" if remote.size else ""
        raise UserError(
            f"{title}{size} is not in {target.parent} and could not be downloaded from "
            f"{remote.address}: {reason}; connect to a network, put the file there, or {otherwise}"
        ) from None
    return digest.hexdigest()


def _read(response: http.client.HTTPResponse) -> bytes:
    """The next bytes; ConnectionError for any OSError, as of TLS: `replacing` would take it for one of the disk."""
    try:
        return response.read(CHUNK_BYTES)
    except OSError as error:
        raise ConnectionError(error.strerror or str(error)) from None


def _check_answer(response: http.client.HTTPResponse, address: str) -> None:
    """Raise ConnectionError for what is not the file asked for: where its digest is not known, nothing else tells."""
    if response.headers.get_content_type() == "text/html":
        raise ConnectionError("a web page came instead of the file: does this network ask for a sign-in?")
    if address.startswith("https:") and not response.url.startswith("https:"):
        raise ConnectionError(f"the server sends on to {response.url}, which is not encrypted")


def readable_size(size: int) -> str:
    """A number of bytes as people say it: 528 MB."""
    for unit in ("bytes", "kB", "MB"):
        if size < 999.5:
            return f"{size:.0f} {unit}"
        size = size / 1000
    return f"{size:.1f} GB"


def writable(name: str) -> Path:
    """A folder of the store; where the store may not be written, one of this user's in the temporary folder."""
    for folder in (home(), Path(tempfile.gettempdir()) / f"fst-{_user()}"):
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # A folder that somebody else made under our name could hold models that are not ours.
            if os.access(folder, os.W_OK) and (folder == home() or folder.stat().st_uid == _user()):
                (folder / name).mkdir(exist_ok=True)
                return folder / name
        except OSError:
            continue
    return Path(tempfile.mkdtemp(prefix="fst-"))


def _user() -> int:
    return os.getuid() if hasattr(os, "getuid") else 0
