"""The parts of tracking alone: when previews are due, online or offline, speed, the progress line, what a run was."""

import io
import json
import os
import socket
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest
import torch
import wandb
from omegaconf import OmegaConf
from pytorch_lightning import Callback, LightningModule, Trainer
from rich.console import Console
from torch.utils.data import DataLoader, IterableDataset

from fst.errors import UserError
from fst.tracking import measures, metadata, progress, wandb_mode
from fst.tracking.measures import images_in
from fst.tracking.previews import GAP, Preview, _names, is_due, sheet


def test_previews_are_dense_early_and_sparse_later():
    due = [step for step in range(4001) if is_due(step)]
    assert due == [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 3000, 4000]


def test_a_sheet_has_pairs_in_two_columns_from_four_on_and_white_between():
    def pairs(count: int) -> list[list[np.ndarray]]:
        return [[np.full((10, 20, 3), 10 * number + of, np.uint8) for of in (1, 2)] for number in range(count)]

    assert sheet(pairs(3)).shape == (3 * 10 + 2 * GAP, 2 * 20 + GAP, 3)
    found = sheet(pairs(5))
    assert found.shape == (3 * 10 + 2 * GAP, 4 * 20 + 3 * GAP, 3)
    row, column = 10 + GAP, 20 + GAP
    shown = [[found[5 + row * down, 5 + column * across, 0] for across in range(4)] for down in range(3)]
    assert shown == [[1, 2, 11, 12], [21, 22, 31, 32], [41, 42, 255, 255]]
    assert (found[10 : 10 + GAP] == 255).all() and (found[:, 20 : 20 + GAP] == 255).all()
    of_two_styles = [[*row, row[0]] for row in pairs(4)]
    assert sheet(of_two_styles).shape == (4 * 10 + 3 * GAP, 3 * 20 + 2 * GAP, 3)


def test_previews_of_one_name_are_told_apart():
    said = ["a b/c", "a_b_c", "...", "a b/c"]
    names = _names([Preview(name, torch.zeros(3, 1, 1), torch.zeros(3, 1, 1)) for name in said])
    assert names == ["a_b_c", "a_b_c-2", "photo", "a_b_c-3"]


def test_images_in_a_batch():
    assert images_in(torch.zeros(4, 3, 8, 8)) == 4
    assert images_in(torch.zeros(4)) == images_in(None) == 0


# Online or offline


class Stub(BaseHTTPRequestHandler):
    """A W&B server that knows one key, if it knows any."""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        body = json.dumps({"data": {"viewer": {"id": "1", "username": "u", "entity": "u", "flags": "{}"}}}).encode()
        self.send_response(200 if self.server.accepts else 401)
        self.end_headers()
        self.wfile.write(body if self.server.accepts else b"{}")

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch, tmp_path):
    stub = HTTPServer(("127.0.0.1", 0), Stub)
    stub.accepts = True
    threading.Thread(target=stub.serve_forever, daemon=True).start()
    for name in ("WANDB_MODE", "http_proxy", "HTTP_PROXY", "WANDB_API_KEY", "WANDB_HTTP_TIMEOUT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{stub.server_port}")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    wandb.teardown()
    yield stub
    stub.shutdown()
    wandb.teardown()


def test_a_key_that_the_server_takes_makes_it_online(server, monkeypatch):
    assert wandb_mode.decide("auto")[0] == "offline"
    assert "key" in wandb_mode.decide("auto")[1]
    assert "WANDB_HTTP_TIMEOUT" not in os.environ, "the short patience is of this question alone"
    with pytest.raises(UserError, match="no W&B key"):
        wandb_mode.decide("online")
    monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
    wandb.teardown()
    assert wandb_mode.decide("auto") == wandb_mode.decide("online") == ("online", "")
    assert wandb_mode.decide("offline") == ("offline", "")
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert wandb_mode.decide("auto") == ("disabled", "")
    monkeypatch.setenv("WANDB_MODE", "dryrun")  # as W&B called it before
    assert wandb_mode.decide("auto")[0] == "offline"


def test_a_key_that_the_server_refuses_is_offline(server, monkeypatch):
    server.accepts = False
    monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
    wandb.teardown()
    mode, why = wandb_mode.decide("auto")
    assert mode == "offline"
    assert "does not take the key" in why


def test_a_silent_network_is_not_waited_for(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    answer, given_up = threading.Event(), threading.Event()

    def silence(*_, **__):
        answer.wait(60)  # as the search for a name, which no timeout ends
        given_up.set()
        raise OSError

    monkeypatch.setattr(socket, "create_connection", silence)
    assert not wandb_mode.reachable("http://example.test", seconds=0.1)
    assert not given_up.is_set()
    answer.set()


def test_a_proxy_is_asked_instead_of_the_server(monkeypatch, server):
    monkeypatch.setenv("http_proxy", f"127.0.0.1:{server.server_port}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert wandb_mode.reachable("http://example.test:81")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert not wandb_mode.reachable("http://127.0.0.1:9")


# Speed, by a clock that only moves when told to: a busy machine changes nothing


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 100.0

        def spend(self, seconds):
            self.now += seconds

    clock = Clock()
    monkeypatch.setattr(measures, "perf_counter", lambda: clock.now)
    monkeypatch.setattr(progress, "perf_counter", lambda: clock.now)
    return clock


class SlowPhotos(IterableDataset):
    """A photo takes 10 ms."""

    def __init__(self, clock):
        self.clock = clock

    def __iter__(self):
        while True:
            self.clock.spend(0.01)
            yield torch.zeros(3, 4, 4)


class SlowModule(LightningModule):
    """A step takes 30 ms, but the first and one later 5 s; a validation takes 300 ms."""

    def __init__(self, clock):
        super().__init__()
        self.clock = clock
        self.weight = torch.nn.Parameter(torch.ones(1))

    def training_step(self, batch, index):
        self.clock.spend(5 if self.global_step in (0, 9) else 0.03)
        loss = (self.weight**2).sum()
        self.log_dict({"train/loss": loss, "train/content_loss": loss / 4, "train/style_loss": 3 * loss / 4})
        return loss

    def validation_step(self, batch, index):
        self.clock.spend(0.3)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


class Slow(Callback):
    """50 ms beside every step."""

    def __init__(self, clock):
        self.clock = clock

    def on_train_batch_end(self, *_):
        self.clock.spend(0.05)


def fit(module, callbacks, loader, *, steps, checkpoint=None, every=4):
    trainer = Trainer(
        logger=False,
        callbacks=callbacks,
        max_steps=steps,
        log_every_n_steps=every,
        val_check_interval=4,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        limit_val_batches=1,
        accelerator="cpu",
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
    )
    trainer.fit(module, loader, DataLoader([torch.zeros(3, 4, 4)]), ckpt_path=checkpoint)
    return trainer


def test_throughput_leaves_out_validation_callbacks_and_slow_windows(clock):
    loader = DataLoader(SlowPhotos(clock), batch_size=2)
    trainer = fit(SlowModule(clock), [measures.Throughput(), Slow(clock)], loader, steps=20)
    metrics = {key: float(value) for key, value in trainer.callback_metrics.items()}
    assert metrics["train/step_seconds"] == pytest.approx(0.02 + 0.03)
    assert metrics["train/images_per_second"] == pytest.approx(2 / 0.05)
    steps = 20 - 1  # the first one is not counted
    assert metrics["train/data_wait"] == pytest.approx(steps * 0.02 / (steps * 0.02 + (steps - 1) * 0.03 + 5))


def test_iterations_without_images_have_step_seconds_alone(clock):
    trainer = fit(SlowModule(clock), [measures.Throughput()], DataLoader(torch.zeros(50, 1)), steps=8)
    assert "train/images_per_second" not in trainer.callback_metrics
    assert float(trainer.callback_metrics["train/step_seconds"]) == pytest.approx(0.03)


# The progress line


def test_plain_progress_lines(clock):
    out = io.StringIO()
    line = progress.ProgressLine(Console(file=out), plain_seconds=4.95)
    loader = DataLoader(SlowPhotos(clock), batch_size=2)
    fit(SlowModule(clock), [measures.Throughput(), Slow(clock), line], loader, steps=100)

    def seconds(step):  # from the end of step 1: 0.1 s a step, a validation every four, the slow step
        return (step - 1) * 0.1 + (step - 1) // 4 * 0.3 + (4.97 if step >= 10 else 0)

    lines = out.getvalue().splitlines()
    assert lines[0] == "step 1/100  loss 1  content 0.25  style 0.75"
    due = [1]
    for step in range(2, 101):
        if seconds(step) - seconds(due[-1]) >= 4.95:
            due.append(step)
    assert [line.split("  ")[0] for line in lines] == [f"step {step}/100" for step in [*due, 100]]
    done = due[2]
    _, speed, left, loss, *_ = lines[2].split("  ")
    assert speed == "40 images/s"
    hours, minutes, rest = map(int, left.removesuffix(" left").split(":"))
    assert hours * 3600 + minutes * 60 + rest == pytest.approx(seconds(done) / (done - 1) * (100 - done), abs=1)
    assert float(loss.split()[1]) == pytest.approx(0.98 ** (2 * (done - 1)), rel=1e-2)
    assert lines[-1].startswith("step 100/100  40 images/s  loss ")


def test_live_bar_starts_where_a_resumed_run_is_and_ends_full(clock, tmp_path):
    loader = DataLoader(torch.zeros(50, 1))
    trainer = fit(SlowModule(clock), [], loader, steps=8)
    trainer.save_checkpoint(tmp_path / "at8.ckpt")
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, force_interactive=True, width=100, color_system=None)
    fit(SlowModule(clock), [progress.ProgressLine(console)], loader, steps=12, checkpoint=tmp_path / "at8.ckpt")
    shown = out.getvalue()
    assert "8/12 first step" in shown
    assert " 7/12" not in shown
    assert "12/12 " in shown.splitlines()[-2]


def test_an_exception_gives_the_terminal_back(clock):
    class Fails(SlowModule):
        def training_step(self, batch, index):
            raise UserError("no")

    out = io.StringIO()
    console = Console(file=out, force_terminal=True, force_interactive=True, width=100)
    with pytest.raises(UserError):
        fit(Fails(clock), [progress.ProgressLine(console)], DataLoader(torch.zeros(50, 1)), steps=12)
    assert "\x1b[?25h" in out.getvalue()  # the cursor is shown again


# What a run was


def test_write_run_takes_texts_literally_and_remembers_earlier_starts(tmp_path):
    config = {"a": 2, "notes": "it costs ${a}, or \\${a}", "names": ["${b}"]}
    metadata.write_run(tmp_path, config)
    assert OmegaConf.to_container(OmegaConf.load(tmp_path / "config.yaml"), resolve=True) == config
    first = json.loads((tmp_path / "run.json").read_text())
    metadata.write_run(tmp_path, {"a": 3})
    second = json.loads((tmp_path / "run.json").read_text())
    assert OmegaConf.load(tmp_path / "config.yaml") == {"a": 3}
    assert first["earlier"] == []
    assert second["earlier"] == [{key: value for key, value in first.items() if key != "earlier"}]
    metadata.write_run(tmp_path, {"a": 4})
    third = json.loads((tmp_path / "run.json").read_text())
    assert [run["started"] for run in third["earlier"]] == [second["started"], first["started"]]
    assert first["packages"]["torch"] == torch.__version__.partition("+")[0]


def test_git_state_of_a_checkout_and_of_a_package_inside_another(tmp_path, monkeypatch):
    def git(*arguments):
        identity = ("-c", "user.name=n", "-c", "user.email=e@example.org")
        return subprocess.run(
            ["git", "-C", tmp_path, *identity, *arguments], check=True, capture_output=True, text=True
        ).stdout.strip()

    monkeypatch.setattr(metadata, "CHECKOUT", tmp_path.resolve())
    assert metadata.git_state() is None
    git("init", "-b", "trunk")
    (tmp_path / "file").write_text("one\n")
    git("add", "file")
    git("commit", "-m", "first")
    assert metadata.git_state() == {"commit": git("rev-parse", "HEAD"), "branch": "trunk", "dirty": False}
    (tmp_path / "new").touch()
    assert not metadata.git_state()["dirty"], "a file that git does not know is no change"
    (tmp_path / "file").write_text("two\n")
    assert metadata.git_state()["dirty"]
    metadata.write_run(tmp_path / "run", {})
    assert "+two\n" in (tmp_path / "run" / "changes.patch").read_text()
    git("checkout", "file")
    assert not metadata.git_state()["dirty"], "a run's folder beside fst is no change"
    new = tmp_path / "fst" / "a network é.py"
    new.parent.mkdir()
    new.write_text("new\n")
    metadata.write_run(tmp_path / "run", {})
    new.unlink()
    git("apply", tmp_path / "run" / "changes.patch")
    assert new.read_text() == "new\n" and metadata.git_state()["dirty"]
    new.write_bytes(b"caf\xe9\r\n")  # another system's ends of lines, and no UTF-8
    git("add", new)
    git("commit", "-m", "second")
    new.write_bytes(b"caf\xe9\r\nth\xe9\r\n")
    metadata.write_run(tmp_path / "run", {})
    git("checkout", new)
    git("apply", tmp_path / "run" / "changes.patch")
    assert new.read_bytes() == b"caf\xe9\r\nth\xe9\r\n"
    inside = tmp_path / "venv"
    inside.mkdir()
    monkeypatch.setattr(metadata, "CHECKOUT", inside.resolve())
    assert metadata.git_state() is None
