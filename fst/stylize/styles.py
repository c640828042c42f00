"""What `style=` means, as one `Style`: a bundled name, a style file, a checkpoint, a run folder or a W&B artifact; of
files of many styles also a painting, a mixture, and what a film moves through.
"""

from __future__ import annotations

import dataclasses
import re
import sys
from pathlib import Path

import numpy as np

from fst import images, runfolder, store, stylefile
from fst.errors import UserError, near, require
from fst.files import expanded, uniquely, visible
from fst.stylefile import CHECKPOINT_INFO, NETWORK_PREFIX
from fst.stylize.many import LARGEST, NARROWEST, PAINTING_SIZE, Style, bundled, file_name, is_many, of_many, opened
from fst.values import between

MANY = "many"  # style=many: each style of the bundled file of many
SHARE = re.compile(r"(.+):\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)", re.IGNORECASE)  # NAME:0.7
OF_FILE = re.compile(r"(.+\.safetensors):(.+)")


def find(style: str | Path, painting_size: int = PAINTING_SIZE) -> Style:
    """The style of that name, file, run folder, artifact or painting, or a mixture.

    Args:
        style: a bundled name ("gogh"), FILE.safetensors, FILE.ckpt, a run folder, wandb:ENTITY/PROJECT/NAME:ALIAS; of
            the file of many styles a name ("seurat"), a painting's file, a mixture ("gogh:0.7,wave.jpg:0.3"), or
            styles that a film moves through ("gogh>hokusai"). FILE.safetensors:NAME is of another file of many.
        painting_size: pixels of a painting's long edge when its style is read: more makes larger strokes.

    Raises:
        UserError: nothing of that name, it holds no style, or a mixture that makes no sense.
    """
    between("painting_size", painting_size, NARROWEST, LARGEST, ": pixels of a painting's long edge when it is read")
    text, shelf = str(style), stylefile.bundled()
    path = expanded(text)
    if text.startswith("wandb:"):
        return _from_folder(_download(text.removeprefix("wandb:")))
    if text in shelf:
        return _from_file(shelf[text])
    if path.is_dir():
        return _from_folder(path)
    if path.suffix == ".ckpt" and path.is_file():
        return _from_checkpoint(path)
    if path.suffix == ".safetensors" or (path.is_file() and not _is_painting(path)):
        return _from_file(path)
    return _one(text, painting_size) if path.is_file() else _of_many(text, painting_size)


def moves(style: str) -> bool:
    """Whether a film moves through a style, as "gogh>hokusai"; a file may have such a name, too."""
    return ">" in style and not expanded(style).is_file()


def split(styles: str) -> list[str]:
    """The styles of `style=a,b`: separated by commas, unless a file has just that name, or they are one mixture.

    A file of many styles, and a folder of paintings, stand for each that they hold.

    Raises:
        UserError: an empty name.
    """
    if ">" in styles or styles in stylefile.bundled() or expanded(styles).exists():
        return _each(styles)
    names = [name.strip() for name in styles.split(",")]
    if not all(names):
        raise UserError(f"style={styles} names an empty style; as in style=gogh,hokusai")
    if any(SHARE.fullmatch(name) for name in names):
        return [styles]
    return list(dict.fromkeys(one for name in names for one in _each(name)))


def find_each(names: list[str], painting_size: int) -> list[Style]:
    """The style of each name, as `find`. Two paintings may be called alike: the second style is NAME-2."""
    found = [find(name, painting_size) for name in names]
    called = uniquely(style.name for style in found)
    return [dataclasses.replace(style, name=name) for style, name in zip(found, called, strict=True)]


def live_styles(styles: list[str]) -> list[str]:
    """The styles that a live session offers for those asked for: after a single one, the file's others.

    Of names that the bundled file of many has, its own are taken, which mix and fade.
    """
    many = bundled()
    if len(styles) == 1 and styles[0] in many.names:
        styles = [*styles, *(name for name in many.names if name != styles[0])]
    return [f"{many.path}:{name}" if name in many.names else name for name in styles]


def bundled_names() -> set[str]:
    """The styles that come with fst, alone and in the file of many, each name once; none in a checkout without them."""
    path = stylefile.BUNDLED / stylefile.MANY
    return {*stylefile.bundled(), *(bundled().names if path.is_file() else ())}


def short(style: str) -> str:
    """What people call a style: the name of a file's style, a file's or painting's own, else what was asked for."""
    file = OF_FILE.fullmatch(style)
    if file:
        return short(file[2])
    return Path(style).stem if style.endswith(".safetensors") or images.is_image(Path(style).name) else style


def print_styles() -> None:
    """Print name, network and painting of each bundled style, and its losses as `fst.evaluate.judge` has them.

    Raises:
        UserError: one is damaged.
    """
    from rich.console import Console
    from rich.table import Table

    alone = {name: stylefile.read_info(path) for name, path in stylefile.bundled().items()}
    many = bundled()
    paintings = many.info.style.get("paintings", {})
    rows = [(name, info, info.style) for name, info in alone.items()]
    rows += [(name, many.info, paintings.get(name, {})) for name in many.names]
    table = Table(box=None, pad_edge=False)
    for column in ("style", "network", "content", "objective", "painting", "artist", "year"):
        numbers, names = column in ("content", "objective", "year"), column in ("style", "network")
        table.add_column(column, justify="right" if numbers else "left", no_wrap=names)
    for name, info, painting in rows:
        losses = info.training.get("by_style", {}).get(name, {})
        figures = [f"{losses[key]:.1f}" if key in losses else "" for key in ("content", "total")]
        about = (str(painting.get(key) or "") for key in ("title", "artist", "year"))
        table.add_row(name, info.network, *figures, *about)
    Console(width=None if sys.stdout is None or sys.stdout.isatty() else 200).print(table)  # in a pipe, a line for each


def _each(name: str) -> list[str]:
    path = expanded(name)
    if path.is_dir() and not _style_files(path) and not (path / runfolder.CONFIG).exists():
        return [str(file) for file in images.files(path)]
    if name == MANY:
        path = bundled().path
    elif path.is_dir() and len(files := sorted(visible(path, "*.safetensors"))) > 1:
        return [one for file in files for one in _each(str(file))]
    elif path.is_dir() and _style_files(path):
        path = _style_files(path)[-1]
    elif path.suffix != ".safetensors" or not path.is_file():
        return [name]
    info = stylefile.read_info(path)
    return [f"{path}:{style}" for style in info.settings["styles"]] if is_many(info) else [name]


def _of_many(text: str, size: int) -> Style:
    """The style that a film moves through, `a>b`, of mixtures, `a:0.7,b:0.3`; most often a single one."""
    stops = [_shares(stop) for stop in text.split(">")]
    styles = {name: _one(name, size) for shares in stops for name in shares}
    first = next(iter(styles.values()))
    if any(style.many is not first.many for style in styles.values()):
        raise UserError(f"style={text} names styles of different files of many styles, which do not mix")
    if len(stops) == len(styles) == 1:
        return first
    called, vectors = [], []
    for shares in stops:
        names = [f"{styles[name].name}{100 * share:.0f}" for name, share in shares.items()]
        called.append("-".join(names) if len(shares) > 1 else styles[next(iter(shares))].name)
        vectors.append(np.float32([[*shares.values()]]) @ np.concatenate([styles[name].vectors for name in shares]))
    return of_many(first.many, "-to-".join(called), np.concatenate(vectors))


def _shares(text: str) -> dict[str, float]:
    """The styles that have a share in a mixture, and their shares, whose sum is 1."""
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise UserError("style= names an empty style; as in style='gogh>hokusai' or style=gogh:0.7,hokusai:0.3")
    found = [SHARE.fullmatch(part) for part in parts]
    if found == [None]:
        return {parts[0]: 1.0}
    if not all(found):
        raise UserError(f"style={text} needs a share for each style of a mixture, as in style=gogh:0.7,hokusai:0.3")
    names, shares = [part[1] for part in found], [float(part[2]) for part in found]
    if len(names) == 1 and shares != [1]:
        raise UserError(f"style={text} is a share of nothing else: strength={shares[0]:g} mixes it with the photo")
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"style={text} names {name} twice: give it one share")
    if not (0 < sum(shares) < 1e9 and min(shares) >= 0):
        raise UserError(f"style={text}: shares are 0 or more, and not all 0, as in style=gogh:0.7,hokusai:0.3")
    return {name: share / sum(shares) for name, share in zip(names, shares, strict=True) if share > 0}


def _one(text: str, size: int) -> Style:
    """A style of a file of many: FILE.safetensors:NAME, or the bundled file's, by its name or a painting."""
    file = OF_FILE.fullmatch(text)
    many, name = (opened(expanded(file[1])), file[2]) if file else (bundled(), text)
    if name in many.names:
        return of_many(many, name, many.vector(name)[None])
    painting = expanded(name)
    if _is_painting(painting):
        return of_many(many, painting.stem, many.read(painting, size)[None])
    if painting.suffix == ".ckpt" or len(painting.parts) > 1:
        raise UserError(f"style {text} does not exist; name a bundled style, a style file, a painting or a run folder")
    shelf = stylefile.bundled()
    if text in shelf:
        raise UserError(f"style '{text}' has a network of its own, which does not mix")
    from fst.config import groups  # late: only a mistake needs it

    if not file and name != "custom" and name in groups.files("style"):
        train = f"python train.py style={name} method=adapt"
        raise UserError(f"no style '{name}' comes with fst, but it can be trained in a minute: {train}")
    known = {*({} if file else shelf), *many.names}
    raise UserError(f"unknown style '{name}'{near(name, sorted(known))}")


def _is_painting(path: Path) -> bool:
    """Whether a file is a picture, or is called one."""
    return images.frame_count(path) > 0 or images.is_image(path.name)


def _from_file(path: Path) -> Style:
    info = stylefile.read_info(path)
    if is_many(info):
        raise UserError(f"{path} holds many styles: name one, as style={path}:{info.settings['styles'][0]}")
    # Every run calls its file style.safetensors: there the painting's name says more than the file's.
    return Style(
        file_name(info.name if path.stem == "style" else path.stem), path, info, lambda: stylefile.load(path)[0]
    )


def _from_folder(folder: Path) -> Style:
    files = _style_files(folder)
    if not files:
        raise UserError(f"folder {folder} holds no style file (style.safetensors): has its run finished?")
    return _from_file(files[-1])


def _style_files(folder: Path) -> list[Path]:
    """Those in a folder, the newest last."""
    return sorted(visible(folder, "**/*.safetensors"), key=lambda path: path.stat().st_mtime)


def _from_checkpoint(path: Path) -> Style:
    import pickle

    import torch

    runfolder.check_checkpoint(path)
    try:
        # weights_only: a checkpoint is a pickle, and a stranger's pickle could run anything.
        checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError, ValueError):
        raise UserError(f"{path} is no checkpoint, is damaged, or holds more than weights and settings") from None
    try:
        info = stylefile.parsed(path, checkpoint[CHECKPOINT_INFO])
        name, state = file_name(info.name), checkpoint["state_dict"].items()
        own = {key.removeprefix(NETWORK_PREFIX): value for key, value in state if key.startswith(NETWORK_PREFIX)}
    except (KeyError, TypeError, AttributeError, IndexError):
        raise UserError(f"{path} is a checkpoint but no style: it was not written by fst's train.py") from None
    if is_many(info):
        raise UserError(f"{path} holds many styles, which only the style file at the end of its run has by their names")
    own = {key: value for key, value in own.items() if isinstance(value, torch.Tensor)}
    return Style(name, path, info, lambda: stylefile.built(path, info, own))


def _download(artifact: str) -> Path:
    require("wandb", "style=wandb:…")
    import wandb

    folder = store.writable("wandb") / file_name(artifact)
    try:
        # Without a key this raises at once; without a network after its timeout.
        return Path(wandb.Api(timeout=20).artifact(artifact).download(root=str(folder)))
    except Exception as error:  # wandb raises many kinds, most of them undocumented
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(
            f"W&B artifact {artifact} (ENTITY/PROJECT/NAME:ALIAS) could not be downloaded: {reason}"
        ) from None
