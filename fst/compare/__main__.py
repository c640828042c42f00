"""Compare runs: python -m fst.compare runs/ output=compare.html"""

import os
import sys
from pathlib import Path

from fst.errors import UserError, near, one_line_errors
from fst.files import expanded

USAGE = """
python -m fst.compare FOLDER... [output=FILE.html]

FOLDER       a run's folder, a sweep's, or any folder with runs below it; also runs that are under way
output=      the page to write (compare.html): one file that needs no network; an earlier one is overwritten
"""


def main(words: list[str]) -> None:
    """Run the command line; a mistake in it, no run to compare, or an output that is no page is a UserError."""
    if not words or {"-h", "--help", "help"} & set(words):
        print(USAGE.strip())
        return
    folders, output = parsed(words)
    from fst.compare import page, reading

    page.check(output)
    paths = reading.find(folders)
    print(f"reading {len(paths)} run{'s'[: len(paths) > 1]}", flush=True)
    runs, left_out = [], []
    for path, name in zip(paths, names(paths), strict=True):
        try:
            runs.append(reading.read(path, name))
        except UserError as error:
            left_out.append(f"Left out: {error}.")
            print(left_out[-1], file=sys.stderr)
    if not runs:
        raise UserError("nothing to compare: no run there has metrics or previews")
    page.write(output, runs, left_out)
    print(f"{len(runs)} run{'s'[: len(runs) > 1]}, {output.stat().st_size / 1e6:.1f} MB: {output}")


def parsed(words: list[str]) -> tuple[list[Path], Path]:
    """(folders, output); a folder whose name holds "=" is a folder."""
    folders, output = [], Path("compare.html")
    for word in words:
        path = expanded(word)
        if path.exists():
            folders.append(path)
        elif word == "output=":
            raise UserError("output= needs a value; see --help")
        elif word.startswith("output="):
            output = expanded(word.removeprefix("output="))
        elif word.startswith("-"):
            raise UserError(f"there is no option '{word}': write folders and output=FILE.html; see --help")
        elif "=" in word and "/" not in (key := word.partition("=")[0]):
            raise UserError(f"there is no setting '{key}'{near(key, ['output'])}")
        else:
            raise UserError(f"{word} does not exist")
    if not folders:
        raise UserError("name a folder with runs, as python -m fst.compare runs/")
    return folders, output


def names(paths: list[Path]) -> list[str]:
    """Short names for run folders: their paths below the last folder they have in common."""
    top = os.path.commonpath([path.parent for path in paths])
    return [path.relative_to(top).as_posix() for path in paths]


if __name__ == "__main__":
    with one_line_errors():
        main(sys.argv[1:])
