"""Download from servers that fail: python -m experiments.reliability.downloads [--times 220]

A server on this machine cuts at a random byte, sends other bytes, is slow, redirects, answers with the page that a
network's sign-in shows, or breaks the protocol; with and without a digest that is known. A file stands in the store
only where it is whole and the right one; else there is one line, and the store is as it was.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import os
import random
import threading
import time
from collections.abc import Iterator

from experiments.reliability import common
from fst import store
from fst.errors import UserError

CONTENT = random.Random(0).randbytes(200_000)
PAGE = b"<!DOCTYPE html><html><body>Sign in to this network</body></html>" * 40
WAYS = ("good", "cut", "wrong", "slow", "redirected", "portal", "silent", "unannounced", "missing", "rubbish", "chunks")


class Handler(http.server.BaseHTTPRequestHandler):
    """/WAY/NUMBER: CONTENT in that way, where it matters until that byte."""

    def do_GET(self) -> None:
        way, number = self.path.strip("/").split("/")
        with contextlib.suppress(ConnectionError):
            getattr(self, way)(int(number))
        self.close_connection = True

    def _send(self, content: bytes, *, length: int | None, kind: str = "application/octet-stream") -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(content)

    def good(self, number: int) -> None:
        self._send(CONTENT, length=len(CONTENT))

    def cut(self, number: int) -> None:
        self._send(CONTENT[:number], length=len(CONTENT))

    def wrong(self, number: int) -> None:
        self._send(CONTENT[:number] + bytes([CONTENT[number] ^ 1]) + CONTENT[number + 1 :], length=len(CONTENT))

    def slow(self, number: int) -> None:
        self._send(CONTENT[:number], length=len(CONTENT))
        time.sleep(0.3)
        self.wfile.write(CONTENT[number:])

    def redirected(self, number: int) -> None:
        self.send_response(302)
        self.send_header("Location", f"/{'redirected' if number % 2 else 'good'}/{number}")  # half of them for ever
        self.end_headers()

    def portal(self, number: int) -> None:
        self._send(PAGE, length=len(PAGE), kind="text/html; charset=utf-8")

    def silent(self, number: int) -> None:
        time.sleep(3)

    def unannounced(self, number: int) -> None:
        self._send(CONTENT[:number], length=None)

    def missing(self, number: int) -> None:
        self.send_error(404)

    def rubbish(self, number: int) -> None:
        self.wfile.write(CONTENT[: number % 1000])

    def chunks(self, number: int) -> None:
        self.protocol_version = "HTTP/1.1"
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(f"{len(CONTENT):x}\r\n".encode() + CONTENT[:number])

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def attempt(address: str, way: str, chance: random.Random) -> str | None:
    """What went wrong with one download, or None."""
    known = chance.random() < 0.6
    remote = store.Remote(
        f"{address}/{way}/{chance.randrange(1, len(CONTENT))}",
        hashlib.sha256(CONTENT).hexdigest() if known else None,
        len(CONTENT) if known else None,
    )
    said = f"{way}, {'with' if known else 'without'} a digest"
    place = store.home() / "x" / "file.bin"
    try:
        path = store.fetch("x/file.bin", remote, otherwise="do without")
    except UserError as error:
        if way in ("good", "slow"):
            return f"{said}: refused: {error}"
        if "\n" in str(error) or list(place.parent.iterdir()):
            return f"{said}: {'several lines' if chr(10) in str(error) else 'something is left'}"
        return None
    except Exception as error:  # what a user would see as a traceback
        return f"{said}: {type(error).__name__}: {error}"
    whole = path.read_bytes() == CONTENT
    path.unlink()
    # Without a digest or a length nothing tells other bytes, or fewer, from the right ones.
    if not whole and (known or way not in ("wrong", "unannounced")):
        return f"{said}: put in place"
    return None


def main() -> None:
    options = common.arguments(__doc__.splitlines()[0], 220)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        os.environ.pop(name, None)
    store.TIMEOUT_SECONDS = 1
    with common.workplace(), server() as address:
        faults = common.tried(options, lambda number, chance: attempt(address, WAYS[number % len(WAYS)], chance))
    common.report(
        "downloads",
        "downloads that are cut at any byte, wrong, slow, redirected, or a sign-in page",
        "refused in a line, or the whole right file; never put in place otherwise",
        options,
        faults,
        ", ".join(WAYS),
    )


if __name__ == "__main__":
    main()
