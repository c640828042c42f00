"""The one exception for a user's mistake, and the guard that turns it into one line and an exit status."""

import contextlib
import importlib.util
import os
import signal
import sys
from collections.abc import Iterator


class UserError(Exception):
    """Something the user can put right: the message says in one line what is wrong and how to fix it."""


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """End the program with `error: ...` and status 1 on a UserError or an OSError, on Ctrl-C with 130: no traceback."""
    if getattr(sys.stdout, "errors", None) == "strict" and hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # it may not know all that a file's name has
    try:
        yield
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt as stop:  # of Ctrl-C, or of another signal, whose number it has
        print("interrupted", file=sys.stderr)
        number = next((given for given in stop.args if isinstance(given, int)), signal.SIGINT)
        raise SystemExit(128 + number) from None
    except BrokenPipeError:
        # The reader of our output went away: Python would complain once more while it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(141) from None
    except OSError as error:  # of a library's own writing: the disk is full, a folder is gone or may not be written
        where = f"{error.filename}: " if error.filename else ""
        print(f"error: {where}{error.strerror or error}", file=sys.stderr)
        raise SystemExit(1) from None


def near(word: str, choices: list[str]) -> str:
    """`, did you mean 'gogh'?` when a choice is close to the word; else the choices, sorted; empty without choices."""
    import difflib

    lower = {choice.lower(): choice for choice in choices}
    close = [lower[match] for match in difflib.get_close_matches(word.lower(), lower, n=3, cutoff=0.6)]
    if close:
        return ", did you mean " + " or ".join(f"'{match}'" for match in close) + "?"
    return f"; choose from {', '.join(sorted(choices))}" if choices else ""


def require(package: str, wanted_by: str, *, otherwise: str = "") -> None:
    """Raise a UserError that says how to install an optional package, or what to choose instead, if it is missing."""
    if importlib.util.find_spec(package) is None:
        instead = f", or choose {otherwise}" if otherwise else ""
        raise UserError(f"{wanted_by} needs the package {package}: pip install {package}{instead}")
