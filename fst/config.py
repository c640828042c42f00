"""From command line to checked config: Hydra composes, schemas type it, mistakes end in one line with the near keys."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fst import schema
from fst.errors import UserError, near
from fst.schema_infer import InferConfig

ROOT = Path(__file__).resolve().parent.parent
CONF = ROOT / "conf"
EXPERIMENTS = ROOT / "experiments"

# Values of these keys are file names, taken as the shell passes them: no user has to know Hydra's override grammar.
FILE_KEYS = frozenset(
    (
        "content",
        "data.root",
        "loss.weights",
        "method.init",
        "output",
        "resume",
        "source",
        "style.image",
        "webcam.device",
    )
)
FILE_KEYS_OF_INFER = FILE_KEYS | {"style"}


def compose(name: str, arguments: list[str]) -> DictConfig:
    """The config of a program ("train" or "infer") after the command line's `key=value` arguments, typed.

    Raises:
        UserError: an unknown key or choice, or a value of the wrong type: one line with the near ones.
    """
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir

    register()
    overrides = quoted(arguments, FILE_KEYS_OF_INFER if name == "infer" else FILE_KEYS)
    with mistakes(name), initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        return hydra_compose(config_name=name, overrides=overrides)


def run_hydra(task: Callable[[DictConfig], Any], name: str, arguments: list[str]) -> None:
    """Hand the command line to Hydra: one job, or many with `-m`. `task` receives each job's composed config.

    Raises:
        UserError: as `compose`, and whatever the task raises.
    """
    import hydra

    register()
    sys.argv = [sys.argv[0], *quoted(arguments, FILE_KEYS)]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors come to us as exceptions instead of being printed by Hydra
    with mistakes(name):
        hydra.main(version_base="1.3", config_path=str(CONF), config_name=name)(task)()


def register() -> None:
    """Put the schemas, and the experiments' configs, where Hydra finds them."""
    store = ConfigStore.instance()
    store.store(name="train_schema", node=schema.TrainConfig)
    store.store(name="infer_schema", node=InferConfig)
    for group, nodes in schema.GROUP_SCHEMAS.items():
        for name, node in nodes.items():
            store.store(group=group, name=f"{name}_schema", node=node)
    for file in sorted(EXPERIMENTS.glob("*/config.yaml")):
        store.store(group="experiments", name=file.parent.name, node=OmegaConf.load(file), package="_global_")


def quoted(arguments: list[str], keys: frozenset[str]) -> list[str]:
    """Quote the values of file-name keys for Hydra's grammar, so that each arrives as the shell passed it.

    In a multirun a value with a comma is a list of files to sweep over, unless a file of that very name exists.

    Raises:
        UserError: an argument that begins with +.
    """
    for argument in arguments:
        if argument.startswith("+") and not argument.startswith("+hydra"):
            raise UserError(f"'{argument}': every setting exists already, write it without the +")
    multirun = bool({"-m", "--multirun"} & set(arguments))
    return [_quoted(argument, keys, multirun) for argument in arguments]


def _quoted(argument: str, keys: frozenset[str], multirun: bool) -> str:
    key, equals, value = argument.partition("=")
    if not equals or key.lstrip("+") not in keys or value in ("", "null", "???"):
        return argument
    if multirun and "," in value and not Path(value).exists():
        return argument
    # OmegaConf would read ${...} as an interpolation; Hydra unescapes quotes, and backslashes before them.
    literal = re.sub(r"(\\*)\$\{", lambda m: m[1] * 2 + r"\${", value)
    escaped = re.sub(r"(\\*)('|$)", lambda m: m[1] * 2 + ("\\'" if m[2] else ""), literal)
    return f"{key}='{escaped}'"


@contextlib.contextmanager
def mistakes(name: str) -> Iterator[None]:
    """Turn what Hydra and OmegaConf say of a mistake into one line, with the near keys or choices."""
    try:
        yield
    except MissingConfigException as error:
        raise UserError(_missing_choice(error)) from None
    except OverrideParseException as error:
        raise UserError(f"cannot read '{error.override}' (brackets or quotes unbalanced?); write key=value") from None
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(_one_line(error, name)) from None


def _missing_choice(error: MissingConfigException) -> str:
    group, _, choice = str(error.missing_cfg_file).rpartition("/")
    options = [option for option in error.options or [] if not option.endswith("_schema")]
    return f"no {group} is called '{choice}'{near(choice, options)}" if group else str(error).splitlines()[0]


def _one_line(error: Exception, name: str) -> str:
    text = str(error)
    unknown = re.search(r"Could not override '([^']+)'|Key '([^']+)' is not in struct|Key '([^']+)' not in '", text)
    cause = error.__cause__
    wrong_type = cause is not None and "Value" in str(cause)
    if unknown and not wrong_type:
        key = re.search(r"override ([\w.@/+]+)=|Could not override '([^']+)'", text)
        word = next(filter(None, key.groups())) if key else next(filter(None, unknown.groups()))
        word = word.lstrip("+~")
        return f"there is no setting '{word}'{near_keys(word, name)}"
    if cause is not None:
        full_key = re.search(r"full_key: (\S+)", str(cause))
        where = f"{full_key[1]}: " if full_key else ""
        return where + str(cause).splitlines()[0]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " ".join(line for line in lines if not line.startswith("See https"))


def near_keys(word: str, name: str) -> str:
    """The settings that resemble a mistyped one, by whole path or by last part."""
    known = keys(compose(name, []))
    close = near(word, known)
    if close.startswith(","):
        return close
    last = word.rpartition(".")[2]
    same = [key for key in known if key.rpartition(".")[2] == last]
    return near(same[0], same) if same else f"; `python {name}.py --help` lists the settings"


def keys(config: DictConfig, prefix: str = "") -> list[str]:
    """Every key of a config as a dotted path, groups included."""
    found = []
    for key in config:
        found.append(f"{prefix}{key}")
        if OmegaConf.is_dict(node := config._get_node(key)) and not node._is_none() and not node._is_missing():
            found += keys(node, f"{prefix}{key}.")
    return found
