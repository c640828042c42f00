"""Several styles in one run, end to end: what is drawn, told and left behind."""

import itertools
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from photos import make_photos
from PIL import Image
from training import run_here, tiny_arguments

from fst import images, stylefile
from fst.config import replay
from fst.config.compose import compose, composed
from fst.config.schema import check
from fst.config.several import styles
from fst.data import painting_crops
from fst.errors import UserError
from fst.evaluate.judge import reference_losses
from fst.losses.criterion import Criterion
from fst.losses.names import HEADS
from fst.losses.student import read, student
from fst.losses.style_target import StyleTarget
from fst.losses.term import Step
from fst.losses.terms.style import Style
from fst.losses.terms.tv import Tv
from fst.methods import any_module, parts
from fst.methods.feedforward import Feedforward
from fst.methods.feedforward_module import ManyStyles
from fst.methods.method import build
from fst.methods.run import run as train
from fst.networks import build as build_network
from fst.runfolder import read_metrics
from fst.stylefile import StyleInfo


def arguments(folder: Path, weights: Path, **changes: object) -> list[str]:
    """A tiny run of two paintings of one's own."""
    found = tiny_arguments(folder, weights, network="realtime_many", **changes)
    levels = np.random.default_rng(7).integers(0, 2, (20, 24, 3)) * 200
    Image.fromarray(levels.astype(np.uint8)).resize((80, 64), Image.Resampling.NEAREST).save(folder / "other one.png")
    kept = [word for word in found if not word.startswith(("style=", "style.image="))]
    return [f"style=[{folder / 'painting.png'},{folder / 'other one.png'}]", *kept]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, tiny_vgg: Path) -> Path:
    folder = tmp_path_factory.mktemp("many")
    changes = {"loss__style_weight": "auto", "data__batch_size": 1, "trainer__log_every_n_steps": 1}
    words = arguments(folder, tiny_vgg, **changes)
    return run_here(folder / "run", [*words, f"content={folder / 'painting.png'}"])


def test_the_style_file_has_every_style_with_its_figures(run: Path) -> None:
    network, info = stylefile.load(run / "style.safetensors")
    assert info.name == "painting+other_one" and info.settings["styles"] == ["painting", "other_one"]
    assert set(info.style["paintings"]) == {"painting", "other_one"}
    photo = torch.rand(1, 3, 21, 34)
    painted = [network.for_style({name: 1})(photo) for name in info.settings["styles"]]
    assert painted[0].shape == photo.shape and (painted[0] - painted[1]).abs().max() > 1e-3
    figures, metrics = info.training["by_style"], read_metrics(run)
    for name in info.settings["styles"]:
        assert figures[name]["total"] == pytest.approx(metrics[f"val/loss@{name}"], rel=1e-5)
    assert not any("@" in key or key.endswith("_weighted") for key in info.training["losses"])
    totals = [figure["total"] for figure in figures.values()]
    assert metrics["val/loss"] == pytest.approx(sum(totals) / 2, rel=1e-5)
    assert info.int8["inputs"] and info.int8["psnr"] > 10


def test_a_validated_styles_loss_is_without_its_paintings_weight(run: Path) -> None:
    config = check(composed(replay.earlier([f"rerun='{run}'"])))
    criterion, metrics, weights = parts.criterion(config.loss), read_metrics(run), []
    for name, style in styles(config.style).items():
        target = criterion.style_target([images.to_tensor(parts.read_painting(style))])
        weights.append(parts.automatic_style_weight(target.energy(criterion.style.layer_weights)))
        weighted = weights[-1] * metrics[f"val/style_loss@{name}"]
        assert metrics[f"val/style_loss_weighted@{name}"] == pytest.approx(weighted, rel=1e-5)
    assert parts.UNIT not in weights, "as far from it as they may be"


def test_a_run_that_goes_on_from_its_last_step_keeps_each_styles_losses(run: Path, tmp_path: Path) -> None:
    again = tmp_path / "run"
    shutil.copytree(run, again)
    (again / "style.safetensors").unlink()
    overrides = [f"resume='{again}'"]
    train(check(composed([*replay.earlier(overrides), *overrides])), again)
    infos = [stylefile.read_info(folder / "style.safetensors") for folder in (run, again)]
    assert infos[0].training == infos[1].training


def test_styles_take_turns_in_training(run: Path) -> None:
    """Every row of the table has left the start that they share."""
    table = stylefile.load(run / "style.safetensors")[0].table
    neutral = build_network("realtime_many", styles=["one"], widths=[4, 8], depths=[0, 1]).table[0]
    assert all((row - neutral).abs().max() > 1e-3 for row in table)


def test_each_style_is_previewed_and_painted(run: Path) -> None:
    names = {file.name.rpartition("-")[2] for file in (run / "previews" / "step-000006").iterdir()}
    assert names == {"painting.png", "other_one.png"}
    painted = sorted(file.name for file in run.glob("painting-*.jpg"))
    assert painted == ["painting-other_one.jpg", "painting-painting.jpg"]
    sheet = np.asarray(Image.open(run / "previews" / "step-000006.png"))
    assert sheet.shape[1] == 3 * 32 + 2 * 8, "photo | one style | the other"
    assert (run / "painting.png").is_file() and (run / "painting-2.png").is_file()


def test_an_earlier_run_of_several_is_repeated_with_all_of_them(run: Path) -> None:
    again = check(composed(replay.earlier([f"rerun='{run}'"])))
    assert list(styles(again.style)) == ["painting", "other_one"] and again.loss.style_weight == "auto"


def test_a_sweep_compares_runs_of_several_by_the_mean_over_them(run: Path) -> None:
    config = check(composed(replay.earlier([f"rerun='{run}'"])))
    found = reference_losses(config, run)
    figures = stylefile.read_info(run / "style.safetensors").training["by_style"].values()
    assert found["reference/content_loss"] == pytest.approx(np.mean([of["content"] for of in figures]), rel=0.2)


def test_a_picture_has_its_own_paintings_weight() -> None:
    style, features = Style(["relu1_2"]), torch.rand(3, 5, 6, 7)
    targets, weights = torch.rand(3, 5, 5), torch.tensor([1.0, 0.5, 4.0])
    pixels = features.double().flatten(2)
    distances = (pixels @ pixels.mT / (5 * 6 * 7) - targets).square().mean((1, 2))
    step = Step(features, {}, StyleTarget({(1.0, "relu1_2"): targets}, weights), None, {})
    step._computed[1.0] = {"relu1_2": features}
    assert style(step)["relu1_2"].item() == pytest.approx((weights * distances).mean().item(), rel=1e-4)
    assert step.style[torch.tensor([2, 2, 0])].weights.tolist() == [4.0, 4.0, 1.0]


MISTAKES = {
    "style=[gogh,hokusaii] network=realtime_many": "'hokusaii' is neither a style nor an image file, did you mean 'hok",
    "style=[gogh,turner,gogh] network=realtime_many": "names gogh twice",
    "style=[gogh,turner]": "network=realtime learns one style; several need network=johnson_many or realtime_many",
    "style=[gogh,turner] method=gatys content=train.py": "method=gatys",
    "style=[gogh,turner] style.image=train.py network=realtime_many": "style.image is one painting",
    "style=[] network=realtime_many": "one list, as style=",
    "style=[gogh],[turner] network=realtime_many": "one list, as style=",
    "style=gogh network=realtime_many network.styles=[a]": "leave it out",
}


@pytest.mark.parametrize("words", MISTAKES)
def test_mistakes_are_said_in_a_line(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[1])
    with pytest.raises(UserError) as error:
        typed = check(compose(words.split()))
        build(typed.method).check(typed)
    assert MISTAKES[words] in str(error.value) and "\n" not in str(error.value)


def test_a_run_of_many_styles_has_a_short_name() -> None:
    config = compose(["style=[gogh,hokusai,turner,klimt,munch]", "style.size=256", "network=johnson_many"])
    assert config.style.name == "gogh+hokusai+turner+2"
    found = styles(check(config).style)
    assert list(found) == ["gogh", "hokusai", "turner", "klimt", "munch"]
    assert found["klimt"].artist == "Gustav Klimt" and found["klimt"].size == 256


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory, tiny_vgg: Path) -> Path:
    """A run whose predictor learns from 16 paintings of one colour each and some noise."""
    folder = tmp_path_factory.mktemp("any")
    words = arguments(
        folder, tiny_vgg, network__predictor=8, data__batch_size=1, method__warmup_steps=0, trainer__log_every_n_steps=1
    )
    make_photos(folder / "paintings", 16, size=(48, 56))
    (folder / "paintings" / "b" / "z.jpg").write_bytes(b"damaged: it is passed over")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(painting_crops, "COPIES", 2)
        patch.setattr(painting_crops, "SEEN", 40)
        patch.setattr(painting_crops, "SHORT", 44)
        return run_here(folder / "run", [*words, f"style.paintings={folder / 'paintings'}"])


def test_a_predictor_learns_and_is_validated_on_paintings_that_it_does_not_learn_from(reading: Path) -> None:
    network, info = stylefile.load(reading / "style.safetensors")
    start = build_network("realtime_many", **info.settings).predictor.last.bias
    assert (network.predictor.last.bias - start).abs().max() > 1e-4
    assert all((row - start).abs().max() > 1e-3 for row in network.table), "styles take turns in the other half"
    metrics = read_metrics(reading)
    assert all(
        metrics[f"val/style_loss@{name}"] > 0 for name in ["painting", "other_one", "photo001"]
    )  # the 9th by name
    assert set(info.training["by_style"]) == {"painting", "other_one"}
    assert info.int8["psnr"] > 10


@pytest.mark.parametrize(("count", "processes"), [(1, 1), (4, 1), (5, 1), (3, 2)])
def test_styles_of_the_table_take_turns_without_a_gap(count: int, processes: int) -> None:
    """Over steps and processes together; where half of a batch has styles that are read, in the other half."""
    counted: list[int] = []
    of_many: list[int] = []
    table = torch.arange(1000)[:, None]
    for step, rank in itertools.product(range(6), range(processes)):
        names = SimpleNamespace(names=range(1000), table=table)
        trainer = SimpleNamespace(world_size=processes)
        module = SimpleNamespace(network=names, style=table, trainer=trainer, global_rank=rank, device="cpu")
        vectors, targets = ManyStyles.turn(module, count, step * count)
        assert torch.equal(vectors, targets)
        of_many += vectors.flatten().tolist()

        def turn(own: int, before: int, module: SimpleNamespace = module) -> None:
            counted.extend(ManyStyles.turn(module, own, before)[0].flatten().tolist())
            raise ZeroDivisionError  # what follows is of no matter here

        with pytest.raises(ZeroDivisionError):
            any_module.AnyStyle.drawn(SimpleNamespace(global_step=step, turn=turn), count)
    assert of_many == list(range(6 * count * processes))
    assert counted == list(range(3 * count * processes))


def test_a_quarter_of_the_paintings_drawn_are_mixtures_each_with_the_weight_that_suits_it() -> None:
    """Of paintings whose Gram matrices are filled with 1, 2, 4 and 8."""
    shelf = object.__new__(any_module.Shelf)
    shelf.layer_weights = {"relu1_2": 2.0}
    filled = torch.tensor([1.0, 2.0, 4.0, 8.0])[:, None, None].expand(4, 3, 3)
    keys = [(1.0, "relu1_2"), (0.5, "relu1_2"), *HEADS]
    shelf.grams = {key: any_module._packed(filled * 0.02) for key in keys}
    torch.manual_seed(0)
    target, seen = shelf.draw(2000)
    levels = target.grams[1.0, "relu1_2"][:, 0, 0] / 0.02
    for gram in (*target.grams.values(), *seen.values()):
        assert torch.allclose(gram, levels[:, None, None].expand(2000, 3, 3) * 0.02, rtol=1e-3)
    assert target.grams.keys() == {(1.0, "relu1_2"), (0.5, "relu1_2")} and seen.keys() == set(HEADS)
    mixed = (levels.log2() - levels.log2().round()).abs() > 1e-2
    assert mixed.float().mean().item() == pytest.approx(0.25 * 3 / 4, abs=0.04)  # a quarter of the pairs are twins
    energy = 2 * 2.0 * (levels * 0.02) ** 2
    assert torch.allclose(target.weights, (323 / energy).clamp(2.5e4, 3e5) / 1e5, rtol=1e-3)
    assert 0.25 == target.weights.min() < target.weights.max()


def test_the_table_learns_at_full_weight_beside_what_is_read_and_the_predictor_slowly() -> None:
    target = StyleTarget({(1.0, "relu1_2"): torch.rand(1, 3, 3)}, torch.tensor([0.3]))
    module = SimpleNamespace(global_step=0, device="cpu", _paint=None, _aim=ManyStyles._aim)
    module.turn = lambda *_: (torch.ones(1, 5), StyleTarget(target.grams))
    module.shelf = SimpleNamespace(draw=lambda _: (target, {}))
    module.predicted = lambda _: torch.zeros(1, 5)
    assert any_module.AnyStyle.drawn(module, 2).style.weights.tolist() == pytest.approx([1, 0.3])
    network = build_network("realtime_many", styles=["a"], predictor=4, widths=[4, 8], depths=[0, 1])
    criterion = Criterion(None, {"tv": (1.0, Tv())})
    whole = any_module.AnyStyle(
        network, criterion, target, Feedforward(), steps=9, info=StyleInfo("a", "realtime_many")
    )
    rates = {
        id(one): group["lr"] for group in whole._optimizer(network.parameters()).param_groups for one in group["params"]
    }
    slow = {id(one) for one in network.predictor.parameters()}
    assert {rate for one, rate in rates.items() if one in slow} == {0.001}
    assert {rate for one, rate in rates.items() if one not in slow} == {0.01, 0.008}
    assert len(rates) == len(list(network.parameters()))


def test_a_painting_is_read_in_fp32_within_autocast() -> None:
    network = build_network("realtime_many", styles=["a"], predictor=4, widths=[4, 8], depths=[0, 1])
    info, criterion = StyleInfo("a", "realtime_many"), Criterion(None, {"tv": (1.0, Tv())})
    module = any_module.AnyStyle(network, criterion, StyleTarget({}), Feedforward(), steps=9, info=info)
    seen = {layer: torch.rand(2, channels, channels) for layer, channels in HEADS.items()}
    with torch.autocast("cpu", torch.bfloat16):
        found = module.predicted(seen)
    assert torch.equal(found, module.predicted(seen))


def test_what_is_read_of_a_painting_is_kept_as_it_was() -> None:
    features = torch.rand(2, 6, 50)
    grams = features @ features.mT / 300
    assert torch.allclose(any_module._unpacked(any_module._packed(grams)), grams, rtol=1e-3)


def test_crops_of_a_painting_are_parts_of_it_and_the_last_has_other_colours(tmp_path, monkeypatch) -> None:
    """Of a painting whose red is its column and whose green is its row: twice as large as it is reduced to."""
    monkeypatch.setattr(painting_crops, "SHORT", 80)
    monkeypatch.setattr(painting_crops, "SEEN", 72)
    rows, columns = np.indices((160, 240))
    picture = np.stack([columns * 255 / 239, rows * 255 / 159, np.full(rows.shape, 60)], 2).round().astype(np.uint8)
    file = images.write(tmp_path / "wide.png", picture)
    found = torch.stack([torch.cat(painting_crops.crops(file, seed)) for seed in range(40)])
    assert found.shape == (40, 4, 3, 72, 72)
    whole, last = found[:, :3], found[:, 3]
    across = (whole[:, :, 0, 36, -1] - whole[:, :, 0, 36, 0]).flatten() * 240 * 72 / 71
    down = (whole[:, :, 1, -1, 36] - whole[:, :, 1, 0, 36]).flatten() * 160 * 72 / 71
    assert 0.3 < (across < 0).float().mean() < 0.7 and (down > 0).all(), "half of them mirrored, none upside down"
    assert torch.allclose(across.abs(), down, atol=5), "squares"
    assert 0.3 < (down > 142).float().mean() < 0.7, "half of them of 72 pixels of a short edge of 80"
    assert 0.68 * 144 < down.min() < 0.76 * 144 and down.max() < 1.02 * 144, "and half of fewer, 0.7 of them at least"
    assert whole[:, :, 0].max() > 0.95 and whole[:, :, 0].min() < 0.05, "from edge to edge"
    assert torch.allclose(whole[:, :, 2], torch.tensor(60 / 255), atol=0.01)
    assert (last[:, 2].mean((1, 2)) - 60 / 255).abs().gt(0.05).float().mean() > 0.3, "channels in another order"


def test_adapt_brings_its_own_loss_and_steps_and_what_is_given_wins() -> None:
    preset = compose(["method=adapt"])
    assert preset.loss.architecture == "vgg16_small" and preset.method.init_from == "many"
    given = compose(["method=adapt", "loss=vgg16_relu3", "trainer.max_steps=7", "method.init_from=gogh"])
    assert given.loss.architecture == "vgg16" and given.trainer.max_steps == 7 and given.method.init_from == "gogh"
    assert given.method.muon_learning_rate == preset.method.muon_learning_rate


def test_adapt_leaves_a_plain_network_that_began_as_what_was_read_of_the_painting(tmp_path, tiny_vgg) -> None:
    settings = {"styles": ["a"], "predictor": 8, "widths": [4, 8], "depths": [0, 1]}
    torch.manual_seed(1)
    trunk = stylefile.save(
        tmp_path / "m.safetensors",
        build_network("realtime_many", **settings),
        StyleInfo("m", "realtime_many", settings),
    )
    rates = {"method__learning_rate": 1e-9, "method__muon_learning_rate": 1e-9, "trainer__max_steps": 1}
    words = tiny_arguments(tmp_path, tiny_vgg, method="adapt", method__init_from=trunk, style__size=80, **rates)
    network, info = stylefile.load(run_here(tmp_path / "run", words) / "style.safetensors")
    assert info.network == "realtime" and info.int8["inputs"]
    start = stylefile.load(trunk)[0]
    vector = start.predictor(read(student(), [images.to_tensor(images.read(tmp_path / "painting.png"))]))
    photo = torch.rand(1, 3, 32, 32)
    assert torch.allclose(network(photo), start(photo, vector), atol=2e-3)
