"""What `style=` means: a bundled name, a style file, a checkpoint, a run folder or a W&B artifact, as one `Style`."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fst import store, stylefile
from fst.errors import UserError, near
from fst.stylefile import CHECKPOINT_INFO, NETWORK_PREFIX, StyleInfo

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Style:
    """A style on disk, its weights not yet read.

    Attributes:
        name: short, fit for a file name.
        path: the file its weights are in; backends key their caches by its contents.
        info: what it says of itself.
        network: builds the torch network, in fp32 and evaluation mode; the only part that needs torch.
    """

    name: str
    path: Path
    info: StyleInfo
    network: Callable[[], nn.Module]


def find(style: str | Path, network: str | None = None) -> Style:
    """The style of that name, file, run folder or artifact.

    Args:
        style: a bundled name ("gogh"), FILE.safetensors, FILE.ckpt, a run folder, or wandb:ENTITY/PROJECT/NAME:ALIAS.
        network: which of a bundled style's networks, where it comes with several ("realtime", "johnson").

    Raises:
        UserError: nothing of that name, or it holds no style.
    """
    text = str(style)
    if text.startswith("wandb:"):
        return _from_folder(_download(text.removeprefix("wandb:")))
    shelf = stylefile.bundled()
    if text in shelf:
        return _bundled(text, network, shelf)
    path = Path(text).expanduser()
    if path.is_dir():
        found = _from_folder(path)
    elif path.suffix == ".ckpt" and path.is_file():
        found = _from_checkpoint(path)
    elif path.is_file() or path.suffix == ".safetensors":
        found = _from_file(path, None)
    elif path.suffix == ".ckpt" or len(path.parts) > 1:
        raise UserError(f"style {text} does not exist; name a bundled style, a style file or a run folder")
    elif not shelf:
        raise UserError(f"unknown style '{text}': this copy of fst has no bundled styles; name a style file")
    else:
        raise UserError(f"unknown style '{text}'{near(text, list(shelf))}")
    if network is not None and network != found.info.network:
        raise UserError(f"{text} holds network '{found.info.network}', not '{network}': leave network= away")
    return found


def split(styles: str) -> list[str]:
    """The styles of `style=a,b`: separated by commas, unless a file has just that name."""
    if styles in stylefile.bundled() or Path(styles).expanduser().exists():
        return [styles]
    names = [name.strip() for name in styles.split(",")]
    if not all(names):
        raise UserError(f"style={styles} names an empty style; as in style=gogh,hokusai")
    return names


def _bundled(name: str, network: str | None, shelf: dict[str, Path]) -> Style:
    infos = {name: stylefile.read_info(shelf[name])}
    if network is None or infos[name].network == network:
        return _from_file(shelf[name], name)
    painting = infos[name].name
    infos |= {other: stylefile.read_info(path) for other, path in shelf.items()}
    offers = {info.network: other for other, info in infos.items() if info.name == painting}
    if network not in offers:
        raise UserError(f"style '{name}' does not come with network '{network}'{near(network, list(offers))}")
    return _from_file(shelf[offers[network]], offers[network])


def _from_file(path: Path, name: str | None) -> Style:
    info = stylefile.read_info(path)
    # Every run calls its file style.safetensors: there the painting's name says more than the file's.
    title = name or (info.name if path.stem == "style" else path.stem)
    return Style(_file_name(title), path, info, lambda: stylefile.load(path)[0])


def _from_folder(folder: Path) -> Style:
    files = sorted(folder.rglob("*.safetensors"), key=lambda path: path.stat().st_mtime)
    if not files:
        raise UserError(f"folder {folder} holds no style file (style.safetensors): has its run finished?")
    return _from_file(files[-1], None)


def _from_checkpoint(path: Path) -> Style:
    from fst.networks import build

    checkpoint = _read_checkpoint(path)
    try:
        info = StyleInfo(**checkpoint[CHECKPOINT_INFO])
        state = checkpoint["state_dict"]
    except (KeyError, TypeError):
        raise UserError(f"{path} is a checkpoint but no style: it was not written by fst's train.py") from None

    def network() -> nn.Module:
        built = build(info.network, **info.settings)
        own = {
            key.removeprefix(NETWORK_PREFIX): value for key, value in state.items() if key.startswith(NETWORK_PREFIX)
        }
        try:
            built.load_state_dict(own)
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"{path}: the weights do not fit network '{info.network}': {reason}") from None
        return built.float().eval().requires_grad_(False)

    return Style(_file_name(info.name), path, info, network)


def _read_checkpoint(path: Path) -> dict:
    import pickle

    import torch

    try:
        # weights_only: a checkpoint is a pickle, and a stranger's pickle could run anything.
        checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError, ValueError):
        raise UserError(f"{path} is no checkpoint, is damaged, or holds more than weights and settings") from None
    return checkpoint if isinstance(checkpoint, dict) else {}


def _download(artifact: str) -> Path:
    try:
        import wandb
    except ImportError:
        raise UserError("style=wandb:… needs the package wandb: pip install wandb") from None
    folder = store.writable("wandb") / _file_name(artifact)
    try:
        # Without a key this raises at once; without a network after its timeout.
        return Path(wandb.Api(timeout=20).artifact(artifact).download(root=str(folder)))
    except Exception as error:  # wandb raises many kinds, most of them undocumented
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(f"W&B artifact {artifact} (ENTITY/PROJECT/NAME:ALIAS) could not be had: {reason}") from None


def _file_name(name: str) -> str:
    return re.sub(r"[^\w.-]+", "-", name).strip("-.") or "style"
