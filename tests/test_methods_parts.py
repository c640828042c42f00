import importlib
import inspect

import numpy as np
import pytest
import torch
from criteria import build_criterion
from omegaconf import OmegaConf
from torch import nn
from training import run_here, tiny_arguments

from fst import images, stylefile
from fst.config import groups
from fst.config.compose import compose
from fst.config.schema import StyleConfig, TrainerConfig, check
from fst.config.signatures import registered
from fst.data.paintings import painting
from fst.errors import UserError
from fst.losses.terms.checkerboard import Checkerboard
from fst.losses.vgg import VGGFeatures, tensor_shapes
from fst.methods import parts
from fst.methods.feedforward import about_painting
from fst.methods.method import build as build_method
from fst.methods.parts import automatic_style_weight, init_from
from fst.networks import Network, build
from fst.stylefile import StyleInfo

SETTINGS = {"widths": [4, 8], "depths": [0, 1]}
PAINTING = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)


@pytest.mark.parametrize("where", ["file", "folder"])
def test_a_run_starts_from_a_trained_style(tmp_path, where) -> None:
    torch.manual_seed(0)
    trained, fresh = build("realtime", **SETTINGS), build("realtime", **SETTINGS)
    file = stylefile.save(tmp_path / "style.safetensors", trained, StyleInfo("wave", "realtime", SETTINGS))
    photo = torch.rand(1, 3, 24, 24)
    assert not torch.allclose(fresh(photo), trained(photo))
    init_from(fresh, str(file if where == "file" else tmp_path), "realtime", PAINTING)
    assert torch.equal(fresh(photo), trained(photo))
    assert all(parameter.requires_grad for parameter in fresh.parameters())


def test_another_network_is_refused(tmp_path) -> None:
    file = stylefile.save(
        tmp_path / "s.safetensors", build("realtime", **SETTINGS), StyleInfo("wave", "realtime", SETTINGS)
    )
    for network in (build("realtime", widths=[4, 6], depths=[0, 1]), build("realtime", widths=[4, 8], depths=[0, 2])):
        with pytest.raises(UserError, match=r"another network than this run's: realtime with .*network.depths="):
            init_from(network, str(file), "realtime", PAINTING)
    with pytest.raises(UserError, match="does not exist"):
        init_from(build("realtime", **SETTINGS), "nowhere", "realtime", PAINTING)


@pytest.mark.parametrize("predictor", [8, 0])
def test_a_run_starts_from_what_a_network_of_many_styles_reads_from_its_painting(tmp_path, predictor) -> None:
    settings = {"styles": ["a", "b"], "predictor": predictor, **SETTINGS}
    torch.manual_seed(0)
    many, fresh = build("realtime_many", **settings), build("realtime", **SETTINGS)
    many.table.data += torch.randn_like(many.table)
    file = stylefile.save(tmp_path / "many.safetensors", many, StyleInfo("many", "realtime_many", settings))
    init_from(fresh, str(file), "realtime", PAINTING)
    photo, vector = torch.rand(1, 3, 24, 24), many.table.mean(0, keepdim=True)
    if predictor:
        criterion = parts.criterion(check(compose(["style=gogh", "loss=vgg16_small"])).loss)
        grams = criterion.style_target([images.to_tensor(PAINTING)]).grams
        vector = many.predictor({layer: gram for (_, layer), gram in grams.items()})
    assert torch.allclose(fresh(photo), many(photo, vector), atol=1e-4)
    with pytest.raises(UserError, match=r"another network than this run's: realtime with .*network.depths="):
        init_from(build("realtime", widths=[4, 6], depths=[0, 1]), str(file), "realtime", PAINTING)
    if predictor:
        with pytest.raises(UserError, match="a single colour"):
            init_from(fresh, str(file), "realtime", np.full_like(PAINTING, 90))


def test_the_bundled_network_of_many_styles_is_where_adapt_begins() -> None:
    config = compose(["method=adapt"])
    network = build("realtime", widths=list(config.network.widths), depths=list(config.network.depths))
    before = network.layers[1][0].weight.clone()
    init_from(network, config.method.init_from, "realtime", PAINTING)
    assert not torch.equal(network.layers[1][0].weight, before)


@pytest.mark.parametrize(
    "words, start",
    [
        ([], "hokusai"),
        (["method.init_from=turner", "network.fold=4"], "turner"),
        (["method.init_from=null"], None),
        (["network.skips=false"], None),  # whose weights have the same shapes
        (["network.widths=[16,48,96]"], None),
        (["network=johnson"], "picabia-johnson"),
        (["network=johnson", "network.norm=batch"], None),
        (["network=realtime_many", "style=[gogh,turner]"], None),
    ],
)
def test_a_run_begins_with_a_bundled_network_that_is_the_same_as_its_own(words, start, capsys) -> None:
    assert parts.decide_start(check(compose(words))) == start
    told = capsys.readouterr().out
    if any(word.startswith("method.init_from") for word in words):
        assert told == ""
    else:
        assert told.startswith(
            "begins from nothing" if start is None else f"begins with the network of the bundled {start} "
        )


def test_the_layers_that_terms_ask_for_are_loaded_and_checked(monkeypatch, tiny_vgg) -> None:
    loss = check(
        compose([f"loss.weights={tiny_vgg}", "loss.style_layers=[relu1_2]", "loss.checkerboard_weight=1"])
    ).loss
    monkeypatch.setattr(Checkerboard, "photo_layers", ("relu3_1",))  # which neither content nor style has
    assert "relu3_1" in parts.criterion(loss).content_target(torch.rand(1, 3, 32, 32))
    monkeypatch.setattr(Checkerboard, "photo_layers", ("relu9_9",))
    with pytest.raises(UserError, match="unknown layer 'relu9_9' of vgg16"):
        parts.build_terms(loss)


def test_a_crop_too_small_for_a_term_of_ones_own_is_told_beforehand(monkeypatch, tiny_vgg) -> None:
    words = [f"loss.weights={tiny_vgg}", "loss=vgg16_relu3", "loss.checkerboard_weight=1", "data.size=40"]
    config = check(compose(words))
    build_method(config.method).check(config)  # 24 pixels are enough for relu3_3
    monkeypatch.setattr(Checkerboard, "painted_layers", lambda term: {0.5: ["relu1_1", "relu4_1"]})
    with pytest.raises(UserError, match=r"edges is 24 pixels, but relu4_1 needs at least 32"):
        build_method(config.method).check(config)


def test_a_constructor_that_reads_a_tensors_value_is_an_error_with_file_and_line(monkeypatch, tiny_vgg) -> None:
    config = check(compose([f"loss.weights={tiny_vgg}"]))
    built = Checkerboard.__init__

    def reads(term: Checkerboard, *given: int, **named: int) -> None:
        built(term, *given, **named)
        term.window = torch.linspace(0, 1, 3).sum().item()

    monkeypatch.setattr(Checkerboard, "__init__", reads)
    with pytest.raises(UserError, match=r"test_methods_parts\.py:\d+: .* meta device .*sum\(\)\.item\(\)"):
        build_method(config.method).check(config)


def test_a_checkout_without_bundled_styles_begins_from_nothing(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(stylefile, "BUNDLED", tmp_path)
    assert parts.decide_start(check(compose([]))) is None


def test_a_run_of_the_default_network_paints_at_first_as_the_bundled_style_does(tmp_path, tiny_vgg) -> None:
    rates = {"method__learning_rate": 1e-9, "method__muon_learning_rate": 1e-9, "trainer__max_steps": 1}
    usual = {"network__widths": "[16,32,64]", "network__depths": "[0,1,3]", "data__size": 64}
    run = run_here(tmp_path / "run", tiny_arguments(tmp_path, tiny_vgg, **rates, **usual))
    photo, hokusai = torch.rand(1, 3, 64, 64), stylefile.load(stylefile.bundled()["hokusai"])[0]
    assert torch.allclose(stylefile.load(run / "style.safetensors")[0](photo), hokusai(photo), atol=2e-3)
    assert OmegaConf.load(run / "config.yaml").method.init_from == "hokusai"


@pytest.mark.parametrize(
    ("layers", "found"),
    [
        (nn.Conv2d(3, 1, 1), "(1, 1, 32, 32)"),  # which training would take for grey pictures
        (nn.Conv2d(3, 3, 2, stride=2), "(1, 3, 16, 16)"),
        (nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(3, 3, 1)), "(1, 3, 64, 64)"),
    ],
)
def test_a_network_whose_pictures_are_not_like_photos_is_refused(
    tmp_path, tiny_vgg, monkeypatch, layers: nn.Module, found: str
) -> None:
    class Wrong(Network):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(layers)

    monkeypatch.setattr(parts, "network", lambda config: Wrong())
    with pytest.raises(UserError) as error:
        run_here(tmp_path / "run", tiny_arguments(tmp_path, tiny_vgg))
    assert f"network=realtime makes {found} of a photo (1, 3, 32, 32): its layers" in str(error.value)
    assert not (tmp_path / "run").exists()


def test_a_run_reads_as_much_more_of_a_photo_as_its_terms_ask_for(tmp_path, tiny_vgg) -> None:
    config = check(compose(tiny_arguments(tmp_path, tiny_vgg, loss__stability_shift=5)))
    method = build_method(config.method)
    method.prepare(config, tmp_path)
    assert next(iter(method.data.train_dataloader())).shape == (2, 3, 32 + 5, 32 + 5)


def test_in_bf16_the_loss_network_computes_in_bf16_and_the_style_to_reach_is_exact(tmp_path, tiny_vgg) -> None:
    grams = []
    for precision, dtype in (("32-true", torch.float32), ("bf16-mixed", torch.bfloat16)):
        config = check(compose(tiny_arguments(tmp_path, tiny_vgg, trainer__precision=precision)))
        method = build_method(config.method)
        method.prepare(config, tmp_path)
        assert {one.dtype for one in method.module.criterion.features.parameters()} == {dtype}
        grams.append(method.module.style.grams)
    assert all(torch.equal(gram, grams[1][key]) for key, gram in grams[0].items())


def test_a_style_with_an_image_of_its_own_keeps_its_name_wherever_that_is_seen_from(tmp_path, monkeypatch) -> None:
    (tmp_path / "style").mkdir()
    (tmp_path / "style/mine.yaml").write_text("name: mine\ntitle: Three Colours\nimage: pictures/a.png\n")
    monkeypatch.setattr(groups, "CONF", tmp_path)
    for name, title in (("a.png", "Three Colours"), ("b.png", "b.png")):
        image = images.write(tmp_path / "elsewhere" / name, PAINTING)
        assert about_painting(StyleConfig("mine", str(image), title="Three Colours"))["title"] == title


def test_the_automatic_style_weight_balances_paintings() -> None:
    """1e5 for a painting as strong as Starry Night; a quarter where Gram matrices are twice as large, so that squares
    are four times as large.
    """
    weights = {
        name: torch.randn(shape, generator=torch.Generator().manual_seed(index)) * 0.1
        for index, (name, shape) in enumerate(tensor_shapes(["relu1_1", "relu1_2"]).items())
    }
    loss = build_criterion(
        VGGFeatures(["relu1_2"], weights),
        content_layers=["relu1_2"],
        style_layers=["relu1_2"],
        style_layer_weights=[3.0],
        style_scales=[1.0, 0.5],
    )
    painting = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    style = loss.style_target([painting])
    by_hand = sum(3.0 * style.grams[scale, "relu1_2"].double().square().mean() for scale in (1.0, 0.5))
    assert style.energy(loss.style.layer_weights) == pytest.approx(float(by_hand), rel=1e-5)
    energies = torch.tensor([0.00323, 4 * 0.00323])
    assert [automatic_style_weight(energy) for energy in energies] == [1e5, 2.5e4]


def test_starry_night_at_1e5_is_the_measure(store) -> None:
    config = compose(["style=gogh", "loss=vgg16_relu3", "loss.style_weight=auto"])
    typed = OmegaConf.to_object(config)
    criterion = parts.criterion(typed.loss)
    parts.decide_style_weight(typed, criterion, criterion.style_target([images.to_tensor(painting(typed.style))]))
    assert typed.loss.style_weight == criterion.weights["style"] == 1e5


@pytest.mark.parametrize("value", ["abc", "true", "-1", "inf", "[1]"])
def test_a_style_weight_is_a_number_or_auto(value) -> None:
    with pytest.raises(UserError, match=r"loss\.style_weight"):
        check(compose(["style=gogh", f"loss.style_weight={value}"]))


@pytest.mark.parametrize("name", ["feedforward", "gatys"])
def test_settings_in_the_config_are_the_methods_own(name) -> None:
    """Read from the source without importing it, against what importing it says."""
    found = registered("methods")[name]
    method = getattr(importlib.import_module(found.module), name.title())
    assert found.help and method.__doc__ == found.help
    assert {key: default for key, (_, default) in found.arguments.items()} == {
        key: parameter.default for key, parameter in inspect.signature(method).parameters.items()
    }


def test_what_is_done_outside_the_trainer_is_done_on_the_runs_own_gpu(monkeypatch) -> None:
    """A job of a sweep has a GPU to itself, and each process of ddp: all of them on the first would fill its memory."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    assert parts.device(TrainerConfig(accelerator="cpu")) == "cpu"
    assert parts.device(TrainerConfig()) == "cuda:0"
    assert parts.device(TrainerConfig(accelerator="gpu", devices=[3])) == "cuda:3"
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert parts.device(TrainerConfig(strategy="ddp")) == "cuda:1"
    assert parts.device(TrainerConfig(strategy="ddp", devices=[1, 2])) == "cuda:2"
