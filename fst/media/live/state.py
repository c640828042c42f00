"""How live frames are painted: one state, the words that change it, and one table of keys for window and page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

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
COLORS = ("style", "content")
STEPS = {"stronger": ("strength", 0.1), "weaker": ("strength", -0.1), "mix": ("mix", 0.1), "unmix": ("mix", -0.1)}
READ = {int: int, float: float, str: str, bool: {"true": True, "false": False}.__getitem__}


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
        key, given, value = word.partition("=")
        if given:
            self._set(key, value)
        elif word.isdecimal():
            self._set("style", str(int(word) - 1))
        elif word in ("next", "previous"):
            self._choose((self.style + (1 if word == "next" else -1)) % self.styles)
        elif word in STEPS:
            name, change = STEPS[word]
            setattr(self, name, round(min(1.0, max(0.0, getattr(self, name) + change)), 2))
        elif word == "colors":
            self.colors = COLORS[1 - COLORS.index(self.colors)]
        elif word in ("mirror", "side"):
            setattr(self, word, not getattr(self, word))
        else:
            raise ValueError(f"'{word[:40]}' is not understood")

    def _set(self, key: str, value: str) -> None:
        kind = type(vars(self).get(key))
        try:
            new = READ[kind](value)
        except (KeyError, ValueError):
            raise ValueError(f"'{key[:20]}={value[:20]}' is not understood") from None
        allowed = {int: range(self.styles), str: COLORS, bool: (True, False)}
        fits = 0 <= new <= 1 if kind is float else new in allowed[kind]
        if key == "styles" or not fits:
            raise ValueError(f"{key} cannot be {value[:20]}")
        if key == "style":
            self._choose(new)
        else:
            setattr(self, key, new)

    def _choose(self, style: int) -> None:
        if style != self.style:
            self.style, self.other, self.mix = style, self.style, 0.0

    def __str__(self) -> str:
        return f"strength {self.strength:.0%}, {'the source' if self.colors == 'content' else 'the style'}'s colours"
