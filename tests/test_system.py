"""The process: who handles its signals, and how often; what it prints."""

import io
import os
import signal
import sys

import pytest

from fst.errors import one_line_errors
from fst.system import handling, interrupt

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="a closed terminal")


@pytest.mark.parametrize(
    ("sent", "counted"),
    [
        (["HUP", "HUP", "INT", "TERM"], ["HUP", "INT"]),
        (["TERM", "HUP", "TERM", "INT", "INT"], ["TERM", "TERM", "INT", "INT"]),
    ],
)
def test_an_end_that_is_told_twice_is_handled_once(sent, counted):
    seen = []
    with handling(lambda number, frame: seen.append(signal.Signals(number).name.removeprefix("SIG"))):
        for name in sent:
            os.kill(os.getpid(), signal.Signals[f"SIG{name}"])
    assert seen == counted
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL


@pytest.mark.parametrize("name", ["SIGHUP", "SIGINT"])
def test_what_a_program_ignores_it_outlives(name):
    """A closed terminal under nohup, Ctrl-C in a script's background."""
    number = signal.Signals[name]
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with handling(interrupt):
            os.kill(os.getpid(), number)
    finally:
        signal.signal(number, before)


def test_what_standard_output_cannot_show_is_no_traceback(monkeypatch):
    screen = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", screen)
    with one_line_errors():
        print("渡.jpg", flush=True)
    assert screen.buffer.getvalue() == b"\\u6e21.jpg\n"


def test_any_signal_is_a_line_and_its_own_status(capsys):
    with pytest.raises(SystemExit) as ended, one_line_errors(), handling(interrupt):
        os.kill(os.getpid(), signal.SIGHUP)
    assert (ended.value.code, capsys.readouterr().err) == (128 + signal.SIGHUP, "interrupted\n")
