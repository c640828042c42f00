"""Whether a W&B run is online or offline: decided without a prompt and within seconds."""

import os
import socket
import threading
import urllib.request
from urllib.parse import urlsplit

import wandb

from fst.config.schema import AUTO
from fst.errors import UserError

CONNECT_SECONDS = 2.0
VERIFY_SECONDS = "6"


def decide(mode: str) -> tuple[str, str]:
    """The mode for wandb.init ("online", "offline" or "disabled") and, where offline was not asked for, why.

    With "auto", the environment (WANDB_MODE, `wandb offline`) decides; if it says nothing, a server that answers and
    accepts this machine's key makes it online. With "online", no key or no server is a UserError.
    """
    if mode == AUTO:
        told = os.environ.get("WANDB_MODE") or wandb.setup().settings.mode  # settings keep what the first run read
        told = "offline" if told == "dryrun" else told  # W&B's former word
        if told in ("offline", "disabled"):
            return told, "as W&B's own settings say" if told == "offline" else ""
    if mode in ("offline", "disabled"):
        return mode, ""
    obstacle = _obstacle()
    if obstacle and mode == "online":
        raise UserError(f"logger.mode=online cannot be: {obstacle}; logger.mode=offline needs neither key nor server")
    return "offline" if obstacle else "online", obstacle


def reachable(address: str, seconds: float = CONNECT_SECONDS) -> bool:
    """Whether the host of an http(s) address, or the proxy that stands before it, accepts a connection."""
    parts = urlsplit(address)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and not urllib.request.proxy_bypass(parts.netloc):
        parts = urlsplit(proxy if "//" in proxy else f"//{proxy}", scheme="http")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    answered = threading.Event()

    def connect() -> None:
        try:
            socket.create_connection((parts.hostname, port), timeout=seconds).close()
        except OSError:
            return
        answered.set()

    # In a thread, because looking a name up has no timeout and may take 10 s on a machine without a name server.
    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(seconds + 0.5)
    return answered.is_set()


def _obstacle() -> str:
    """Why there can be no online run, as a phrase; empty if there can."""
    server = wandb.setup().settings.base_url
    if not reachable(server):
        return f"{server} does not answer"
    before = os.environ.get("WANDB_HTTP_TIMEOUT")
    os.environ.setdefault("WANDB_HTTP_TIMEOUT", VERIFY_SECONDS)
    try:
        return "" if wandb.login(prompt=False) else "no W&B key (`wandb login` stores one)"
    except (wandb.errors.AuthenticationError, wandb.errors.CommError, wandb.errors.UsageError) as error:
        return f"{server} does not take the key ({str(error).splitlines()[0][:100]})"
    finally:
        if before is None:
            os.environ.pop("WANDB_HTTP_TIMEOUT", None)
