"""What is learnt: transform networks, images in [0, 1] to images in [0, 1] of the same size.

A network is a name and keyword arguments: the same ones in a config, in a style file's metadata and in the constructor.
Every file in this folder is a network or a part of one; `fst.networks.network` states the contract.
"""

import importlib
import inspect
import pkgutil

from fst.errors import UserError, near
from fst.networks.network import NETWORKS, Network, framed
from fst.values import one_of

for _file in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_file.name}")

__all__ = ["NETWORKS", "Network", "build", "framed"]


def build(name: str, **settings: object) -> Network:
    """The network of that name; UserError for an unknown name or setting, or a value that the network refuses."""
    one_of("network", name, NETWORKS)
    known = list(inspect.signature(NETWORKS[name]).parameters)
    for key in settings:
        if key not in known:
            raise UserError(f"network '{name}' has no setting '{key}'{near(key, known)}")
    return NETWORKS[name](**settings)
