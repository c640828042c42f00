"""The process: who handles its signals, and how often; what it prints."""

import io
import os
import signal
import sys

import pytest

from fst.errors import one_line_errors
from fst.system import handling, interrupt

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="a closed terminal")


def test_a_closed_terminal_is_handled_once_and_any_other_signal_each_time():
    seen = []
    with handling(lambda number, frame: seen.append(number)):
        for number in (signal.SIGHUP, signal.SIGHUP, signal.SIGTERM, signal.SIGTERM, signal.SIGINT):
            os.kill(os.getpid(), number)
    assert seen == [signal.SIGHUP, signal.SIGTERM, signal.SIGTERM, signal.SIGINT]
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL


def test_under_nohup_a_program_outlives_its_terminal():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with handling(interrupt):
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


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
