import errno
import hashlib
import http.client
import http.server
import os
import random
import ssl
import threading
from types import SimpleNamespace

import pytest

from fst import store
from fst.errors import UserError
from fst.store import Remote

CONTENT = random.Random(0).randbytes(3_000_000)  # the same in every worker: it is in the names of tests
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    asked = 0

    def do_GET(self):
        type(self).asked += 1
        if self.path == "/missing":
            self.send_error(404)
            return
        if self.path == "/odd":
            self.wfile.write(b"no\nHTTP\n\n")
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/html" if self.path == "/sign-in" else "image/jpeg")
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[: 1_500_000 if self.path == "/cut" else None])

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    Handler.asked = 0
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("FST_HOME", str(tmp_path / "home"))
    for proxy in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    return tmp_path / "home"


def test_a_file_is_downloaded_once(server, home):
    for digest in (DIGEST, DIGEST[:8], None):
        path = store.fetch("styles/x.jpg", Remote(f"{server}/x", digest, len(CONTENT)), otherwise="go without")
    assert path == home / "styles/x.jpg" == store.find("styles/x.jpg")
    assert path.read_bytes() == CONTENT
    assert Handler.asked == 1
    assert [path.name for path in (path.parent).iterdir()] == ["x.jpg"]


@pytest.mark.parametrize(
    ("path", "digest", "said"),
    [
        ("/x", "0" * 64, "is not the file fst knows"),
        ("/cut", DIGEST, "ended after 2 MB of 3 MB"),
        ("/missing", DIGEST, "Not Found"),
        ("/odd", DIGEST, "could not be downloaded"),
        ("/sign-in", None, "a web page came instead"),
    ],
)
def test_nothing_is_left_of_a_bad_download(server, home, path, digest, said):
    with pytest.raises(UserError, match=said) as caught:
        store.fetch("styles/x.jpg", Remote(server + path, digest, len(CONTENT)), otherwise="go without")
    assert "go without" in str(caught.value) and "\n" not in str(caught.value)
    assert not any((home / "styles").iterdir())


def test_a_cut_download_without_a_known_digest_is_noticed(server, home):
    with pytest.raises(UserError, match="ended after 2 MB of 3 MB"):
        store.fetch("x.bin", Remote(f"{server}/cut", None, None), otherwise="go without")
    assert not any((home).iterdir())


@pytest.mark.parametrize("error", [ssl.SSLEOFError(8, "EOF occurred"), OSError(errno.EHOSTUNREACH, "No route to host")])
def test_a_connection_that_breaks_is_not_said_to_be_the_disk(server, home, monkeypatch, error):
    def broken(*_: object) -> bytes:
        raise error

    monkeypatch.setattr(http.client.HTTPResponse, "read", broken)
    with pytest.raises(UserError, match=f"could not be downloaded from .*{error.strerror}.*go without"):
        store.fetch("styles/x.jpg", Remote(f"{server}/x", DIGEST, len(CONTENT)), otherwise="go without")
    assert not any((home / "styles").iterdir())


@pytest.mark.parametrize("size", [528_000_000, None])
def test_no_network_says_what_where_and_what_does_without(home, size):
    with pytest.raises(UserError) as caught:
        store.fetch("weights/vgg.pth", Remote("http://127.0.0.1:9/vgg.pth", DIGEST, size), otherwise="take another")
    said = str(caught.value)
    for part in ("vgg.pth", "http://127.0.0.1:9/vgg.pth", str(home / "weights"), "take another"):
        assert part in said
    assert ("528 MB" in said) == (size is not None) and "\n" not in said


def test_an_encrypted_address_that_leads_to_an_open_one_is_refused():
    headers = http.client.HTTPMessage()
    headers["Content-Type"] = "image/jpeg"
    for asked, came in (("https://a/x", "https://b/x"), ("http://a/x", "http://b/x")):
        store._check_answer(SimpleNamespace(headers=headers, url=came), asked)
    with pytest.raises(ConnectionError, match="sends on to http://b/x, which is not encrypted"):
        store._check_answer(SimpleNamespace(headers=headers, url="http://b/x"), "https://a/x")


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="Windows has no owners by number")
def test_a_folder_of_somebody_else_is_not_taken_for_the_store(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("FST_HOME", str(tmp_path / "file"))  # where no folder can be
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    own = store.writable("compiled")
    assert own == tmp_path / f"fst-{os.getuid()}" / "compiled" and own.parent.stat().st_mode & 0o777 == 0o700
    monkeypatch.setattr(store, "_user", lambda: os.getuid() + 1)
    (tmp_path / f"fst-{os.getuid() + 1}").mkdir()  # ours, and so not theirs
    other = store.writable("compiled")
    assert other.is_dir() and other.parent == tmp_path and not other.is_relative_to(tmp_path / f"fst-{os.getuid() + 1}")


def test_sizes_read_well():
    assert [store.readable_size(size) for size in (12, 6_943_424, 999_600_000, 19_336_861_798)] == [
        "12 bytes",
        "7 MB",
        "1.0 GB",
        "19.3 GB",
    ]
