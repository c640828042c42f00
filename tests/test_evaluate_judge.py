"""The judge against formulas written out here, the grid's figures on made patterns."""

import json
import shutil

import numpy as np
import pytest
import torch
from photos import make_photos
from styles import make_style

from fst import images, stylefile
from fst.config.compose import compose
from fst.config.schema import LossConfig, check
from fst.errors import UserError
from fst.evaluate import equivalence, grid, judge
from fst.evaluate.equivalence import Match
from fst.evaluate.judge import DEFINITION, Judge, weighted
from fst.networks import build


@pytest.fixture(scope="module")
def judged(tiny_vgg) -> Judge:
    rng = np.random.default_rng(0)
    loss = weighted(LossConfig(weights=str(tiny_vgg)), **DEFINITION, style_weight=1e5)
    photos = {name: images.to_tensor(rng.integers(0, 256, (40, 48, 3)).astype(np.uint8)) for name in "ab"}
    return Judge(loss, rng.integers(0, 256, (64, 64, 3)).astype(np.uint8), photos, also=["relu3_3"])


def test_a_painter_that_changes_nothing_has_the_photos_own_losses(judged) -> None:
    same = judged.losses(lambda photo: photo)
    assert same["style_ratio"] == pytest.approx(1) and same["content_loss"] == same["content_relu3_3"] == 0
    assert same["total"] == pytest.approx(1e5 * same["style_loss"], rel=1e-5)


def test_losses_are_means_over_photos_of_clipped_pictures(judged) -> None:
    """By the formulas of README, "The numbers", from the features alone."""
    features, layers = judged.criterion.features, DEFINITION["style_layers"]

    def gram(values: torch.Tensor) -> torch.Tensor:
        flat = values.double().flatten(2)[0]
        return flat @ flat.T / values.numel()

    content, style = [], []
    with torch.no_grad():
        for photo in judged.photos.values():
            white, own = (features(picture, layers) for picture in (torch.ones_like(photo), photo))
            content.append((white["relu2_2"] - own["relu2_2"]).square().mean().item())
            targets = {layer: judged.style.grams[1.0, layer][0] for layer in layers}
            style.append(sum((gram(white[layer]) - targets[layer]).square().mean().item() for layer in layers))
    found = judged.losses(lambda photo: torch.full_like(photo, 3.0))
    assert found["content_loss"] == pytest.approx(np.mean(content), rel=1e-4)
    assert found["style_loss"] == pytest.approx(np.mean(style), rel=1e-4)
    for level in (1.0, 3.0):
        total = judged.total(lambda photo, level=level: torch.full_like(photo, level), "a")
        assert total == pytest.approx(content[0] + 1e5 * style[0], rel=1e-4)


def test_a_step_of_colour_in_an_even_photo_is_uneven(tiny_vgg) -> None:
    grey = {name: torch.full((1, 3, 48, 48), 0.5) for name in "ab"}
    judged = Judge(weighted(LossConfig(weights=str(tiny_vgg)), **DEFINITION), np.zeros((64, 64, 3), np.uint8), grey)
    painted = iter([grey["a"], torch.cat([grey["b"][..., :24], torch.full((1, 3, 48, 24), 0.9)], dim=3)])
    # Squares of 8 pixels, 4 apart: of the 10 pairs of each row two have half of the step between them.
    assert judged.losses(lambda _: next(painted))["unevenness"] == pytest.approx(3 * 2 * 0.2**2 / 10 / 2, rel=1e-4)


def test_an_objective_without_style_has_a_total_and_an_optimisation(tiny_vgg) -> None:
    """As of a network trained with loss.style_weight=0, which equivalence places as any other."""
    photo = torch.rand(1, 3, 40, 48, generator=torch.Generator().manual_seed(1))
    loss = weighted(LossConfig(weights=str(tiny_vgg)), **DEFINITION, style_weight=0.0)
    content = Judge(loss, np.zeros((64, 64, 3), np.uint8), {"a": photo})
    assert content.total(lambda photo: photo, "a") == 0 < content.total(torch.zeros_like, "a")
    first, *_, last = content.lbfgs("a", 3)
    assert last < first


def test_a_jobs_reference_is_measured_on_the_jobs_own_gpu(tmp_path, tiny_vgg, monkeypatch) -> None:
    class Asked(Exception):
        pass

    def asked(*_: object, device: str) -> None:
        raise Asked(device)

    run, painting = tmp_path / "run", tmp_path / "painting.png"
    make_style(run / "style.safetensors")
    images.write(painting, np.zeros((64, 64, 3), np.uint8))
    words = ["style=custom", f"style.image={painting}", f"loss.weights={tiny_vgg}", "data=procedural"]
    config = check(compose([*words, "loss=vgg16_relu3", "data.val_images=1", "data.size=48", "trainer.devices=[3]"]))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(judge, "Judge", asked)
    with pytest.raises(Asked, match="cuda:3"):
        judge.reference_losses(config, run)


def test_a_network_is_judged_as_infer_paints_with_it_by_content_and_style_alone() -> None:
    seen = []
    judge.as_used(lambda image: seen.append(image.shape) or image)(torch.zeros(1, 3, 40, 50))
    assert seen == [(1, 3, 40 + 2 * 16, 50 + 2 * 16)]
    loss = vars(weighted(LossConfig(tv_weight=3.0), style_weight=1e5))
    weights = {key: value for key, value in loss.items() if key.endswith("_weight") and value}
    assert weights == {"content_weight": 1.0, "style_weight": 1e5}


def test_some_photos_of_a_folder_are_spread_over_it(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(judge, "SIDE", 8)
    for name in "abcde":
        images.write(tmp_path / f"{name}.png", np.zeros((20, 30, 3), np.uint8))
    assert list(judge.read_photos(tmp_path, 2)) == ["a", "c"] and len(judge.read_photos(tmp_path, 9)) == 5


def test_a_painting_is_judged_by_at_the_size_asked_for(tmp_path) -> None:
    star = images.write(tmp_path / "star.png", np.zeros((64, 80, 3), np.uint8))
    assert judge.read_painting(str(star), 40).shape == (32, 40, 3)


def test_lbfgs_goes_down_from_noise(judged) -> None:
    losses = judged.lbfgs("a", 4)
    assert len(losses) == 5 and losses[-1] < losses[0]
    assert judged.lbfgs("a", 1) == losses[:2]  # from the same noise
    plain = judged.lbfgs("a", 4, line_search=False)
    assert len(plain) == 5 and plain[0] == losses[0] and plain[-1] < plain[0]


def test_a_network_is_worth_the_first_iteration_that_is_as_good() -> None:
    losses = [9.0, 5.0, 3.0, 2.0]
    matches = [Match("a", network, losses) for network in (10, 5, 2.5, 1)]
    assert [match.iteration for match in matches] == [0, 1, 3, 4]
    assert [str(match) for match in matches] == ["0", "1", "3", "> 3"]
    matches = [Match("a", 5, losses), Match("b", 2.5, losses), Match("c", 1, losses)]
    assert equivalence.summary(matches) == "3 (1 to > 3)"
    assert equivalence.summary(matches[:2]) == "1 (1 to 3)"


def test_pictures_of_any_program_and_styles_are_judged_alike(tmp_path, tiny_vgg, monkeypatch, capsys) -> None:
    make_photos(tmp_path / "content", 2, size=(90, 120))
    make_photos(tmp_path / "painted", 2, size=(90, 120))
    images.write(tmp_path / "star.png", np.random.default_rng(5).integers(0, 255, (160, 200, 3)).astype(np.uint8))
    style = make_style(tmp_path / "style.safetensors", "realtime")
    monkeypatch.setenv("FST_HOME", str(tmp_path))
    monkeypatch.setattr(judge, "LOSS", [f"loss.weights={tiny_vgg}", "loss.style_layers=[relu1_2]"])
    monkeypatch.setattr(judge, "SIDE", 64)  # a sixteenth of the work
    painting = ["--painting", str(tmp_path / "star.png")]
    judge.main([str(tmp_path / "painted"), str(style), *painting])
    untouched, painted = [line.split(" | ") for line in capsys.readouterr().out.splitlines()[2:]]
    assert untouched[1] == "0.00" and untouched[4] == "1.0000"  # the photos themselves
    assert float(painted[1]) > 0
    for folder, end in {"content": "", "painted": "_by_me"}.items():
        for file, name in zip(sorted((tmp_path / folder).rglob("*.png")), ("bridge2", "bridge"), strict=True):
            file.rename(file.with_stem(name + end))
    for name in ("bridge", "a/bridge"):
        images.write(tmp_path / f"two/{name}.png", np.full((90, 120, 3), 9 * len(name), np.uint8))
    judge.main([str(tmp_path / "painted"), *painting])
    judge.main([str(tmp_path / "two"), "--photos", str(tmp_path / "two"), *painting])
    assert capsys.readouterr().out.count(" | 0.00 | ") == 2  # each photo with its own picture, in its own folder
    nested = sorted((tmp_path / "painted").rglob("*.png"))
    for file in nested:
        images.write(tmp_path / "flat" / file.name, images.read(file))
    judge.main([str(tmp_path / "flat"), *painting])
    assert capsys.readouterr().out.count(" | 0.00 | ") == 1  # or where all have names of their own, in any
    with pytest.raises(UserError, match="name it with --painting"):
        judge.main([str(tmp_path / "painted")])
    (tmp_path / "painted" / "a" / "bridge2_by_me.png").unlink()
    with pytest.raises(UserError, match="has no picture of"):
        judge.main([str(tmp_path / "painted"), *painting])


def test_the_commands_write_what_they_print(tmp_path, tiny_vgg, capsys, monkeypatch) -> None:
    monkeypatch.setattr(judge, "SIDE", 64)
    make_photos(tmp_path / "photos", 2, size=(64, 64))
    star = images.write(tmp_path / "star.png", np.random.default_rng(5).integers(0, 255, (64, 80, 3)).astype(np.uint8))
    loss = {"weights": str(tiny_vgg), "style_layers": ["relu1_2"], "content_layers": ["relu2_2"], "forgotten": 1}
    (tmp_path / "tiny").mkdir()
    style = tmp_path / "tiny" / "style.safetensors"
    settings = {"width": 8, "depth": 1}
    info = stylefile.StyleInfo("star", "johnson", settings, {"size": 64}, training={"loss": loss})
    stylefile.save(style, build("johnson", **settings), info)
    words = [str(style), "--photos", str(tmp_path / "photos"), "--painting", str(star), "--iterations", "2"]
    run = shutil.copytree(tmp_path / "tiny", tmp_path / "again") / style.name  # every run's file has one name
    equivalence.main([str(run), *words, "--out", str(tmp_path / "out")])
    assert capsys.readouterr().out.count("iterations of L-BFGS, median and range over 2 photos") == 2
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert list(results) == [str(run), str(style)]
    found = results[str(run)]
    assert [len(match["losses"]) for match in found] == [3, 3] and found[0]["network"] > 0
    assert found[0]["without_line_search"][0] == found[0]["losses"][0]  # the same noise
    assert (tmp_path / "out" / "figure.jpg").stat().st_size > 5000
    picture = next((tmp_path / "photos").rglob("*.png"))
    grid.main([str(picture), str(style), "--figure", str(tmp_path / "grid.jpg")])
    printed = capsys.readouterr().out
    assert f"| johnson, {style}, in a margin | " in printed and "| realtime, untrained | " in printed
    assert (tmp_path / "grid.jpg").stat().st_size > 20_000


def photo() -> np.ndarray:
    return images.resize(np.random.default_rng(3).integers(0, 256, (9, 12, 3)).astype(np.uint8), (192, 256))


def test_dots_of_two_and_of_four_pixels_are_told_apart() -> None:
    rng = np.random.default_rng(0)
    grey = 120 + rng.normal(0, 4, (128, 130, 3))
    rows, columns = np.indices(grey.shape[:2])
    plain = grid.grid(grey)
    assert grid.grid(np.full((64, 64, 3), 7, np.uint8)) == 0
    for period, other in ((2, 4), (4, 2)):
        for axis in (rows, columns):
            dotted = grey + 3 * np.where(axis % period < period // 2, 1, -1)[..., None]
            assert grid.grid(dotted, period) > 100 * plain
            assert period == 4 or grid.grid(dotted, other) < 20


def test_a_blob_and_a_pale_border_stand_out() -> None:
    painted = (photo() * 0.9).astype(np.uint8)
    plain = grid.blob(painted, photo())
    painted[64:84, 100:120] = (255, 0, 255)
    assert plain < 5 and grid.blob(painted, photo()) > 3 * plain
    levels = np.array([*range(15), 47])  # of red, a block each: apart from their median, 7.5, by 4 in the median
    squares = np.kron(levels.reshape(4, 4), np.ones((16, 16), int))
    tinted = np.stack([120 + squares, np.full((64, 64), 90), np.full((64, 64), 30)], axis=2).astype(np.uint8)
    assert grid.blob(tinted, np.full((64, 64, 3), 100, np.uint8)) == pytest.approx((47 - 7.5) / 4)
    rough = np.random.default_rng(1).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    assert grid.border(rough, rough) == 1
    pale = rough.copy()
    for side in (pale[:8], pale[-8:], pale[:, :8], pale[:, -8:]):
        side //= 4
    assert grid.border(pale, rough) < 0.4


def test_a_flat_image_painted_unevenly_is_measured_in_levels() -> None:
    flat = torch.full((1, 3, 256, 256), 0.5)
    assert grid.flat_border(flat) == grid.flat_ripple(flat) == 0
    flat[..., :8] += 2 / 255
    assert 0 < grid.flat_border(flat) < 2
    flat[..., 64:-64:2] += 2 / 255
    assert grid.flat_ripple(flat) == pytest.approx(1, rel=0.01)
