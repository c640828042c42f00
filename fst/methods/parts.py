"""What methods are made of: from settings to criterion, network, painting, style weight and accelerator."""

import copy
import dataclasses
import os
import traceback
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fst import stylefile
from fst.config.schema import AUTO, LossConfig, StyleConfig, TrainConfig, TrainerConfig
from fst.config.several import is_many, network_settings
from fst.config.signatures import registered
from fst.data.paintings import SWATCHES, located, painting
from fst.errors import UserError, near
from fst.files import expanded, shown
from fst.losses.criterion import Criterion
from fst.losses.names import check_layers
from fst.losses.style_target import StyleTarget
from fst.losses.term import Term
from fst.losses.terms import TERMS
from fst.losses.weights import load_features
from fst.networks import Network, build
from fst.networks.conditional import Conditional
from fst.runfolder import STYLE
from fst.values import snake_case

UNIT = 1e5  # the style weight for The Starry Night
STARRY_NIGHT = 323.0  # that times its target's energy, at 512 pixels, to relu3_3
LEAST, MOST = 2.5e4, 3e5  # automatic style weights
ENOUGH = 256  # pixels of a photo's edge that show what size a network's pictures have
STARTS = ("hokusai", "picabia-johnson")  # of plain skies: what others have there stays (experiments/recipe)


def read_painting(style: StyleConfig) -> np.ndarray:
    """`fst.data.paintings.painting`, with `style.image` set to the swatch where one stands in: it stays the same."""
    file = located(style)
    if file.parent == SWATCHES:
        style.image = str(file)
    return painting(style)


def network(config: TrainConfig) -> Network:
    """The network of a config; UserError for a value that it refuses."""
    return build(config.network.name, **network_settings(config))


def tried(config: TrainConfig) -> list[Term]:
    """The loss terms with a weight, made on torch's meta device, without memory, as the network is too.

    So what constructors refuse is said before anything is loaded: a UserError. They may not read tensors' values there.
    """
    try:
        with torch.device("meta"):
            network(config)
            return [term for weight, term in build_terms(config.loss).values() if weight]
    except RuntimeError as error:
        if "meta" not in str(error):
            raise
        frames = traceback.extract_tb(error.__traceback__)
        line = [one for one in frames if Path(torch.__file__).parent not in Path(one.filename).parents][-1]
        raise UserError(
            f"{shown(Path(line.filename))}:{line.lineno}: constructors of networks and loss terms are called on "
            f"torch's meta device too, where tensors have no values to read: {line.line}"
        ) from None


@torch.no_grad()
def check_picture(network: Network, name: str, size: int) -> None:
    """Raise UserError unless a network makes pictures of three channels and of the photo's size, here `size` pixels.

    A picture of one channel would be compared by broadcasting, as if it were a grey one.
    """
    edge = min(size, ENOUGH)
    photo = torch.full((1, 3, edge, edge), 0.5)
    vector = (network.table[:1],) if isinstance(network, Conditional) else ()
    found = tuple(copy.deepcopy(network).eval()(photo, *vector).shape)  # a copy: parts may be frozen in their modes
    if found != photo.shape:
        raise UserError(
            f"network={name} makes {found} of a photo {tuple(photo.shape)}: its layers must end in 3 channels, "
            "at the height and width that they began with"
        )


def decide_start(config: TrainConfig) -> str | None:
    """The style whose weights a run begins with, or None: `method.init_from`, with `auto` decided and told."""
    if config.method.init_from != AUTO:
        return config.method.init_from
    shelf, wanted = stylefile.bundled(), (config.network.name, network_settings(config))
    for style in filter(shelf.get, STARTS):
        info = stylefile.read_info(shelf[style])
        if (info.network, info.settings) == wanted:
            _tell(f"begins with the network of the bundled {style} (method.init_from=null: from nothing)")
            return style
    _tell("begins from nothing: no bundled style has a network of this shape")
    return None


def start_file(style: str) -> Path:
    """The style file that `method.init_from` names: a bundled style, a file or a run folder; UserError for none."""
    shelf = stylefile.bundled() | {"many": stylefile.BUNDLED / stylefile.MANY}
    path = shelf.get(style, expanded(style))
    path = path / STYLE if path.is_dir() else path
    if not path.is_file():
        raise UserError(f"method.init_from={style} does not exist{near(style, list(shelf))}")
    return path


def init_from(network: Network, style: str, name: str, painting: np.ndarray) -> None:
    """Give a network of that name the weights of a trained style, so that another is learnt in a fraction of the steps.

    The style is a bundled one's name, a style file or a run folder. A file of many styles is asked for the painting's,
    uint8 (H, W, 3).

    Raises:
        UserError: no such style, its network is not of the same shape, or a painting that no style is read from.
    """
    path = start_file(style)
    weights, info = stylefile.load(path)
    kind, settings = info.network, info.settings
    if isinstance(weights, Conditional) and not isinstance(network, Conditional):
        kind, settings = snake_case(weights.plain_class.__name__), weights.settings
        weights = weights.folded(_read(weights, path, painting))
    shapes = [{key: value.shape for key, value in of.state_dict().items()} for of in (weights, network)]
    if kind != name or shapes[0] != shapes[1]:
        described = ", ".join(f"network.{key}={value}" for key, value in settings.items())
        raise UserError(f"method.init_from={style} holds another network than this run's: {kind} with {described}")
    network.load_state_dict(weights.state_dict())


def _read(network: Conditional, path: Path, painting: np.ndarray) -> Tensor:
    """The style vector (1, V) that a file of many styles begins a painting with."""
    from fst.stylize.many import opened

    if network.predictor is None:
        return network.table.mean(0, keepdim=True)
    many = opened(path)
    return torch.from_numpy(many.read_pixels(many.fitted(painting, max(painting.shape[:2]))))[None]


def criterion(loss: LossConfig) -> Criterion:
    """The criterion of a config, channels last, features in fp32; a weight of "auto" is 1 until it is decided."""
    terms = build_terms(loss)
    features = load_features(_layers(terms), loss.weights, architecture=loss.architecture, pooling=loss.pooling)
    return Criterion(features.to(memory_format=torch.channels_last), terms)


def build_terms(loss: LossConfig) -> dict[str, tuple[float, Term]]:
    """Weight and term of every loss term of a config, by name.

    Raises:
        UserError: a value that a term refuses, or a layer that the loss network does not have.
    """
    terms = {}
    for name, signature in registered("losses/terms").items():
        settings = {key: getattr(loss, f"{name}_{key}") for key in signature.arguments}
        weight = getattr(loss, f"{name}_weight")
        terms[name] = (1.0 if weight == AUTO else weight, TERMS[name](**settings))
    check_layers(_layers(terms), loss.architecture)
    return terms


def _layers(terms: dict[str, tuple[float, Term]]) -> set[str]:
    """The layers that terms with a weight ask of photos and of painted pictures."""
    used = [term for weight, term in terms.values() if weight]
    painted = [layer for term in used for layers in term.painted_layers().values() for layer in layers]
    return {*painted, *(layer for term in used for layer in term.photo_layers)}


def decide_style_weight(config: TrainConfig, criterion: Criterion, style: StyleTarget) -> StyleTarget:
    """What `loss.style_weight=auto` becomes: for a network of one style, a number, put into config and criterion.

    For one of many, the criterion's is 1e5 and the target returned has the rest of each painting's own; the config,
    which has room for one number, stays at auto.
    """
    if config.loss.style_weight != AUTO:
        return style
    weights = [automatic_style_weight(energy) for energy in style.energy(criterion.style.layer_weights)]
    _tell(f"loss.style_weight=auto is {', '.join(f'{weight:g}' for weight in weights)}")
    if not is_many(config):
        config.loss.style_weight = criterion.weights["style"] = weights[0]
        return style
    criterion.weights["style"] = UNIT
    return dataclasses.replace(style, weights=torch.tensor(weights) / UNIT)


def _tell(decided: str) -> None:
    from pytorch_lightning.utilities import rank_zero_only  # here: settings are checked without Lightning, sooner

    rank_zero_only(print)(decided)


def automatic_style_weight(energy: Tensor) -> float:
    """The style weight that is `suited` to one painting, to two digits."""
    return float(f"{suited(energy).item():.2g}")


def suited(energy: Tensor) -> Tensor:
    """The style weights for paintings whose `StyleTarget.energy` that is, (N,).

    Paintings differ sixfold in the size of their Gram matrices, and so do style losses at the same likeness. With
    this weight the weighted style loss of a featureless picture is the same for all of them: what it is for The Starry
    Night at 1e5 (experiments/style_weight). It keeps between 2.5e4 and 3e5: beyond, a painting of hardly any or of
    very strong texture would leave nothing of the photo, or of the paint.
    """
    return (STARRY_NIGHT / energy).clamp(LEAST, MOST)


def accelerator(requested: str) -> str:
    """cpu, cuda or mps: what the run will use; UserError where a GPU was asked for, and there is none."""
    if requested == "auto":
        return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if requested in ("gpu", "cuda"):
        if not torch.cuda.is_available():
            raise UserError("trainer=gpu, but torch finds no GPU; use trainer=auto or trainer=cpu")
        return "cuda"
    if requested == "mps" and not torch.backends.mps.is_available():
        raise UserError("trainer.accelerator=mps, but torch finds none; use trainer=auto or trainer=cpu")
    return requested


def device(trainer: TrainerConfig) -> str:
    """Where this process of a run computes, as torch names it, "cuda:3": for what Lightning's trainer does not do."""
    kind = accelerator(trainer.accelerator)
    if kind != "cuda":
        return kind
    gpus = trainer.devices if isinstance(trainer.devices, list) else range(torch.cuda.device_count())
    return f"cuda:{gpus[int(os.environ.get('LOCAL_RANK', 0)) % len(gpus)]}"  # Lightning numbers a run's processes so
