"""From overrides to a typed config: Hydra composes conf/, the schemas of `fst.config.schema` type it."""

import contextlib
import functools

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf

from fst.config import commandline, groups, launchers, messages, schema
from fst.errors import UserError
from fst.values import leaves

PRIMARY = "train"  # conf/train.yaml


def compose(arguments: list[str]) -> DictConfig:
    """The config of train.py after the command line's `key=value` arguments, typed; a mistake is a UserError."""
    return composed(commandline.arranged(arguments)[1])


def composed(overrides: list[str], *, with_hydra: bool = False) -> DictConfig:
    """As `compose`, after overrides in Hydra's grammar; with `with_hydra`, Hydra's own part is kept."""
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.override_parser.overrides_parser import OverridesParser

    register()
    with mistakes(overrides):
        for override in OverridesParser.create().parse_overrides(overrides):
            if override.is_sweep_override():
                word = override.input_line
                raise UserError(f"'{word}' has several values: add -m to run each, or write one list, as key=[a,b]")
    started = GlobalHydra.instance().is_initialized()  # by fst.launch
    hydra = (
        contextlib.nullcontext() if started else initialize_config_dir(str(groups.CONF), PRIMARY, version_base="1.3")
    )
    with mistakes(overrides), hydra:
        return hydra_compose(config_name=PRIMARY, overrides=overrides, return_hydra_config=with_hydra)


def mistakes(overrides: list[str]) -> contextlib.AbstractContextManager[None]:
    """Turn what Hydra and OmegaConf raise at a mistake in overrides into a UserError of one line."""
    choices = [o for o in overrides if o.partition("=")[0] in groups.groups() and "," not in o]
    # Of choices that do not go together no settings are known, and asking for them ends here again: the defaults' are.
    return messages.mistakes(lambda: known_keys(tuple(choices) if choices != overrides else ()))


@functools.cache
def register() -> None:
    """Put the schemas, and the experiments' configs, where Hydra finds them."""
    launchers.register()
    store = ConfigStore.instance()
    store.store(name="train_schema", node=schema.TrainConfig)
    for group in schema.REGISTERED:
        for name, signature in schema.choices(group).items():
            store.store(group=group, name=name, node=signature.schema())
    for name, file in groups.files("experiment").items():
        store.store(group="experiment", name=name, node=OmegaConf.load(file), package="_global_")


@functools.cache
def known_keys(choices: tuple[str, ...] = ()) -> list[str]:
    """Every setting that there is with these choices of groups, and the groups."""
    return [*keys(composed(list(choices))), *groups.groups()]


def keys(config: DictConfig) -> list[str]:
    """Every setting of a config as a dotted path."""
    return [key for key, _ in leaves(OmegaConf.to_container(config))]
