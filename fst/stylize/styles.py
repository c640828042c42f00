"""What `style=` means, as one `Style`: a bundled name, a style file, a checkpoint, a run folder or a W&B artifact; of
files of many styles also a painting, a mixture, and what a film moves through.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fst import images, runfolder, store, stylefile
from fst.errors import UserError, near, require
from fst.runfolder import check_checkpoint
from fst.stylefile import CHECKPOINT_INFO, NETWORK_PREFIX, StyleInfo
from fst.stylize.many import PAINTING_SIZE, Style, bundled, file_name, is_many
from fst.stylize.mixtures import OF_FILE, SHARE, is_painting, moving

if TYPE_CHECKING:
    from torch import nn

MANY = "many"  # style=many: each style of the bundled file of many


def find(style: str | Path, network: str | None = None, painting_size: int = PAINTING_SIZE) -> Style:
    """The style of that name, file, run folder, artifact or painting, or a mixture.

    Args:
        style: a bundled name ("gogh"), FILE.safetensors, FILE.ckpt, a run folder, wandb:ENTITY/PROJECT/NAME:ALIAS; of
            the file of many styles a name ("seurat"), a painting's file, a mixture ("gogh:0.7,wave.jpg:0.3"), or
            styles that a film moves through ("gogh>hokusai"). FILE.safetensors:NAME is of another file of many.
        network: which of a bundled style's networks, where it comes with several ("realtime", "realtime_many").
        painting_size: pixels of a painting's long edge when its style is read: more makes larger strokes.

    Raises:
        UserError: nothing of that name, it holds no style, or a mixture that makes no sense.
    """
    text = str(style)
    shelf = stylefile.bundled()
    path = Path(text).expanduser()
    if text.startswith("wandb:"):
        found = _from_folder(_download(text.removeprefix("wandb:")))
    elif text in shelf and not _is_of_many(text, network):
        found = _bundled(text, network, shelf)
    elif path.is_dir():
        found = _from_folder(path)
    elif path.suffix == ".ckpt" and path.is_file():
        found = _from_checkpoint(path)
    elif path.suffix == ".safetensors" or (path.is_file() and not is_painting(path)):
        found = _from_file(path, None)
    else:
        found = moving(text, painting_size)
    if network is not None and network != found.info.network and text not in shelf:
        raise UserError(f"{text} holds network '{found.info.network}', not '{network}': omit network=")
    return found


def split(styles: str) -> list[str]:
    """The styles of `style=a,b`: separated by commas, unless a file has just that name, or they are one mixture.

    A file of many styles, and a folder of paintings, stand for each that they hold.

    Raises:
        UserError: an empty name.
    """
    if ">" in styles or styles in stylefile.bundled() or Path(styles).expanduser().exists():
        return _each(styles)
    names = [name.strip() for name in styles.split(",")]
    if not all(names):
        raise UserError(f"style={styles} names an empty style; as in style=gogh,hokusai")
    if any(SHARE.fullmatch(name) for name in names):
        return [styles]
    return [one for name in names for one in _each(name)]


def live_styles(styles: list[str]) -> list[str]:
    """The styles that a live session offers for those asked for: after a single one, the file's others.

    Of names that the bundled file of many has, its own are taken, which mix and fade.
    """
    many = bundled()
    if many is None:
        return styles
    if len(styles) == 1 and styles[0] in many.names:
        styles = [*styles, *(name for name in many.names if name != styles[0])]
    return [f"{many.path}:{name}" if name in many.names else name for name in styles]


def short(style: str) -> str:
    """What people call a style: the name of a file's style, a file's or painting's own, else what was asked for."""
    file = OF_FILE.fullmatch(style)
    if file:
        return short(file[2])
    return Path(style).stem if style.endswith(".safetensors") or images.is_image(Path(style).name) else style


def _each(name: str) -> list[str]:
    path = Path(name).expanduser()
    if path.is_dir() and not _style_files(path) and not (path / runfolder.CONFIG).exists():
        return [str(file) for file in images.files(path)]
    if name == MANY and bundled() is not None:
        path = bundled().path
    elif path.is_dir() and _style_files(path):
        path = _style_files(path)[-1]
    elif path.suffix != ".safetensors" or not path.is_file():
        return [name]
    info = stylefile.read_info(path)
    return [f"{path}:{style}" for style in info.settings["styles"]] if is_many(info) else [name]


def _is_of_many(name: str, network: str | None) -> bool:
    """Whether a bundled name is asked for in the network of the file of many."""
    many = bundled()
    return many is not None and many.info.network == network and name in many.names


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
    if is_many(info):
        raise UserError(f"{path} holds many styles: name one, as style={path}:{info.settings['styles'][0]}")
    # Every run calls its file style.safetensors: there the painting's name says more than the file's.
    title = name or (info.name if path.stem == "style" else path.stem)
    return Style(file_name(title), path, info, lambda: stylefile.load(path)[0])


def _from_folder(folder: Path) -> Style:
    files = _style_files(folder)
    if not files:
        raise UserError(f"folder {folder} holds no style file (style.safetensors): has its run finished?")
    return _from_file(files[-1], None)


def _style_files(folder: Path) -> list[Path]:
    """Those in a folder, the newest last."""
    return sorted(folder.rglob("*.safetensors"), key=lambda path: path.stat().st_mtime)


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

    return Style(file_name(info.name), path, info, network)


def _read_checkpoint(path: Path) -> dict:
    import pickle

    import torch

    check_checkpoint(path)
    try:
        # weights_only: a checkpoint is a pickle, and a stranger's pickle could run anything.
        checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError, ValueError):
        raise UserError(f"{path} is no checkpoint, is damaged, or holds more than weights and settings") from None
    return checkpoint if isinstance(checkpoint, dict) else {}


def _download(artifact: str) -> Path:
    require("wandb", "style=wandb:…")
    import wandb

    folder = store.writable("wandb") / file_name(artifact)
    try:
        # Without a key this raises at once; without a network after its timeout.
        return Path(wandb.Api(timeout=20).artifact(artifact).download(root=str(folder)))
    except Exception as error:  # wandb raises many kinds, most of them undocumented
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            f"W&B artifact {artifact} (ENTITY/PROJECT/NAME:ALIAS) could not be downloaded: {reason}"
        ) from None
