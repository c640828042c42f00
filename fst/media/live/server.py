"""The live page: a browser sends its camera's frames over a WebSocket and shows what comes back painted.

One binary message each way is one JPEG picture after four bytes that number it. Text from the browser is a word that
changes its state (`fst.media.live.state`); text to it is JSON. A viewer keeps at most two frames under way and sends
the next when one came back, so that both ends always work on the newest. Where this machine's own device is shown, the
number alone asks for its newest frame.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import logging
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from aiohttp import WSCloseCode, web
from aiohttp.typedefs import Handler

from fst.errors import UserError
from fst.media.live.camera import Camera
from fst.media.live.style_loader import StyleLoader
from fst.media.live.viewer import Viewer
from fst.values import between

if TYPE_CHECKING:
    from fst.config.infer import InferConfig

LARGEST_MESSAGE = 4 << 20  # bytes
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src blob: data:; media-src blob:; "
    "connect-src 'self'"
)


def serve(config: InferConfig, loader: StyleLoader, reason: str) -> None:
    """Serve the page until Ctrl-C, on `config.page.host` and the first free port from `config.page.port` on.

    It shows webcam.device where that is named, else each viewer's camera. Why the page is served, `reason`, is printed.
    """
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # a traceback for whatever a stranger sends
    with contextlib.nullcontext() if config.webcam.device is None else Camera(config.webcam) as camera:
        listener = _listen(config.page.host, config.page.port)
        _announce(listener, reason, "see it" if camera else "use its camera")
        app = application(config, loader, camera)
        web.run_app(app, sock=listener, print=None, access_log=None, shutdown_timeout=1)


def _announce(listener: socket.socket, reason: str, purpose: str) -> None:
    host, port = listener.getsockname()[:2]
    shown = "localhost" if not _is_loopback(host) else f"[{host}]" if ":" in host else host
    print(f"{reason}: open http://{shown}:{port}/ in a browser to {purpose}; press Ctrl-C to end.")
    print(f"From another computer: ssh -L {port}:{shown}:{port} {socket.gethostname()}, then the same address there.")
    if not _is_loopback(host):
        print("Anyone who reaches this machine can use the page; browsers allow cameras only on localhost and https.")
    sys.stdout.flush()  # the address is wanted now, also where stdout is a pipe or a log


def application(config: InferConfig, loader: StyleLoader, camera: Camera | None = None) -> web.Application:
    """The page and its WebSocket as an aiohttp application; with a camera, that one is shown."""
    painting = ThreadPoolExecutor(1, thread_name_prefix="page")
    channels: set[web.WebSocketResponse] = set()  # one a viewer

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse what another site's page, open in the same browser, may send here.

        WebSockets are exempt from the same-origin policy, so the Origin must be this page's own; and a domain name
        that its owner points at 127.0.0.1 (DNS rebinding) has the right Origin but a Host that is not ours.
        """
        if not _is_ours(request.host, config.page.host):
            raise web.HTTPForbidden(text="Open this page by localhost or by the machine's address.\n")
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != request.host:
            raise web.HTTPForbidden(text="Another site may not use this page.\n")
        return await handler(request)

    async def page(request: web.Request) -> web.Response:
        text = (Path(__file__).parent / "page.html").read_text("utf-8")
        headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-store", "X-Frame-Options": "DENY"}
        return web.Response(text=text, content_type="text/html", headers=headers)

    async def live(request: web.Request) -> web.WebSocketResponse:
        # Pictures are compressed already; deflating them again costs milliseconds a frame.
        channel = web.WebSocketResponse(max_msg_size=LARGEST_MESSAGE, compress=False, heartbeat=20, timeout=1)
        await channel.prepare(request)
        channels.add(channel)
        try:
            await Viewer(config, loader, camera, painting, channel).attend()
        finally:
            channels.discard(channel)
        return channel

    async def close(app: web.Application) -> None:
        goodbyes = [channel.close(code=WSCloseCode.GOING_AWAY) for channel in channels]
        await asyncio.gather(*goodbyes, return_exceptions=True)
        painting.shutdown(wait=False, cancel_futures=True)

    app = web.Application(middlewares=[guard])
    app.add_routes([web.get("/", page), web.get("/live", live)])
    app.on_shutdown.append(close)
    return app


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket on the port, or on the next free one of twenty."""
    between("page.port", port, 0, 65535, ": 0 is any free one")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for candidate in [0] if port == 0 else range(port, min(port + 20, 65536)):
        try:
            return socket.create_server((host, candidate), family=family)
        except PermissionError:
            raise UserError(f"page.port={port} may not be used; choose one above 1023") from None
        except OSError as error:
            if error.errno != errno.EADDRINUSE:  # of a name that nobody knows, create_server gives a number of its own
                raise UserError(f"page.host={host} is no address of this machine; 127.0.0.1 is always one") from None
    raise UserError(f"page.port={port} and the 19 after it are taken; choose another")


def _is_ours(host: str, bound: str) -> bool:
    """Whether a request's Host is this page, which listens on `bound`."""
    name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
    if name in ("localhost", bound):
        return True
    try:
        # An address in numbers cannot be rebound; beyond loopback it is right where we listen beyond loopback.
        return ipaddress.ip_address(name).is_loopback or not _is_loopback(bound)
    except ValueError:
        return name == socket.gethostname().lower() and not _is_loopback(bound)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
