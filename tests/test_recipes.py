"""README's "Architecture": a network, a loss term, a method, a data set, a style, each added by one new file.

The files are written into a copy of the project, and the two programs run there: nothing else is changed.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from photos import make_photos
from training import tiny_arguments

from fst import stylefile

ROOT = Path(__file__).parent.parent

NETWORK = '''
from torch import nn

from fst.networks.blocks import ConvBlock
from fst.networks.network import Network, register


@register
class Plain(Network):
    """Two convolutions: the least that can be trained."""

    def __init__(self, width: int = 6) -> None:
        super().__init__()
        self.layers = nn.Sequential(ConvBlock(3, width, 3), ConvBlock(width, 3, 3, norm=None, relu=False))
'''

TERM = '''
from torch import Tensor

from fst.losses.term import Step, Term, register


@register
class Brightness(Term):
    """The picture's mean should be the photo's."""

    def __init__(self, power: float = 2.0) -> None:
        super().__init__()
        self.power = power

    def forward(self, step: Step) -> Tensor:
        return (step.painted.mean((1, 2, 3)) - step.photos.mean((1, 2, 3))).abs().pow(self.power).mean()
'''

METHOD = '''
from pathlib import Path
from typing import Any

from fst.config.schema import TrainConfig
from fst.methods.method import Method, register


@register
class Average(Method):
    """One colour is learnt: that of the painting."""

    def __init__(self, rate: float = 0.5) -> None:
        self.rate = rate

    def prepare(self, config: TrainConfig, run_dir: Path) -> None:
        import pytorch_lightning as pl
        import torch

        from fst.data.photo_data import PhotoData
        from fst.methods import parts

        self.config, self.result = config, run_dir / "colour.txt"
        config.trainer.precision, config.compile = "32-true", False
        wanted = torch.from_numpy(parts.read_painting(config.style)).float().mean((0, 1)) / 255

        class Colour(pl.LightningModule):
            def __init__(self, rate: float) -> None:
                super().__init__()
                self.colour, self.rate = torch.nn.Parameter(torch.zeros(3)), rate

            def training_step(self, photos: Any, index: int) -> Any:
                loss = (self.colour - wanted).square().sum()
                self.log("train/loss", loss)
                return loss

            def validation_step(self, photos: Any, index: int) -> None:
                self.log("val/loss", (self.colour - wanted).square().sum())

            def configure_optimizers(self) -> Any:
                return torch.optim.SGD(self.parameters(), self.rate)

            def previews(self) -> list:
                return []

        self.module, self.data = Colour(self.rate), PhotoData(config.data, seed=config.seed)

    def write_result(self) -> None:
        self.result.write_text(" ".join(f"{part:.4f}" for part in self.module.colour.tolist()))

    def epilogue(self) -> dict[str, str]:
        return {"colour": str(self.result)}
'''

STYLE = "# Three colours\nname: mine\ntitle: Three Colours\nimage: {painting}\n"
DATA = "# My photos\nname: folder\nroot: {photos}\n"


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A copy of what runs, with one new file of each kind."""
    copy = tmp_path_factory.mktemp("project")
    for name in ("fst", "conf"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.safetensors"))
    shutil.copy(ROOT / "fst/losses/vgg16_small.safetensors", copy / "fst/losses")
    (copy / "experiments").mkdir()
    for name in ("train.py", "infer.py"):
        shutil.copy(ROOT / name, copy)
    tiny_arguments(copy, Path("unused"))  # makes photos and painting
    (copy / "fst/networks/plain.py").write_text(NETWORK)
    (copy / "fst/losses/terms/brightness.py").write_text(TERM)
    (copy / "fst/methods/average.py").write_text(METHOD)
    (copy / "conf/style/mine.yaml").write_text(STYLE.format(painting=copy / "painting.png"))
    (copy / "conf/data/mine.yaml").write_text(DATA.format(photos=copy / "photos"))
    return copy


def run(project: Path, *arguments: str) -> str:
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def refused(project: Path, *arguments: str) -> str:
    """What train.py says of arguments that it refuses."""
    command = [sys.executable, "train.py", *arguments]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=100)
    assert done.returncode == 1, done.stdout
    return done.stderr


SETTINGS = (
    "style=mine", "style.size=64", "loss=vgg16_small", "data=mine", "data.size=32", "data.batch_size=2",
    "data.workers=0", "data.val_images=2", "trainer=cpu", "trainer.precision=32-true", "logger=none", "compile=false",
    "hydra.run.dir=run",
)  # fmt: skip


def test_a_new_network_loss_term_data_set_and_style(project) -> None:
    printed = run(
        project, "train.py", *SETTINGS, "network=plain", "network.width=5", "loss.brightness_weight=3",
        "loss.brightness_power=1", "method.margin=0", "trainer.max_steps=3",
    )  # fmt: skip
    assert "style.safetensors" in printed
    metrics = (project / "run/metrics.csv").read_text().splitlines()[0].split(",")
    assert {"train/brightness_loss", "val/brightness_loss", "val/style_loss"} <= set(metrics)
    info = stylefile.read_info(project / "run/style.safetensors")
    assert (info.name, info.style["title"]) == ("mine", "Three Colours")
    make_photos(project / "one", 1)
    photo = next((project / "one").iterdir())
    run(project, "infer.py", f"source={photo}", "style=run/style.safetensors", "output=painted.png", "backend=torch")
    assert (project / "painted.png").stat().st_size > 100


def test_the_baseline_has_the_new_term(project) -> None:
    arguments = [argument.replace("dir=run", "dir=gatys") for argument in SETTINGS if not argument.startswith("data")]
    changes = ["method=gatys", f"content={project / 'painting.png'}", "method.size=48", "method.iterations=3"]
    run(project, "train.py", *arguments, *changes, "loss.brightness_weight=3")
    assert "train/brightness_loss" in (project / "gatys/metrics.csv").read_text().splitlines()[0].split(",")


def test_a_new_method(project) -> None:
    arguments = [argument.replace("dir=run", "dir=colour") for argument in SETTINGS]
    run(project, "train.py", *arguments, "method=average", "method.rate=0.4", "trainer.max_steps=20")
    learnt = [float(part) for part in (project / "colour/colour.txt").read_text().split()]
    from PIL import Image, ImageStat

    mean = ImageStat.Stat(Image.open(project / "painting.png").convert("RGB")).mean
    assert learnt == pytest.approx([part / 255 for part in mean], abs=0.05)
    assert refused(project, "resume=colour", "trainer.max_steps=21", "method.rate=0.1") == (
        "error: the checkpoint in colour was made with method.rate=0.4 and does not fit method.rate=0.1: "
        "leave method.rate out, or begin anew with rerun=colour\n"
    )


def test_each_is_on_the_help_screen_and_typed(project) -> None:
    screen = run(project, "train.py", "--help")
    for text in ("Two convolutions", "One colour is learnt", " mine,", "My photos"):
        assert text in screen
    said = refused(project, "network=plain", "network.width=wide")
    assert "network.width is 'wide', but it must be a whole number" in said
