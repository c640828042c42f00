"""What the shell passed to train.py, made ready for Hydra: options first, file names and texts taken literally.

Hydra answers a wrong option with a page of usage, and a file name with a bracket with a grammar error; here each
mistake that can be told from the words alone becomes one line.
"""

import argparse
import os
import re

from omegaconf import OmegaConf

from fst.config import groups
from fst.config.several import together
from fst.errors import UserError, near
from fst.values import literal

# Values of these keys are taken as the shell passes them: no user has to know Hydra's override grammar.
FILE_KEYS = {"content", "data.root", "loss.weights", "method.content_mask", "method.init", "method.init_from"}
FILE_KEYS |= {"rerun", "resume", "style.image", "style.paintings"}
LISTS_OF_FILES = {"logger.preview_images", "method.style_masks", "method.styles", "style.names"}
TEXT_KEYS = {"logger.group", "logger.notes", "logger.run_name", "style.artist", "style.licence", "style.title"}
CHOSEN = ("data", "logger", "method", "network")  # `name` in these is set by the choice, never by hand
NO_WORD = r"(?i)null|true|false|-?(nan|inf|[\d_]+(e-?\d+)?)"  # what Hydra's grammar takes for another thing


def arranged(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """(options, overrides ready for Hydra's grammar) of a command line that may mix them; a mistake is a UserError."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("-m", "--multirun", action="store_true")
    parser.add_argument("--cfg", choices=("job", "hydra", "all"))  # show the config instead of running
    try:
        given, unknown = parser.parse_known_intermixed_args(arguments)
    except argparse.ArgumentError as error:
        raise UserError(str(error)) from None
    if unknown:
        if "=" in unknown[0]:
            raise UserError(f"'{unknown[0]}': a setting has no dashes before it, write {unknown[0].lstrip('-')}")
        raise UserError(f"there is no option '{unknown[0]}'{near(unknown[0], ['--multirun', '--cfg'])}")
    return given, [ready(word, multirun=given.multirun) for override in given.overrides for word in several(override)]


def several(argument: str) -> list[str]:
    """An argument as it is, or `style=[a,b]` as Hydra takes it: style=custom with their names."""
    key, _, value = argument.partition("=")
    if key != "style" or not value.startswith("["):
        return [argument]
    names = [name.strip().strip("'\"") for name in value.removeprefix("[").removesuffix("]").split(",")]
    if not all(names) or not value.endswith("]") or "],[" in value:
        raise UserError(f"'{argument}': several styles of one network are one list, as style=[gogh,hokusai]")
    return ["style=custom", f"style.name={quoted(together(names))}", f"style.names=[{','.join(names)}]"]


def ready(argument: str, *, multirun: bool = False) -> str:
    """One `key=value` for Hydra's grammar: the value of a file or text key quoted, so that it arrives as it is.

    In a multirun a file key's value with commas is a list to sweep over, unless a file of that very name exists.
    What is no key=value, would add or remove a setting, or is no choice where a group needs one is a UserError.
    """
    key, equals, value = argument.partition("=")
    if argument.startswith("~"):
        raise UserError(f"'{argument}': settings cannot be removed, only given another value, as key=value")
    if argument.startswith("+") and not argument.lstrip("+").startswith("hydra"):
        raise UserError(f"'{argument}': every setting exists already, write it without the +")
    if not equals or not key.strip():
        raise UserError(f"'{argument}' is no setting: write {_meant(argument)}")
    if "@" in key:
        raise UserError(f"there is no setting '{key}': a key has letters, digits and points, as loss.style_weight")
    group, _, last = key.partition(".")
    if last == "name" and group in CHOSEN:
        raise UserError(f"'{argument}': write {group}={value} to choose")
    if key in groups.groups():
        _check_choice(key, value, multirun)
    if value in ("", "null", "???"):
        return argument
    if key in TEXT_KEYS:
        quoted_already = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
        return argument if quoted_already else f"{key}={quoted(value)}"
    if key in LISTS_OF_FILES:
        return f"{key}={_quote_list(value)}"
    if key in FILE_KEYS:
        return f"{key}={_quote_files(value, multirun)}"
    return argument


def _meant(word: str) -> str:
    for group in groups.groups():
        if word in groups.choices(group):
            return f"{group}={word}"
    return f"{word}=VALUE" if re.fullmatch(r"[\w.]+\.\w+", word) else "key=value, as style=gogh; see --help"


def _check_choice(group: str, value: str, multirun: bool) -> None:
    if re.fullmatch(r"(glob|choice|shuffle|sort)\(.*\)", value):
        return
    for choice in value.split(",") if multirun else [value]:
        if re.fullmatch(NO_WORD, choice) or not re.fullmatch(r"[\w,-]+", choice.strip().strip("'\"")):
            if group == "style" and os.path.isfile(os.path.expanduser(choice)):  # noqa: PTH111, PTH113  (for ~nobody)
                raise UserError(f"style={choice} is a file: write style=custom style.image={choice}")
            raise UserError(f"{group}={choice} is no choice{near(choice, groups.choices(group))}")
        if group == "experiment" and choice not in groups.choices(group):  # Hydra knows no group without a file
            raise UserError(f"no experiment is called '{choice}'{near(choice, groups.choices(group))}")


def _quote_files(value: str, multirun: bool) -> str:
    if multirun and "," in value and not _exists(value):
        # With quotes in it, it is in Hydra's grammar already.
        parts = (part if part == "null" else quoted(part) for part in value.split(","))
        return value if re.search("['\"]", value) else ",".join(parts)
    return quoted(value)


def _quote_list(value: str) -> str:
    """[a.jpg,b.jpg] with each quoted; one file alone is a list of one."""
    if not (value.startswith("[") and value.endswith("]")) or _exists(value):
        return f"[{quoted(value)}]"
    if re.search("['\"]", value) or "],[" in value:  # in Hydra's grammar already
        return value
    return "[" + ",".join(quoted(part.strip()) for part in value[1:-1].split(",") if part.strip()) + "]"


def _exists(value: str) -> bool:
    return os.path.exists(os.path.expanduser(value))  # noqa: PTH110, PTH111  Path's raise for long texts and ~nobody


def quoted(value: str) -> str:
    """A text in Hydra's grammar, so that it arrives as it is."""
    # Hydra unescapes quotes, and backslashes before them.
    escaped = re.sub(r"(\\*)('|$)", lambda m: m[1] * 2 + ("\\'" if m[2] else ""), literal(value))
    return f"'{escaped}'"


def unquoted(word: str) -> str:
    """The text that a word in Hydra's grammar stands for where it is in quotes; other words as they are."""
    if word[:1] not in ("'", '"'):
        return word
    from hydra.core.override_parser.overrides_parser import OverridesParser

    value = OverridesParser.create().parse_override(f"key={word}").value()
    return OmegaConf.create({"value": value}).value
