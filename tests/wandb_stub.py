"""As much of a W&B server as `wandb sweep` and `wandb agent` need: GraphQL on loopback, one sweep, runs in a row."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import yaml


class Server(ThreadingHTTPServer):
    """Keeps the sweep's config as uploaded, and hands out `runs` (parameter -> value), then the order to exit."""

    def __init__(self, runs: list[dict[str, Any]]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.runs = runs
        self.given = 0
        self.config: dict[str, Any] | None = None
        self.operations: list[str] = []
        self.states: list[dict[str, bool]] = []

    def answer(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        """The data of a GraphQL answer."""
        entity = {"id": "e", "name": "someone"}
        project = {"id": "p", "name": "fst", "entity": entity}
        name = self.operations[-1]
        if name == "UpsertSweep":
            self.config = yaml.safe_load(variables["config"])
            return {"upsertSweep": {"sweep": {"name": "abc123", "project": project}, "configValidationWarnings": []}}
        if name == "SweepWithRuns":
            sweep = {"id": "s", "name": "abc123", "state": "RUNNING", "config": yaml.safe_dump(self.config)}
            return {"project": {"sweep": {**sweep, "runs": {"edges": []}}}}
        if name == "CreateAgent":
            return {"createAgent": {"agent": {"id": "agent"}}}
        if name == "Heartbeat":
            self.states.append(json.loads(variables["runState"]))
            commands = [] if self.states[-1] else [self._next()]
            return {"agentHeartbeat": {"agent": {"id": "agent"}, "commands": json.dumps(commands)}}
        viewer = {**entity, "username": "someone", "email": "", "admin": False, "flags": "{}", "entity": "someone"}
        return {"viewer": {**viewer, "teams": {"edges": []}}, "serverInfo": {"latestLocalVersionInfo": None}}

    def _next(self) -> dict[str, Any]:
        if self.given == len(self.runs) or self.config is None:
            return {"type": "exit"}
        self.given += 1
        arguments = {key: {"value": value} for key, value in self.runs[self.given - 1].items()}
        return {"type": "run", "run_id": f"run{self.given}", "program": self.config["program"], "args": arguments}


class Handler(BaseHTTPRequestHandler):
    """One GraphQL request."""

    server: Server

    def do_POST(self) -> None:
        sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        found = re.search(r"(?:query|mutation)\s+(\w+)", sent["query"])
        self.server.operations.append(found[1] if found else "")
        content = json.dumps({"data": self.server.answer(sent["query"], sent.get("variables") or {})}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Nothing on the screen."""


@contextmanager
def serving(runs: list[dict[str, Any]]) -> Iterator[Server]:
    """A server on a free port, at `server.server_address`."""
    server = Server(runs)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
