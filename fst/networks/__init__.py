"""What is learnt: transform networks, images in [0, 1] to images in [0, 1] of the same size.

A network is a name in `NETWORKS` and keyword arguments: the same ones in `conf/network/NAME.yaml`, in a style file's
metadata and in the constructor.
"""

import inspect

from torch import nn

from fst.errors import UserError, near
from fst.networks.johnson import Johnson
from fst.networks.johnson_paper import JohnsonPaper
from fst.networks.realtime import Realtime

NETWORKS: dict[str, type[nn.Module]] = {"johnson": Johnson, "johnson_paper": JohnsonPaper, "realtime": Realtime}


def build(name: str, **settings: object) -> nn.Module:
    """The network of that name with its settings.

    Raises:
        UserError: no such network, or a setting it does not have.
    """
    if name not in NETWORKS:
        raise UserError(f"unknown network '{name}'{near(name, list(NETWORKS))}")
    known = list(inspect.signature(NETWORKS[name]).parameters)
    for key in settings:
        if key not in known:
            raise UserError(f"network '{name}' has no setting '{key}'{near(key, known)}")
    return NETWORKS[name](**settings)
