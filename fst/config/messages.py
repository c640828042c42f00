"""A mistake in the configuration, in one line and in a user's words: what is wrong, and the nearest right thing."""

import contextlib
import difflib
import re
from collections.abc import Callable, Iterator

from fst.config import launchers
from fst.config.schema import choices
from fst.errors import UserError, near

KINDS = {"Float": "a number", "Integer": "a whole number, in digits alone", "Bool": "true or false"}


@contextlib.contextmanager
def mistakes(known: Callable[[], list[str]]) -> Iterator[None]:
    """Turn what Hydra and OmegaConf raise at a mistake into a UserError of one line.

    `known` gives every setting there is; it is called only for a setting that there is not.
    """
    from hydra.errors import HydraException, MissingConfigException, OverrideParseException
    from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

    try:
        yield
    except MissingConfigException as error:
        raise UserError(_missing_choice(str(error.missing_cfg_file), list(error.options or []))) from None
    except OverrideParseException as error:
        hint = "brackets or quotes unbalanced? put text with special characters in quotes"
        raise UserError(f"cannot read '{error.override}' as key=value ({hint})") from None
    except (HydraException, OmegaConfBaseException) as error:
        chain = [error.__cause__, error.__context__, error]  # what OmegaConf raised has the key
        causes = [cause for cause in chain if isinstance(cause, OmegaConfBaseException)] or [error]
        cause = next((cause for cause in causes if getattr(cause, "full_key", None)), causes[0])
        key = str(getattr(cause, "full_key", None) or "")
        if isinstance(cause, ConfigKeyError | ConfigAttributeError):
            raise UserError(f"there is no setting '{key}'{near_keys(key, known())}") from None
        if key or "Interpolation" in type(cause).__name__:
            raise UserError(wrong_value(key or "a setting", str(cause))) from None
        raise UserError(" ".join(str(cause).split())) from None


def wrong_value(key: str, message: str) -> str:
    """One line on the value of a key that OmegaConf refused with that message."""
    first = message.strip().splitlines()[0]
    if found := re.match(r"Value '(.*)' of type '.*' could not be converted to (\w+)", first):
        return f"{key} is '{found[1]}', but it must be {KINDS.get(found[2], found[2])}"
    if found := re.match(r"Value '(.*)' is not a valid bool", first):
        return f"{key} is '{found[1]}', but it must be {KINDS['Bool']}"
    if "is not a ListConfig" in first:
        return f"{key} must be a list: write it in brackets, as {key}=[a,b]"
    if "is not Optional" in first or "Incompatible value 'None'" in first:
        return f"{key} cannot be empty: give it a value, or leave it out for the default"
    if "missing mandatory value" in first:
        group, _, setting = key.rpartition(".")
        where = (
            f", on the command line or as a line '{setting}: ...' of the chosen file in conf/{group}" if group else ""
        )
        return f"{key} needs a value{where}"
    if found := re.match(r"Interpolation key '(.*)' not found", first):
        return f"{key} refers to '{found[1]}', which is no setting"
    return f"{key}: {first}"


def near_keys(word: str, known: list[str]) -> str:
    """The settings that resemble a mistyped one, by whole path or by last part."""
    group, _, setting = word.partition(".")
    if having := [choice for choice, it in choices(group).items() if setting in it.arguments]:
        return f" with this choice of {group}, only with {group}={' or '.join(having)}"
    if begun := [key for key in known if key.startswith(f"{word}_")]:  # loss.style
        return near(begun[0], begun)
    last = word.rpartition(".")[2]
    same = [key for key in known if last in (own := key.rpartition(".")[2], _initials(own))]  # lr is learning_rate
    if same:
        return near(same[0], same)
    close = near(word, known)
    by_last = {key.rpartition(".")[2]: key for key in reversed(known)}
    found = difflib.get_close_matches(last, by_last, n=1, cutoff=0.7)
    if "." not in word and found:
        return near(by_last[found[0]], [by_last[found[0]]])
    return close if close.startswith(",") else "; `python train.py --cfg job` lists the settings"


def _initials(name: str) -> str:
    return "".join(part[0] for part in name.split("_") if part)


def _missing_choice(file: str, options: list[str]) -> str:
    group, _, choice = file.rpartition("/")
    if group.startswith("hydra/") and choice in launchers.CHOICES:
        return f"{group}={choice} is not installed: uv sync --extra sweep, or see README, Sweep"
    return f"no {group} is called '{choice}'{near(choice, [o for o in options if not o.endswith('_schema')])}"
