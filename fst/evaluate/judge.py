"""How good painted pictures are, by one definition: python -m fst.evaluate.judge STYLE... [--photos FOLDER]

STYLE is a bundled style, a style file, a run's folder, or a folder of painted pictures (of any program) that are named
as the photos are. The middle 256×256 pixels of photos that no network saw are painted; VGG-16 to relu3_3, one scale and
the painting at 512 pixels give content loss, style loss, both with style at 1e5, and style over that of the untouched
photo; `grid` is that of fst.evaluate.grid, `unevenness`, of bands of colour in even skies, that of
fst.losses.terms.evenness.
"""

import argparse
import dataclasses
import functools
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from omegaconf import OmegaConf
from torch import Tensor, nn

from fst import images, runfolder, store, stylefile
from fst.config import groups, several
from fst.config.compose import compose
from fst.config.schema import AUTO, LossConfig, TrainConfig
from fst.data.paintings import painting
from fst.errors import UserError, near, one_line_errors
from fst.evaluate.grid import grid
from fst.evaluate.report import METRICS, markdown
from fst.files import expanded
from fst.losses.terms import TERMS
from fst.losses.terms.evenness import unevenness
from fst.methods import parts
from fst.methods.gatys import optimise
from fst.networks import framed
from fst.stylize import styles
from fst.stylize.framing import MARGIN

SIDE = 256
HISTORY = 100  # the optimiser of Johnson et al. 2016 (Torch's lbfgs) remembers so many steps
# Layers that every loss network of fst has, so that networks trained by different losses compare.
DEFINITION = {
    "content_layers": ["relu2_2"],
    "style_layers": ["relu1_2", "relu2_2", "relu3_3"],
    "style_layer_weights": None,
    "style_scales": [1.0],
    "pooling": "max",
}

COLUMNS = ("content_loss", "style_loss", "total", "style_ratio", "grid", "unevenness")
LOSS = ["loss=vgg16"]  # whose network judges

Paint = Callable[[Tensor], Tensor]


class Judge:
    """A definition of the losses, a painting and photos: it tells how good a network, or anything that paints, is.

    Pictures are clipped to [0, 1] before they are judged.

    Args:
        loss: layers, scales, weights, loss network, whose weights may not be there: a UserError.
        painting: uint8 (H, W, 3).
        photos: (1, 3, H, W) in [0, 1] by name.
        also: further layers at which the content loss is told, though it is not part of the total.
        device: where all is computed; what paints takes photos there.
    """

    def __init__(
        self,
        loss: LossConfig,
        painting: np.ndarray,
        photos: Mapping[str, Tensor],
        *,
        also: Sequence[str] = (),
        device: str = "cpu",
    ) -> None:
        self.loss = loss
        self.also = also
        self.criterion = parts.criterion(loss).to(device)
        self.photos = {name: photo.to(device) for name, photo in photos.items()}
        self.style = self.criterion.style_target([images.to_tensor(painting).to(device)])
        if loss.style_weight == AUTO:  # of a file of many: each painting's own
            energy = self.style.energy(self.criterion.style.layer_weights)
            self.criterion.weights["style"] = parts.automatic_style_weight(energy)
        self.targets = {name: self.criterion.content_target(photo) for name, photo in self.photos.items()}

    @functools.cached_property
    @torch.inference_mode()
    def _untouched(self) -> dict[str, float]:
        """The style loss of each photo itself; not asked of a definition without style, by the total alone."""
        return {name: self.criterion.style_loss(photo, self.style).item() for name, photo in self.photos.items()}

    @torch.inference_mode()
    def losses(self, paint: Paint) -> dict[str, float]:
        """Means over the photos by name, and the median of grid: what COLUMNS has, and content_LAYER of `also`.

        Of a definition in which content and style have a weight. `paint` takes (1, 3, H, W) in [0, 1] and returns the
        same, one photo after the other in their order.
        """
        rows = []
        for name, photo in self.photos.items():
            painted = paint(photo).clamp(0, 1)
            losses = self.criterion(painted, self.targets[name], self.style)
            found = {f"{term}_loss": losses.values[term].item() for term in ("content", "style")}
            found["style_ratio"] = found["style_loss"] / max(self._untouched[name], 1e-12)
            found["total"] = losses.total.item()
            found["grid"] = grid(images.to_pixels(painted))
            found["unevenness"] = unevenness(photo, painted).item()
            rows.append(found | {f"content_{layer}": self._distance(painted, photo, layer) for layer in self.also})
        means = {key: statistics.fmean(row[key] for row in rows) for key in rows[0]}
        return means | {"grid": statistics.median(row["grid"] for row in rows)}

    @torch.inference_mode()
    def total(self, paint: Paint, photo: str) -> float:
        """The weighted sum for one photo."""
        painted = paint(self.photos[photo]).clamp(0, 1)
        return self.criterion(painted, self.targets[photo], self.style).total.item()

    def lbfgs(self, photo: str, iterations: int, *, line_search: bool = True) -> list[float]:
        """The total after 0, 1, 2, ... iterations of L-BFGS from noise, as Johnson et al. 2016, figure 5.

        Their code (Torch's lbfgs) has no line search: an iteration is one evaluation, and it takes more of them.
        """
        torch.manual_seed(0)
        image = nn.Parameter(torch.rand_like(self.photos[photo]))
        objective = optimise.Objective(image, optimise.evaluator(self.criterion, self.targets[photo], self.style))
        steps = optimise.minimise(objective, iterations, history=HISTORY, line_search=line_search)
        return [step.losses.total.item() for step in steps]

    def _distance(self, painted: Tensor, photo: Tensor, layer: str) -> float:
        features = self.criterion.features
        return F.mse_loss(features(painted, [layer])[layer], features(photo, [layer])[layer]).item()


def as_used(network: nn.Module) -> Paint:
    """A network as infer.py paints with it: in a margin of mirrored pixels, which is cut off."""
    return lambda photo: framed(network, photo, MARGIN)


def weighted(loss: LossConfig, **settings: object) -> LossConfig:
    """A loss of these settings whose terms weigh nothing but for content and style, 1 each unless set."""
    none = {f"{name}_weight": 0.0 for name in TERMS}
    return dataclasses.replace(loss, **{**none, "content_weight": 1.0, "style_weight": 1.0, **settings})


def reference_losses(config: TrainConfig, run_dir: Path) -> dict[str, float]:
    """`reference/content_loss` and `reference/style_loss` of a finished feed-forward run, unweighted.

    Means over the run's held-out photos, and over its styles, by its own loss network and paintings, by DEFINITION:
    runs with other layers, scales or weights compare. What is no longer there is a UserError. None of the baseline's.
    """
    from fst.data.photo_data import PhotoData

    if not (run_dir / runfolder.STYLE).is_file():
        return {}
    device = parts.device(config.trainer)
    device = device if device.startswith("cuda") else "cpu"
    photos = PhotoData(config.data, seed=config.seed).preview_photos(config.data.val_images)
    named = {f"{number}": photo[None] for number, (_, photo) in enumerate(photos)}
    trained, rows = stylefile.load(run_dir / runfolder.STYLE)[0], []
    for name, style in several.styles(config.style).items():
        judge = Judge(weighted(config.loss, **DEFINITION), painting(style), named, device=device)
        network = trained.for_style({name: 1.0}) if several.is_many(config) else trained
        rows.append(judge.losses(as_used(network.to(device))))
    return {f"reference/{name}": statistics.fmean(row[name] for row in rows) for name in ("content_loss", "style_loss")}


def read_photos(folder: Path | None, count: int | None = None, *, kept: str = "content") -> dict[str, Tensor]:
    """At most `count` photos, spread evenly over a folder (None: the store's `kept`), by name, as they are judged.

    That is their middle squares, (1, 3, SIDE, SIDE) in [0, 1]. Without such a folder, or a photo in it, a UserError.
    """
    folder = folder or store.find(kept)
    if folder is None:
        raise UserError(f"{store.home() / kept} does not exist: name a folder of photos that no network saw, --photos")
    files = list(_by_name(folder).items())
    if count is not None and len(files) > count:
        files = [files[index * len(files) // count] for index in range(count)]
    return {name: images.to_tensor(images.square(images.read(file), SIDE)) for name, file in files}


def read_painting(named: str, size: int = 512) -> np.ndarray:
    """The painting of a style in conf/style, or in an image file, with its long edge at `size`; uint8 (H, W, 3)."""
    is_file, known = Path(named).is_file(), groups.files("style")
    if not is_file and named not in known:
        raise UserError(f"{named} is no painting of fst's (--painting names a file){near(named, known)}")
    chosen = ["style=custom", f"style.image={named}"] if is_file else [f"style={named}"]
    return painting(OmegaConf.to_object(compose([*chosen, f"style.size={size}"]).style))


def judges(photos: Mapping[str, Tensor], *, also: Sequence[str] = (), **settings: object) -> Callable[[str], Judge]:
    """The judge of each painting, made once: by DEFINITION and style at 1e5, but for what `settings` say of the loss.

    Paintings are named as for `read_painting`.
    """
    loss = weighted(OmegaConf.to_object(compose(LOSS).loss), **{**DEFINITION, "style_weight": 1e5, **settings})
    return functools.cache(lambda named: Judge(loss, read_painting(named), photos, also=also))


def painter(source: str, photos: Sequence[str]) -> tuple[Paint, str | None]:
    """What paints, a style or a folder of pictures, and the name of its painting where it says so.

    `photos` are the names in the order in which they will be painted; a folder that lacks one is a UserError.
    """
    folder = expanded(source)
    if not folder.is_dir() or (folder / runfolder.STYLE).is_file():
        style = styles.find(source)
        return as_used(style.network()), style.info.name
    painted = sorted(_by_name(folder).items(), key=lambda item: len(item[1].stem))  # bridge's is not bridge2's
    found = [next((file for name, file in painted if name.startswith(photo)), None) for photo in photos]
    stems = [Path(photo).name for photo in photos]
    if None in found and len(set(stems)) == len(stems):  # in other folders than the photos, or in none
        found = [next((file for _, file in painted if file.stem.startswith(stem)), None) for stem in stems]
    if None in found:
        raise UserError(f"{folder} has no picture of {photos[found.index(None)]}")
    pictures = iter(found)
    return lambda photo: images.to_tensor(images.square(images.read(next(pictures)), photo.shape[-1])), None


def _by_name(folder: Path) -> dict[str, Path]:
    """Its images by their paths in it, without the ending: "bridge", "kyoto/bridge"."""
    return {file.relative_to(folder).with_suffix("").as_posix(): file for file in images.files(folder)}


def judged(
    source: str, photos: Sequence[str], judge_of: Callable[[str], Judge], named: str | None = None
) -> dict[str, float]:
    """The figures of a style or folder, by the judge of the painting that is named, or that the style names.

    Where neither is, a UserError.
    """
    paint, style = painter(source, photos)
    if not (named or style):
        raise UserError(f"{source} does not say which painting it is of: name it with --painting")
    return judge_of(named or style).losses(paint)


def main(words: Sequence[str] | None = None) -> None:
    """Run the command line; what cannot be had or read is a UserError."""
    parser = argparse.ArgumentParser(prog="python -m fst.evaluate.judge", description=__doc__.partition("\n")[0])
    parser.add_argument("styles", nargs="+", help="styles, or folders of painted pictures")
    parser.add_argument("--photos", type=Path, help="a folder of photos that no network saw (content/ of the store)")
    parser.add_argument("--painting", help="a style of conf/style or an image file, where the style does not say it")
    given = parser.parse_args(words)
    photos = read_photos(given.photos)
    judge_of = judges(photos)
    columns = {key: METRICS[key] for key in COLUMNS}
    rows = {}
    for source in given.styles:
        found = judged(source, list(photos), judge_of, given.painting)
        rows[source] = [format(found[key], metric.form) for key, metric in columns.items()]
    print(markdown(["style", *(metric.label for metric in columns.values())], rows))


if __name__ == "__main__":
    with one_line_errors():
        main()
