"""What keeps a run whole: one process in its folder, signals, and checkpoints that are what was written."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from pytorch_lightning import Trainer
from training import run_here, tiny_arguments

from fst import stylefile
from fst.errors import UserError, one_line_errors
from fst.files import write_json
from fst.methods.checkpoints import CheckedFiles, Checkpoints
from fst.runfolder import (
    CHECKPOINT,
    FINISHED,
    METRICS,
    PREVIEWS,
    RUN,
    STYLE,
    check_checkpoint,
    held,
    read_metrics,
    read_rows,
    read_series,
    state,
)
from fst.system import handling
from fst.tracking.previews import Previews


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no such lock")
def test_a_run_folder_is_one_processs_until_it_is_killed(tmp_path: Path) -> None:
    told, tells = os.pipe()
    child = os.fork()
    if not child:
        with held(tmp_path / "run"):
            os.write(tells, b"held")
            signal.pause()
        os._exit(1)
    os.read(told, 4)
    with pytest.raises(UserError, match="another process trains in"), held(tmp_path / "run"):
        pass
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with held(tmp_path / "run"):
        pass


@pytest.mark.parametrize(
    "damage",
    [b"\xff,\x00", b"1e", b",,,,", b'"', b"9" * 200_000, b"3,nan,1", b"3,inf,1", b"-3,1,1"],
    ids=["bytes", "word", "empty", "quote", "long", "no time", "endless", "before the first"],
)
def test_a_damaged_row_is_left_out_and_no_error(tmp_path: Path, damage: bytes) -> None:
    good = b"step,seconds,train/loss\n1,0.5,3\n2,0.9,2\n"
    (tmp_path / METRICS).write_bytes(good + damage + b"\n")
    assert [row.step for row in read_rows(tmp_path)] == [1, 2]
    (tmp_path / METRICS).write_bytes(damage + good)
    assert read_rows(tmp_path) == []


def test_a_metric_is_the_last_finite_value_and_a_step_that_was_logged_twice_has_the_later(tmp_path: Path) -> None:
    rows = ["step,seconds,val/loss,train/loss", "2,1,5,", "1,1,,9", "2,2,4,nan", "3,3,inf,8"]
    (tmp_path / METRICS).write_text("\n".join([*rows, "4,4,0.5,"]))  # the last one is being written
    assert read_series(tmp_path) == {"val/loss": [(2, 4.0)], "train/loss": [(1, 9.0), (3, 8.0)]}
    assert read_metrics(tmp_path) == {"val/loss": 4.0, "train/loss": 8.0}


@pytest.mark.parametrize("process", [10**30, "x", None])
def test_a_run_whose_process_number_is_damaged_was_stopped(tmp_path: Path, process: object) -> None:
    write_json(tmp_path / RUN, {"state": "running", "host": socket.gethostname(), "process": process})
    assert state(tmp_path) == "stopped"


def test_a_run_on_another_machine_is_taken_at_its_word(tmp_path: Path) -> None:
    write_json(tmp_path / RUN, {"state": "running", "host": "elsewhere", "process": 2**22 + 1})
    assert state(tmp_path) == "running"
    write_json(tmp_path / RUN, {"state": "running", "host": socket.gethostname(), "process": 2**22 + 1})
    assert state(tmp_path) == "stopped"  # Linux numbers no process so


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_are_handled_within_and_as_before_after(number: signal.Signals) -> None:
    before, seen = signal.getsignal(number), []
    with pytest.raises(ZeroDivisionError), handling(lambda *given: seen.append(given[0])):
        signal.raise_signal(number)
        raise ZeroDivisionError
    assert seen == [number] and signal.getsignal(number) == before


@pytest.mark.skipif(os.name != "posix", reason="POSIX pipes")
def test_a_reader_that_goes_away_ends_a_program_without_a_word() -> None:
    code = "from fst.errors import one_line_errors\nwith one_line_errors(): print(input(), flush=True)"
    # Buffered, as a shell starts it: what is left in the buffer is written once more at the end.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen([sys.executable, "-c", code], env=environment, **pipes) as program:
        program.stdout.close()
        program.stdin.write(b"x\n")
        program.stdin.close()
        assert (program.stderr.read(), program.wait(60)) == (b"", 141)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_at_once_with_its_status(tmp_path: Path, number: signal.Signals) -> None:
    before, callback = signal.getsignal(number), Checkpoints(tmp_path, 1, None)
    callback.on_train_start(None, None)
    try:
        signal.raise_signal(number)
        assert callback.stopped == number
        with pytest.raises(SystemExit) as ended:
            signal.raise_signal(number)
        assert ended.value.code == 128 + number
    finally:
        callback.teardown(None, None, "fit")
    assert signal.getsignal(number) == before


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has none")
def test_a_run_under_nohup_outlives_its_terminal(tmp_path: Path) -> None:
    before, callback = signal.signal(signal.SIGHUP, signal.SIG_IGN), Checkpoints(tmp_path, 1, None)
    try:
        callback.on_train_start(None, None)
        signal.raise_signal(signal.SIGHUP)
        assert callback.stopped is None
        callback.teardown(None, None, "fit")
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_flipped_bit_of_a_checkpoint_and_another_programs_are_told(tmp_path: Path) -> None:
    good, other = tmp_path / "runs" / "last.ckpt", tmp_path / "other.ckpt"
    good.parent.mkdir()
    torch.save({"state_dict": {"weight": torch.ones(1000)}}, good)
    check_checkpoint(good)
    content = bytearray(good.read_bytes())
    content[content.index(torch.ones(4).numpy().tobytes()) + 2000] ^= 1
    other.write_bytes(content)
    assert not torch.equal(torch.load(other)["state_dict"]["weight"], torch.ones(1000)), "torch does not notice"
    with pytest.raises(UserError, match="its checksums do not fit"):
        CheckedFiles().load_checkpoint(other)
    with pytest.raises(UserError, match="is not the checkpoint of a run"):
        CheckedFiles().load_checkpoint(good)


def test_a_run_killed_at_its_very_end_goes_on_to_the_last_preview_and_is_finished(
    tmp_path: Path, tiny_vgg: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, arguments = tmp_path / "run", tiny_arguments(tmp_path, tiny_vgg, trainer__checkpoint_every_n_steps=2)
    with monkeypatch.context() as killed, pytest.raises(ZeroDivisionError):
        killed.setattr(Previews, "on_train_end", lambda *_: 1 / 0)
        run_here(run, arguments)
    for _ in range(2):  # the second time nothing is left to train
        run_here(run, [*arguments, f"resume={run}"])
        assert (run / PREVIEWS / "step-000006.png").is_file() and state(run) == FINISHED


def test_a_checkpoint_follows_all_else_that_is_written_of_its_step(
    tmp_path: Path, tiny_vgg: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that is killed once it is there goes on after that step: what came later would be lost."""
    run, found = tmp_path / "run", []

    def told(callback: Checkpoints, trainer: Trainer) -> None:
        if not callback._waits:
            return
        callback._waits = False
        names = {name for row in read_rows(run) if row.step == trainer.global_step for name in row.metrics}
        preview = (run / PREVIEWS / f"step-{trainer.global_step:06}.png").is_file()
        found.append((trainer.global_step, "train/loss" in names, "val/loss" in names, preview))

    monkeypatch.setattr(Checkpoints, "_place", told)
    intervals = {"checkpoint_every_n_steps": 2, "val_check_interval": 4, "log_every_n_steps": 1}
    run_here(
        run, tiny_arguments(tmp_path, tiny_vgg, **{f"trainer__{name}": steps for name, steps in intervals.items()})
    )
    assert found == [(2, True, False, True), (4, True, True, False), (6, True, True, True)]


def test_weights_that_are_not_finite_are_never_written(
    tmp_path: Path, tiny_vgg: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The optimiser's step may spoil them while the loss is still finite."""

    def spoil(callback: Checkpoints, trainer: object, module: torch.nn.Module, *_: object) -> None:
        if trainer.global_step == 4:
            with torch.no_grad():
                next(module.parameters())[0] = torch.inf
        batch_end(callback, trainer, module)

    batch_end = Checkpoints.on_train_batch_end
    monkeypatch.setattr(Checkpoints, "on_train_batch_end", spoil)
    arguments = tiny_arguments(tmp_path, tiny_vgg, trainer__checkpoint_every_n_steps=2, trainer__val_check_interval=6)
    with pytest.raises(UserError, match=r"after step 4 \S+ is not finite, so nothing was written"):
        run_here(tmp_path / "run", arguments)
    assert torch.load(tmp_path / "run" / CHECKPOINT)["global_step"] == 2
    network, info = stylefile.load(tmp_path / "run" / STYLE)
    assert info.training["steps"] == 2 and all(torch.isfinite(value).all() for value in network.state_dict().values())


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (OSError(28, "No space left on device", "runs/a.log"), 1, "error: runs/a.log: No space left on device\n"),
        (OSError("the pipe is gone"), 1, "error: the pipe is gone\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (UserError("style=goth: no such style"), 1, "error: style=goth: no such style\n"),
    ],
)
def test_errors_that_are_no_mistakes_of_the_codes_are_one_line(
    error: BaseException, status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended, one_line_errors():
        raise error
    assert (ended.value.code, capsys.readouterr().err) == (status, said)
