"""How live frames are painted: one state, the words that change it, and one table of keys for window and page."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fst.stylize.framing import COLORS

if TYPE_CHECKING:
    from fst.config.infer import InferConfig

# By their names in a browser. A digit is a word itself: the number of a style.
KEYS = {"ArrowRight": "next", "ArrowDown": "next", "ArrowLeft": "previous", "ArrowUp": "previous"}
KEYS |= {"+": "stronger", "=": "stronger", "-": "weaker", "_": "weaker", "c": "colors", "b": "side", "m": "mirror"}
KEYS |= {"[": "unmix", "]": "mix", "p": "photograph"}
KEYS |= {"s": "save", "r": "record", "h": "help", "?": "help", "q": "quit", "Escape": "quit"}
HELP = """1-9, arrows   style
[ ]   mix styles;
      or drag below
p   take a painting
+ -   strength
c   colours
b   side by side
m   mirror
s   save a picture
r   record
h   help
q   quit"""
# Words that go on to the next of what there is to choose, and words that move a share from 0 to 1.
TURNS = {"next": ("style", 1), "previous": ("style", -1)}
TURNS |= {"colors": ("colors", 1), "mirror": ("mirror", 1), "side": ("side", 1)}
SHARES = ("mix", "strength")
STEPS = {"stronger": ("strength", 0.1), "weaker": ("strength", -0.1), "mix": ("mix", 0.1), "unmix": ("mix", -0.1)}


@dataclass
class LiveState:
    """What one viewer, at the window or in a browser, has chosen."""

    styles: int  # how many there are
    style: int = 0  # the chosen one's index; it may still be loading
    other: int = 0  # the index of the one to mix it with; the one chosen before
    mix: float = 0.0  # the share of the other, 0 to 1
    strength: float = 1.0  # 0 (the source) to 1 (the painting)
    colors: str = "style"  # or "content" for the source's own
    mirror: bool = True  # whether frames are mirrored, as a mirror shows them
    side: bool = False  # whether the source is shown at the left of the painting

    @classmethod
    def of(cls, config: InferConfig, styles: int) -> LiveState:
        """The state that a session starts with."""
        how = {"strength": config.strength, "colors": config.colors, "mirror": config.webcam.mirror}
        return cls(styles, other=min(1, styles - 1), **how)

    def apply(self, word: str) -> None:
        """Change the state by a word; a ValueError where there is no such word, style or value.

        One of "next", "previous" or a number (the first style is 1); "stronger", "weaker"; "mix", "unmix"; "colors",
        "mirror" and "side", which change to and fro; KEY=VALUE with an attribute and what it becomes.
        """
        key, _, text = ("style", "", str(int(word) - 1)) if word.isdecimal() else word.partition("=")
        if word in TURNS:
            key, step = TURNS[word]
            choices = self._choices()[key]
            new = choices[(choices.index(getattr(self, key)) + step) % len(choices)]
        elif word in STEPS:
            key, step = STEPS[word]
            new = round(min(1.0, max(0.0, getattr(self, key) + step)), 2)
        else:
            new = self._read(key, text)
        if new is None:
            if text and key in (*self._choices(), *SHARES):
                raise ValueError(f"{key} cannot be {word.rpartition('=')[2][:20]}")
            raise ValueError(f"'{word[:40]}' is not understood")
        if key == "style" and new != self.style:
            self.other, self.mix = self.style, 0.0
        setattr(self, key, new)

    def _choices(self) -> dict[str, Sequence[int | str | bool]]:
        styles, switch = range(self.styles), (False, True)
        return {"style": styles, "other": styles, "colors": COLORS, "mirror": switch, "side": switch}

    def _read(self, key: str, text: str) -> float | int | str | bool | None:
        """The value that a text names, as "0.5", "2", "content" or "true"; None: no such thing can be chosen."""
        if key not in SHARES:
            return {str(choice).lower(): choice for choice in self._choices().get(key, ())}.get(text)
        with contextlib.suppress(ValueError):
            return share if 0 <= (share := float(text)) <= 1 else None
        return None

    def __str__(self) -> str:
        return f"strength {self.strength:.0%}, {'the source' if self.colors == 'content' else 'the style'}'s colours"
