"""A trained style on disk: safetensors and metadata, the only thing training hands to inference.

Loading one never runs code from it: weights are plain tensors, the network is a name in a table with settings as JSON.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import safetensors
from safetensors.numpy import load_file
from safetensors.numpy import save as as_bytes

from fst.errors import UserError
from fst.files import replacing

if TYPE_CHECKING:
    from torch import Tensor

    from fst.networks import Network

FORMAT = 2
KEY = "fst"  # the one entry of the safetensors header's metadata: a JSON object
CHECKPOINT_INFO = "fst_style"  # where a Lightning checkpoint of fst keeps its StyleInfo
NETWORK_PREFIX = "network."  # of the transform network's weights in a checkpoint's state_dict
BUNDLED = Path(__file__).parent / "styles"
MANY = "many.safetensors"  # there: a file of many styles


@dataclass(frozen=True)
class StyleInfo:
    """What a style file says of itself."""

    name: str  # of the style, short, as "gogh"
    network: str  # its name in `fst.networks.NETWORKS`
    settings: dict[str, Any] = field(default_factory=dict)  # the network's keyword arguments
    style: dict[str, Any] = field(default_factory=dict)  # title, artist, year, licence of the painting
    training: dict[str, Any] = field(default_factory=dict)  # steps, losses on unseen photos, config, whatever else
    licence: str = "MIT"  # of the weights
    int8: dict[str, Any] = field(default_factory=dict)  # of `fst.stylize.ranges.measure`; empty: nothing known
    format: int = FORMAT


def save(path: str | Path, network: Network, info: StyleInfo, *, half: bool = False) -> Path:
    """Write a network's weights and what they are; whole or not at all. With `half`, in 16 bits.

    Raises:
        UserError: the folder may not be written, or the disk is full.
    """
    import torch

    dtype = torch.float16 if half else torch.float32
    # Contiguous: safetensors writes an array's memory as it lies, and networks are trained channels last.
    weights = {
        name: (tensor.to(dtype) if tensor.is_floating_point() else tensor).contiguous().cpu().numpy()
        for name, tensor in network.state_dict().items()
    }
    return _write(path, weights, info)


def describe(path: str | Path, info: StyleInfo) -> Path:
    """Write a style file, which was read before, again with the same weights and other metadata; as `save`."""
    return _write(path, load_file(path), info)


def _write(path: str | Path, weights: dict[str, np.ndarray], info: StyleInfo) -> Path:
    # Bytes written by Python, so that a full disk is an OSError as everywhere.
    written = as_bytes(weights, metadata={KEY: json.dumps(dataclasses.asdict(info))})
    with replacing(Path(path)) as beside:
        beside.write_bytes(written)
    return Path(path)


def read_info(path: str | Path) -> StyleInfo:
    """A style file's metadata, without its weights and without torch.

    Raises:
        UserError: the file is missing, damaged, or no style file.
    """
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
    except FileNotFoundError:
        raise UserError(f"style file {path} does not exist") from None
    except OSError as error:
        raise UserError(f"{path} is no style file: {error.strerror or error}") from None
    except safetensors.SafetensorError:
        raise UserError(f"{path} is no style file, or a damaged one") from None
    try:
        return parsed(path, json.loads(header[KEY]))
    except (KeyError, TypeError, ValueError):
        raise UserError(f"{path} holds tensors but no style: it was not written by fst") from None


def parsed(path: str | Path, fields: dict[str, Any]) -> StyleInfo:
    """What a style file or a checkpoint says of itself, as it was written: it may be older, or come from anywhere.

    Raises:
        TypeError: fields of wrong types, or too few of them.
        UserError: a newer fst wrote it.
    """
    kinds = {name: type(value) for name, value in vars(StyleInfo("", "")).items()}
    known = {name: fields[name] for name in kinds if name in fields}
    if not all(isinstance(value, kinds[name]) for name, value in known.items()):
        raise TypeError("fields of other types")
    if known.get("format") == 1 and known.get("network") == "realtime":
        known["settings"] = _realtime_of_format_1(**known.get("settings", {}))
    info = StyleInfo(**known)
    if info.format > FORMAT:
        newer = f"format {info.format}, this one reads {FORMAT}"
        raise UserError(f"{path} was written by a newer fst ({newer}): update fst")
    return info


def _realtime_of_format_1(**settings: Any) -> dict[str, Any]:
    """The settings of a real-time network from before it had skips, another end and depths for each resolution."""
    widths = settings.get("widths", [16, 32, 64])
    depths = [0] * (len(widths) - 1) + [settings.pop("depth", 4)]
    return {**settings, "widths": widths, "depths": depths, "skips": False, "end": "shuffle"}


def load(path: str | Path) -> tuple[Network, StyleInfo]:
    """The network of a style file and what the file says of it; UserError as `read_info` and `built`."""
    from safetensors.torch import load_file as load_tensors

    info = read_info(path)
    return built(path, info, load_tensors(path)), info


def built(path: str | Path, info: StyleInfo, weights: dict[str, Tensor]) -> Network:
    """The network that a file describes, with its weights, in fp32 and evaluation mode.

    Raises:
        UserError: there is no such network, or the weights do not fit it or are not finite.
    """
    import torch

    from fst.networks import build

    try:
        # First without memory: a file may claim any size.
        with torch.device("meta"):
            network = build(info.network, **info.settings)
    except (UserError, TypeError, ValueError, RuntimeError) as error:
        why = str(error).splitlines()[0]
        raise UserError(f"{path} needs a network that this version of fst does not have: {why}") from None
    expected = {name: tensor.shape for name, tensor in network.state_dict().items()}
    for name in [*expected, *weights]:
        if name not in weights or expected.get(name) != weights[name].shape:
            raise UserError(f"{path}: the weights do not fit network '{info.network}': {name} is missing or misshapen")
    if not all(tensor.isfinite().all() for tensor in weights.values()):
        raise UserError(f"{path} is damaged: it has weights that are not finite")
    # Then with it: buffers that are not saved, and whatever else a constructor computes.
    with torch.random.fork_rng(devices=[]):
        network = build(info.network, **info.settings)
    network.load_state_dict(weights)
    return network.eval().requires_grad_(False)


def bundled() -> dict[str, Path]:
    """The style files of a single style that come with fst, by name, as "gogh"."""
    found = {path.stem: path for path in BUNDLED.glob("*.safetensors") if path.name != MANY}
    return dict(sorted(found.items()))
