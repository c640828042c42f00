"""Style files for tests: the real networks, narrow, with random weights."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from fst import stylefile
from fst.networks import build

SETTINGS = {
    "johnson": {"width": 8, "depth": 2},
    "realtime": {"widths": [8, 16], "depths": [0, 2]},
    "johnson_paper": {"width": 8, "depth": 1, "norm": "instance"},
}


def make_style(path: Path, network: str = "johnson", **info: object) -> Path:
    """A style file of a random network whose norms are no identities, so that forgetting one shows."""
    torch.manual_seed(0)
    settings = SETTINGS.get(network, {})
    built = build(network, **settings)
    with torch.no_grad():
        for parameter in built.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn_like(parameter) * 0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    about = {"title": "A Test", "artist": "N. N.", "year": 1889}
    described = stylefile.StyleInfo(path.stem, network, settings, style=about, **info)
    return stylefile.save(path, built, described)


def make_many(path: Path, names: tuple[str, ...] = ("gogh", "hokusai", "seurat"), predictor: int = 8) -> Path:
    """A file of many styles of a random narrow network, whose styles and paintings differ much."""
    torch.manual_seed(1)
    settings = SETTINGS["realtime"] | {"styles": list(names), "predictor": predictor}
    built = build("realtime_many", **settings)
    with torch.no_grad():
        built.table.add_(torch.randn_like(built.table) * 0.5)
        if predictor:
            built.predictor.last.weight.mul_(20)
    path.parent.mkdir(parents=True, exist_ok=True)
    paintings = {name: {"title": f"A {name}", "artist": "N. N.", "year": 1889} for name in names}
    losses = {name: {"content": 3.0, "style": 2e-5, "total": 5.25 + row} for row, name in enumerate(names)}
    described = stylefile.StyleInfo(
        path.stem, "realtime_many", settings, {"title": "Many", "paintings": paintings}, {"by_style": losses}
    )
    return stylefile.save(path, built, described)


@contextlib.contextmanager
def bundled_shelf(folder: Path) -> Iterator[Path]:
    """Within, gogh and boccioni come in networks of their own; gogh, hokusai and seurat in a file of many."""
    make_style(folder / "gogh.safetensors", "realtime")
    make_style(folder / "boccioni.safetensors", "realtime")
    make_many(folder / "many.safetensors")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stylefile, "BUNDLED", folder)
        patch.setenv("FST_HOME", str(folder / "home"))
        yield folder
