"""`--help`: every choice of every group on a screen that a newcomer can read."""

import textwrap
from pathlib import Path

from fst.config import groups, schema

WIDTH = 110
LONG = {  # groups with too many choices for a line each, and where more is said of them
    "style": "(paintings, each described in conf/style/NAME.yaml; custom: one of your own, style.image=FILE)",
    "experiment": "(studies, each with its question and answer in experiments/NAME/README.md)",
}


USAGE = """Train a style.

  python train.py style=gogh loss.style_weight=1e5          one run, tracked in W&B
  python train.py -m style=gogh,hokusai loss.style_weight=1e4,1e5      a sweep, summed up in a table
  python train.py style=custom style.image=FILE method=adapt           a painting of your own, in a minute
  python train.py style=[gogh,hokusai,FILE] network=realtime_many      several styles in one network
  python train.py method=gatys style=gogh content=PHOTO     no network: this one photo, by optimisation
  python train.py resume=last         go on where the last run stopped; rerun=RUN_FOLDER: the same once more
"""
SETTINGS = """
Settings worth knowing (all: python train.py --cfg job):
  style.size=512          long edge of the painting in pixels; a larger value gives larger strokes
  loss.style_weight=1e5   1e4 keeps more of the photo, 1e6 shows more of the paint
  trainer.max_steps=6000 trainer.precision=auto seed=0 content=PHOTO (painted when the run ends)"""


def training() -> str:
    """The help screen of train.py: usage, each group's choices with a line on each, the settings worth knowing."""
    parts = [USAGE]
    for group in ("style", "method", "network", "loss", "data", "trainer", "logger", "experiment"):
        parts.append(f"{group}=")
        if group in LONG:
            parts += textwrap.wrap(", ".join(choices(group)), WIDTH, initial_indent="  ", subsequent_indent="  ")
            parts.append(f"  {LONG[group]}")
            continue
        for name, text in choices(group).items():
            parts += textwrap.wrap(f"{name:<16} {text}", WIDTH, initial_indent="  ", subsequent_indent=" " * 19)
    return "\n".join([*parts, SETTINGS])


def choices(group: str) -> dict[str, str]:
    """The choices of a config group, each with its docstring's first line, or the comment on its file's."""
    registered = {name: signature.help for name, signature in schema.choices(group).items()}
    files = {name: _first_comment(file) for name, file in groups.files(group).items()}
    return dict(sorted((registered | files).items()))


def _first_comment(file: Path) -> str:
    with file.open(encoding="utf-8") as lines:
        first = next((line for line in lines if not line.startswith("# @package")), "")
    return first[1:].strip() if first.startswith("#") else ""
