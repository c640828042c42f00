"""Checks of settings' values, each with an error of one sentence, and the registry of classes by name."""

import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fst.errors import UserError, near

LARGEST = 1e30  # fp32 ends at 3e38, and what is computed from a setting has to fit, too


def at_least(key: str, value: float, least: float, meaning: str = "") -> None:
    """Raise UserError, ending in what the setting means, unless least <= value <= LARGEST."""
    if not least <= value <= LARGEST:
        raise UserError(f"{key} is {value:g}, but it must be {_finite_or(value, f'at least {least:g}')}{meaning}")


def above_zero(key: str, value: float) -> None:
    """Raise UserError unless 0 < value and value is not beyond what fp32 computes with."""
    if not 0 < value <= LARGEST:
        raise UserError(f"{key} is {value:g}, but it must be {_finite_or(value, 'above 0')}")


def between(key: str, value: float, least: float, most: float, meaning: str = "") -> None:
    """Raise UserError, ending in what the setting means, unless least <= value <= most."""
    if not least <= value <= most:
        raise UserError(f"{key} is {value:g}, but it must lie between {least:g} and {most:g}{meaning}")


def one_of(key: str, value: str, known: Iterable[str]) -> None:
    """Raise UserError, with the near ones, unless the value is known."""
    if value not in (choices := list(known)):
        raise UserError(f"{key} is '{value}'{near(value, choices)}")


def is_file(key: str, name: str | None) -> None:
    """Raise UserError unless there is a file of that name, which may begin with ~; None is fine."""
    if name is not None and not os.path.isfile(os.path.expanduser(name)):  # noqa: PTH111, PTH113  Path's raise for ~nobody
        folder = os.path.isdir(os.path.expanduser(name))  # noqa: PTH111, PTH112
        raise UserError(f"{key}: {name} is a folder, not a file" if folder else f"{key}: there is no file {name}")


def leaves(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted key and value of every setting in a nested dict, as ("loss.style_weight", 1e5)."""
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def literal(value: Any) -> Any:
    """A value, with those in its dicts and lists, as OmegaConf reads it back: ${...} is text, no interpolation."""
    if isinstance(value, Mapping):
        return {key: literal(of) for key, of in value.items()}
    if isinstance(value, (list, tuple)):
        return [literal(of) for of in value]
    return re.sub(r"(\\*)\$\{", lambda m: m[1] * 2 + r"\${", value) if isinstance(value, str) else value


def _finite_or(value: float, bound: str) -> str:
    return "finite" if value == math.inf else f"at most {LARGEST:g}" if value > LARGEST else bound


class Registry(dict[str, type]):
    """Classes by their names in snake case: JohnsonPaper is johnson_paper."""

    def register(self, cls: type) -> type:
        """Put a class in; a decorator."""
        self[snake_case(cls.__name__)] = cls
        return cls


def snake_case(name: str) -> str:
    """A class's name as a setting's: JohnsonPaper is johnson_paper."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
