"""The Gatys baseline's parts against formulas by hand, NumPy, and torch's own optimiser."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from criteria import build_criterion
from PIL import Image
from safetensors.torch import load_file
from torch import nn

from fst import images
from fst.config.compose import compose
from fst.config.schema import check
from fst.errors import UserError
from fst.losses.criterion import Losses, least_edge
from fst.losses.gram import gram_matrix
from fst.losses.style_target import combine
from fst.losses.vgg import VGGFeatures
from fst.methods.gatys import colors, optimise
from fst.methods.gatys.problem import Problem, plan
from fst.methods.gatys.regions import read_regions
from fst.methods.gatys.style_transfer import GatysStyleTransfer
from fst.methods.method import build
from fst.stylize.framing import with_luminance

LAYERS = ["relu1_2", "relu2_2", "relu3_3"]


@pytest.fixture
def features(tiny_vgg) -> VGGFeatures:
    return VGGFeatures(LAYERS, load_file(tiny_vgg))


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def terms(total: torch.Tensor) -> Losses:
    return Losses({"content": total}, {"content": 1.0}, {})


def of_function(function):
    """An `Evaluate` of a function of the image."""

    def evaluate(image):
        with torch.enable_grad():
            leaf = image.detach().requires_grad_()
            total = function(leaf)
            return terms(total.detach()), torch.autograd.grad(total, leaf)[0]

    return evaluate


# Regions


def test_a_region_gram_is_the_weighted_sum_of_outer_products():
    features, masks = noise(1, 5, 4, 6), noise(2, 1, 4, 6, seed=1)
    flat = features[0].flatten(1).double().numpy()
    expected = []
    for mask in masks.flatten(1).double().numpy():
        outer = sum(m * np.outer(column, column) for m, column in zip(mask, flat.T, strict=True))
        expected.append(outer / (5 * mask.sum()))
    assert np.allclose(gram_matrix(features, masks).numpy(), expected, rtol=1e-5)
    assert torch.allclose(gram_matrix(features, torch.ones(1, 1, 8, 12)), gram_matrix(features))
    fine = noise(2, 1, 8, 12, seed=2)  # of twice the resolution: the mean of four
    assert torch.allclose(gram_matrix(features, fine), gram_matrix(features, F.avg_pool2d(fine, 2)), rtol=1e-5)


def test_regions_of_a_half_each_reach_their_own_painting(features):
    criterion = build_criterion(features, style_layers=LAYERS)
    left, right = noise(1, 3, 32, 32, seed=1), noise(1, 3, 32, 32, seed=2) ** 3
    halves = torch.zeros(2, 1, 32, 64)
    halves[0, :, :, :32] = halves[1, :, :, 32:] = 1
    whole, none = torch.ones(1, 1, 32, 32), torch.zeros(1, 1, 32, 32)
    own = [torch.stack([whole[0], none[0]]), torch.stack([none[0], whole[0]])]

    def style_loss(picture: torch.Tensor, paintings: list[torch.Tensor]) -> torch.Tensor:
        targets = [criterion.style_target([each], [mask]) for each, mask in zip(paintings, own, strict=True)]
        style = combine(targets, torch.eye(2))  # a region's style comes from its own painting alone
        return criterion(picture, {}, style, regions=halves).values["style"]

    right_way = style_loss(torch.cat([left, right], 3), [left, right])
    wrong_way = style_loss(torch.cat([right, left], 3), [left, right])
    assert right_way < 0.1 * wrong_way
    single = build_criterion(features, style_layers=LAYERS)
    apart = single(right, {}, single.style_target([left])).values["style"]
    assert style_loss(torch.cat([right, right], 3), [left, left]).item() == pytest.approx(apart.item(), rel=0.2)


def test_a_regions_style_is_that_of_its_part_of_the_painting(features):
    criterion, painting = build_criterion(features, style_layers=LAYERS), noise(1, 3, 24, 32)
    sides = torch.zeros(2, 1, 24, 32)
    sides[0, ..., :8] = sides[1, ..., 8:] = 1
    grams = criterion.style_target([painting], [sides]).grams[1.0, "relu1_2"]
    found = features(painting, ["relu1_2"])["relu1_2"][0]
    for gram, part in zip(grams, (found[..., :8], found[..., 8:]), strict=True):
        assert torch.allclose(gram, part.flatten(1) @ part.flatten(1).T / part.numel(), rtol=1e-4, atol=1e-6)


# Optimisation


def valley(image: torch.Tensor) -> torch.Tensor:
    """Badly conditioned and not quadratic; minimal inside the box."""
    x = image.flatten() - 0.5
    curvature = torch.linspace(1, 300, x.numel())
    return ((curvature * x.square()).sum() + 50 * (x[1:] - x[:-1] ** 2).pow(4).sum()) / x.numel()


@pytest.mark.parametrize("line_search", [True, False])
def test_one_iteration_a_step_is_torchs_lbfgs_without_its_second_evaluations(line_search):
    start = 0.3 + 0.4 * noise(1, 3, 5, 7).double()
    image = nn.Parameter(start.clone())
    objective = optimise.Objective(image, of_function(valley))
    steps = optimise.minimise(objective, 25, history=10, line_search=line_search)
    losses = [found.losses.total.item() for found in steps]

    reference = nn.Parameter(start.clone())
    calls = []

    def closure():
        reference.grad = None
        total = valley(reference) * reference.numel()
        total.backward()
        calls.append(total.item())
        return total

    torch.optim.LBFGS(
        [reference],
        max_iter=25,
        max_eval=1000,
        history_size=10,
        tolerance_grad=0,
        tolerance_change=0,
        line_search_fn="strong_wolfe" if line_search else None,
    ).step(closure)
    assert torch.allclose(image, reference, rtol=0, atol=1e-10)
    assert objective.evaluations == len(calls) + (not line_search)  # the end is looked at, which Torch leaves out
    assert losses[-1] < 1e-4 * losses[0]
    assert not line_search or losses == sorted(losses, reverse=True)


@pytest.mark.parametrize("name", ["lbfgs", "adam"])
def test_the_image_stays_in_range_and_finds_the_nearest_corner(name):
    wanted = torch.tensor([-0.5, 0.2, 0.7, 1.5, 3.0, -2.0]).view(1, 1, 2, 3)
    weight = torch.tensor([1.0, 30, 5, 2, 10, 3]).view(1, 1, 2, 3)
    image = nn.Parameter(torch.full((1, 1, 2, 3), 0.5))
    objective = optimise.Objective(image, of_function(lambda x: (weight * (x - wanted) ** 2).mean()))
    iterations = 60 if name == "lbfgs" else 400
    for found in optimise.minimise(objective, iterations, name=name):
        assert found.image.min() >= 0 and found.image.max() <= 1
    assert torch.allclose(objective.current().image, wanted.clamp(0, 1), atol=1e-3)


def test_a_step_of_adam_tells_where_it_began_and_costs_one_evaluation():
    objective = optimise.Objective(nn.Parameter(noise(1, 3, 2, 2)), of_function(lambda x: (x - 0.5).square().mean()))
    start, first, second, third = optimise.minimise(objective, 3, name="adam")
    assert first is start and third.losses.total < second.losses.total < first.losses.total
    assert objective.evaluations == 3


def test_a_loss_that_is_not_finite_ends_in_one_line():
    objective = optimise.Objective(nn.Parameter(torch.ones(1, 3, 2, 2)), of_function(lambda x: (x / 0).sum()))
    with pytest.raises(UserError, match="the content loss is not finite"):
        objective()


def test_a_grey_image_is_evaluated_as_colour(features):
    criterion = build_criterion(features, style_layers=LAYERS)
    style = criterion.style_target([noise(1, 3, 24, 24)])
    grey = noise(1, 1, 24, 24, seed=1)
    content = criterion.content_target(noise(1, 3, 24, 24, seed=2))
    leaf = grey.clone().requires_grad_()
    total = criterion(leaf.repeat(1, 3, 1, 1), content, style).total
    total.backward()
    found, gradient = optimise.evaluator(criterion, content, style)(grey)
    assert found.total.item() == pytest.approx(total.item(), rel=1e-4)
    assert torch.allclose(gradient, leaf.grad, rtol=1e-3, atol=1e-5 * leaf.grad.abs().max())


def test_plan_grows_by_the_root_of_two_and_ends_at_the_size():
    planned = plan((300, 512), 128, 600, 16)
    assert [max(scale.size) for scale in planned] == [128, 181, 256, 362, 512]
    assert [scale.until for scale in planned] == [200, 300, 400, 500, 600]
    assert planned[-1].size == (300, 512)
    assert plan((300, 512), None, 50, 16) == [((300, 512), 50)]
    assert plan((300, 512), 512, 50, 16) == [((300, 512), 50)]
    assert plan((300, 512), 128, 1, 16) == [((300, 512), 1)]
    assert min(plan((40, 512), 32, 100, 16)[0].size) >= 16
    with pytest.raises(UserError, match=r"raise method\.size"):
        plan((10, 512), 128, 50, 16)


def problem(tmp_path, photo: tuple[int, int] | None, **settings) -> Problem:
    """Of a noisy photo of (height, width) and a painting of 60 by 100."""
    config = SimpleNamespace(content=None, style=SimpleNamespace(size=50))
    if photo is not None:
        rough = np.random.default_rng(0).integers(0, 256, (9, 12, 3)).astype(np.uint8)
        config.content = images.write(tmp_path / "photo.png", images.resize(rough, photo))
    method = SimpleNamespace(**{"styles": [], "colors": "style", "size": None, "content_mask": None} | settings)
    return Problem(method, np.random.default_rng(1).integers(0, 256, (60, 100, 3)).astype(np.uint8), config)


def test_a_photo_is_worked_at_no_more_than_1024_pixels_unless_asked(tmp_path):
    assert problem(tmp_path, (900, 1500)).size == (614, 1024)
    assert problem(tmp_path, (90, 150)).size == (90, 150)
    assert problem(tmp_path, (900, 1500), size=1200).size == (720, 1200)
    assert problem(tmp_path, None).size == (307, 512), "a texture has the painting's aspect"


def test_paintings_are_reduced_as_the_image_is_but_not_below_what_layers_need(tmp_path):
    second = images.write(tmp_path / "second.png", np.zeros((200, 80, 3), np.uint8))
    found = problem(tmp_path, (90, 150), styles=[second])
    sizes = {
        (size, least): [tuple(picture.shape[-2:]) for picture in found.paintings_at(size, least)]
        for size, least in (((90, 150), 16), ((45, 75), 16), ((45, 75), 45), ((9, 15), 16))
    }
    assert list(sizes.values()) == [
        [(60, 100), (50, 20)],  # the second at style.size
        [(30, 50), (40, 16)],
        [(45, 75), (50, 20)],
        [(16, 27), (40, 16)],
    ]


def test_masks_have_sharp_edges_where_they_are_enlarged_and_shares_where_they_are_reduced(tmp_path):
    mask = np.zeros((18, 30, 3), np.uint8)
    mask[:7] = 255  # the rest takes no style
    found = problem(tmp_path, (90, 150), content_mask=images.write(tmp_path / "mask.png", mask), style_masks=[])
    painting = [noise(1, 3, 60, 100)]
    for rows, expected in ((27, [1] * 11 + [0] * 16), (6, [1, 1, 1 / 3, 0, 0, 0])):
        photo, [own] = found.regions_at((rows, rows * 5 // 3), painting)
        assert photo.shape == (1, 1, rows, rows * 5 // 3) and own.shape == (1, 1, 60, 100) and own.min() == 1
        assert torch.allclose(photo[0, 0], torch.tensor(expected).float()[:, None])


def test_where_the_photos_colours_are_kept_luminance_alone_is_compared(tmp_path):
    grey = problem(tmp_path, (90, 150), colors="content")
    photo = grey.photo_at((45, 75))
    assert torch.equal(photo[:, :1].expand(-1, 3, -1, -1), photo) and grey.channels == 1
    coloured = problem(tmp_path, (90, 150)).photo_at((45, 75))
    by_hand = (coloured * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(1)
    assert (photo[:, 0] - by_hand).abs().max() < 0.01
    luma = [pixels.astype(float).mean(2) for pixels in (*grey.paintings, colors.luminance(grey.photo))]
    assert luma[0].mean() == pytest.approx(luma[1].mean(), abs=2) and luma[0].std() == pytest.approx(
        luma[1].std(), rel=0.1
    )


def test_a_region_takes_its_style_from_the_paintings_that_have_it_by_their_shares(features):
    criterion = build_criterion(features, style_layers=LAYERS)
    pictures = [noise(1, 3, 24, 24, seed=seed) for seed in (1, 2)]
    everywhere, nowhere = torch.ones(1, 24, 24), torch.zeros(1, 24, 24)
    masks = [torch.stack([everywhere, everywhere, nowhere]), torch.stack([everywhere, nowhere, everywhere])]
    module = SimpleNamespace(criterion=criterion, method=SimpleNamespace(style_shares=[3.0, 1.0]))
    found = GatysStyleTransfer._style_target(module, pictures, masks).grams[1.0, "relu2_2"]
    first, second = (criterion.style_target([picture]).grams[1.0, "relu2_2"][0] for picture in pictures)
    for gram, expected in zip(found, (0.75 * first + 0.25 * second, first, second), strict=True):
        assert torch.allclose(gram, expected, rtol=1e-3, atol=1e-5)


def test_noise_to_begin_with_is_the_seeds_own():
    def start(seed: int) -> torch.Tensor:
        method = SimpleNamespace(init="noise", config=SimpleNamespace(seed=seed))
        module = SimpleNamespace(method=method, problem=SimpleNamespace(channels=3))
        return GatysStyleTransfer._start(module, (4, 5))

    assert torch.equal(start(1), start(1)) and not torch.equal(start(1), start(2))


def test_the_least_edge_is_that_of_the_smallest_scale(features):
    def least(**settings: Any) -> tuple[int, str]:
        return least_edge(build_criterion(features, style_layers=LAYERS, **settings).terms.values())

    assert least() == (8, "relu3_3")
    assert least(style_scales=[1.0, 0.3]) == (27, "relu3_3")


# Colours and masks


def test_matched_colours_have_the_photos_mean_and_covariance():
    random = np.random.default_rng(0)
    photo = (random.normal(size=(40, 50, 3)) @ [[9, 3, 0], [0, 12, 5], [0, 0, 7]] + [120, 100, 140]).round()
    painting = (random.normal(size=(60, 30, 3)) @ [[15, 0, 4], [2, 6, 0], [0, 9, 11]] + [90, 130, 60]).round()
    matched = colors.match_colors(painting.astype(np.uint8), photo.astype(np.uint8)).reshape(-1, 3)
    wanted = photo.reshape(-1, 3)
    assert np.allclose(matched.mean(0), wanted.mean(0), atol=0.2)
    assert np.allclose(np.cov(matched.T), np.cov(wanted.T), atol=2)


def test_a_grey_painting_has_the_luminance_of_the_photo_in_mean_and_deviation():
    random = np.random.default_rng(0)
    photo = (random.normal(size=(40, 50, 3)) * [20, 12, 30] + [120, 100, 140]).round().astype(np.uint8)
    painting = (random.normal(size=(60, 30, 3)) * [4, 6, 2] + [60, 80, 30]).round().astype(np.uint8)
    grey = colors.match_luminance(painting, photo)
    assert (grey == grey[..., :1]).all()
    luma = photo @ np.array([0.299, 0.587, 0.114])
    assert grey.mean() == pytest.approx(luma.mean(), abs=0.5) and grey.std() == pytest.approx(luma.std(), rel=0.05)


def test_the_photos_colours_stay_under_a_new_luminance():
    photo = np.random.default_rng(1).integers(60, 190, (20, 30, 3)).astype(np.uint8)
    grey = np.full((20, 30, 3), 128, np.uint8)
    mixed = with_luminance(photo, grey).astype(float)
    weights = np.array([0.299, 0.587, 0.114])
    luma = mixed @ weights
    assert np.abs(luma - 128).max() < 2
    assert np.abs((mixed - luma[..., None]) - (photo - (photo @ weights)[..., None])).max() < 4


def test_regions_are_shared_colours(tmp_path):
    mask = np.zeros((30, 40, 3), np.uint8)
    mask[:, 20:] = (250, 10, 5)
    mask[:, 36:] = (0, 0, 255)
    own = np.zeros((20, 20, 3), np.uint8)
    own[:10] = (255, 0, 0)
    Image.fromarray(mask).save(tmp_path / "mask.jpg", quality=80)
    Image.fromarray(own).save(tmp_path / "own.png")
    photo = np.zeros((300, 400, 3), np.uint8)
    regions = read_regions(str(tmp_path / "mask.jpg"), [str(tmp_path / "own.png")], photo, 1)
    labels, of_painting = regions
    black, red = labels[15, 5], labels[15, 30]
    assert {black, red} == {1, 2}
    assert labels[15, 39] == 0
    assert (of_painting[:10] == red).all() and (of_painting[10:] == black).all()
    with pytest.raises(UserError, match="no colour"):
        read_regions(str(tmp_path / "mask.jpg"), [], photo, 1)
    with pytest.raises(UserError, match="aspect"):
        read_regions(str(tmp_path / "mask.jpg"), [], photo[:, :300], 1)


def test_colours_of_masks_are_told_apart_as_dark_middling_and_bright(tmp_path):
    mask = np.zeros((12, 40, 3), np.uint8)
    for column, level in enumerate((20, 63, 64, 191, 192, 255)):
        mask[:, 6 * column :, 0] = level
    own = np.zeros((12, 40, 3), np.uint8)
    own[:, 20:, 0] = 230
    files = [images.write(tmp_path / f"{name}.png", each) for name, each in (("mask", mask), ("own", own))]
    labels, of_painting = read_regions(str(files[0]), [str(files[1])], mask, 1)
    assert [labels[0, 6 * column] for column in range(6)] == [1, 1, 0, 0, 2, 2]
    assert (of_painting[:, :20] == 1).all() and (of_painting[:, 20:] == 2).all()


# Configuration


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "content=PHOTO"),
        (["loss.content_weight=0"], "method.init=content needs a photo"),
        (["loss.content_weight=0", "method.init=noise", "method.colors=match"], "method.colors=match needs a photo"),
        (["content=P", "method.optimizer=sgd"], "lbfgs"),
        (["content=P", "method.iterations=0"], "method.iterations is 0"),
        (["content=P", "method.init=nowhere.png"], "there is no file nowhere.png"),
        (["content=P", "method.styles=[nowhere.png]"], r"method.styles\[0\]"),
        (["content=P", "method.style_shares=[1,2]"], "2 numbers for 1 paintings"),
        (["content=P", "method.style_shares=[0]"], "method.style_shares is 0"),
        (["content=P", "method.animation=[avi]"], "gif, mp4, webp"),
        (["content=P", "compile=true"], "of no use"),
        (["content=P", "method.animation_steps=[0,700]"], "between 0 and 600"),
        (["content=P", "method.animation_steps=[0,7]"], r"wants method.animation=\[mp4\]"),
        (["content=P", "method.animation=[gif]", "method.animation_steps=[]"], "and a step at least"),
        (["content=P", "trainer=ddp"], "one device"),
        (["content=P", "trainer.devices=[0,1]"], "one device"),
        (["content=P", "trainer.precision=16-mixed"], "bf16-mixed"),
        (["content=P", "loss.stability_weight=3"], "loss.stability_weight is for training a network"),
    ],
)
def test_settings_that_make_no_sense_are_one_line(tmp_path, arguments, said):
    photo = tmp_path / "photo.png"
    Image.new("RGB", (64, 64)).save(photo)
    arguments = [argument.replace("=P", f"={photo}") for argument in arguments]
    with pytest.raises(UserError, match=said) as caught:
        config = check(compose(["method=gatys", "style=gogh", "loss=vgg16_relu3", *arguments]))
        build(config.method).check(config)
    assert "\n" not in str(caught.value)
