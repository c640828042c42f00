"""Several paintings in a run: `style=[gogh,hokusai,FILE]`, for a network of many styles.

Hydra cannot put several choices of one group into a config. The command line makes of the list `style=custom` with its
names in `style.names`; each of them is composed here, a choice of conf/style or an image file.
"""

import re
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from fst.config import groups
from fst.config.schema import StyleConfig, TrainConfig, short_name
from fst.errors import UserError, near
from fst.files import expanded

SHOWN = 3  # names in a run's own name; of more, their number


def styles(style: StyleConfig) -> dict[str, StyleConfig]:
    """The paintings of a style config by short name: itself, or each of `style.names` at the size of all.

    A name that is neither a style nor a file, or one style twice, is a UserError.
    """
    if not style.names:
        return {fit(short_name(style)): style}
    found: dict[str, StyleConfig] = {}
    known = groups.files("style")
    for name in style.names:
        if name not in known and not expanded(name).is_file():
            raise UserError(f"style=[...]: '{name}' is neither a style nor an image file{near(name, list(known))}")
        chosen = OmegaConf.load(known[name]) if name in known else {"name": "custom", "image": name}
        one = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(StyleConfig), chosen, {"size": style.size}))
        if fit(short_name(one)) in found:
            raise UserError(f"style=[...] names {fit(short_name(one))} twice")
        found[fit(short_name(one))] = one
    return found


def is_many(config: TrainConfig) -> bool:
    """Whether the network is one of many styles."""
    return hasattr(config.network, "styles")


def network_settings(config: TrainConfig) -> dict[str, Any]:
    """The network's keyword arguments, of a network of many styles with the names of the run's."""
    own = {"styles": list(styles(config.style))} if is_many(config) else {}
    return {key: value for key, value in vars(config.network).items() if key != "name"} | own


def together(names: list[str]) -> str:
    """What a run of several styles is called: gogh+hokusai+turner, or gogh+hokusai+turner+9."""
    short = [fit(Path(name).stem) for name in names]
    return "+".join([*short[:SHOWN], *([str(len(short) - SHOWN)] if len(short) > SHOWN else [])])


def fit(name: str) -> str:
    """A name without the signs that `style=gogh:0.7,hokusai:0.3` gives a meaning to."""
    return re.sub(r"[^\w-]+", "_", name)
