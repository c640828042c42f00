"""The criterion against formulas written out here: features by F.conv2d, sums by einsum, in float64, with gradients."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from criteria import build_criterion
from torch import Tensor

from fst.errors import UserError
from fst.losses.criterion import Criterion, Losses
from fst.losses.gram import gram_matrix, scaled
from fst.losses.style_target import StyleTarget, combine
from fst.losses.term import Step, Term
from fst.losses.terms.content import Content
from fst.losses.terms.style import Style
from fst.losses.vgg import VGGFeatures
from fst.losses.weights import load_features, load_weights

# (layer, torchvision's index, inputs, outputs) of VGG-16, from the paper's column D; a pool follows 1_2, 2_2, 3_3.
CONVOLUTIONS = (
    ("relu1_1", 0, 3, 64), ("relu1_2", 2, 64, 64), ("relu2_1", 5, 64, 128), ("relu2_2", 7, 128, 128),
    ("relu3_1", 10, 128, 256), ("relu3_2", 12, 256, 256), ("relu3_3", 14, 256, 256), ("relu4_1", 17, 256, 512),
)  # fmt: skip
MEAN = (123.68, 116.779, 103.939)
STYLE = ["relu1_2", "relu2_2", "relu3_3"]


def random_weights(seed: int = 0, *, convolutions: tuple = CONVOLUTIONS) -> dict[str, Tensor]:
    """Weights and biases of the size that the Oxford network's have: features run to hundreds."""
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for _, index, inputs, outputs in convolutions:
        weight = torch.randn(outputs, inputs, 3, 3, generator=generator) * (2 / (9 * inputs)) ** 0.5
        weights[f"features.{index}.weight"] = weight
        weights[f"features.{index}.bias"] = torch.randn(outputs, generator=generator) * 20
    return weights


def mixture(target: StyleTarget, shares: list[float]) -> StyleTarget:
    return combine([target[index] for index in range(len(target))], torch.tensor(shares)[:, None])


def reference(image: Tensor, weights: dict[str, Tensor], layers: list[str], pool=F.max_pool2d) -> dict[str, Tensor]:
    """The unscaled Oxford network on RGB 0..255 minus the mean."""
    x = image.double() * 255 - torch.tensor(MEAN, dtype=torch.float64).view(1, 3, 1, 1)
    found = {}
    for layer, index, _, _ in CONVOLUTIONS:
        if layer in ("relu2_1", "relu3_1", "relu4_1"):
            x = pool(x, 2)
        if f"features.{index}.weight" not in weights:
            break
        kernel, bias = (weights[f"features.{index}.{part}"].double() for part in ("weight", "bias"))
        x = F.conv2d(x, kernel, bias, padding=1).clamp(min=0)
        if layer in layers:
            found[layer] = x
    return found


def content_formula(image: Tensor, photo: Tensor, weights: dict[str, Tensor], layer: str = "relu2_2") -> Tensor:
    ours, theirs = (reference(picture, weights, [layer])[layer] / 128 for picture in (image, photo))
    return (ours - theirs).pow(2).sum() / ours.numel()


def style_by_layer(image: Tensor, painting: Tensor, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    ours, theirs = (
        {
            layer: torch.einsum("nchw,ndhw->ncd", f / 128, f / 128) / f[0].numel()
            for layer, f in reference(picture, weights, STYLE).items()
        }
        for picture in (image, painting)
    )
    return {layer: (ours[layer] - theirs[layer]).pow(2).mean() for layer in STYLE}


def style_formula(image: Tensor, painting: Tensor, weights: dict[str, Tensor]) -> Tensor:
    return sum(style_by_layer(image, painting, weights).values())


def variation_formula(image: Tensor) -> Tensor:
    across = sum((image[..., x + 1] - image[..., x]).pow(2).sum() for x in range(image.shape[-1] - 1))
    down = sum((image[..., y + 1, :] - image[..., y, :]).pow(2).sum() for y in range(image.shape[-2] - 1))
    images, channels, height, width = image.shape
    return across / (images * channels * height * (width - 1)) + down / (images * channels * (height - 1) * width)


def pictures(*sizes: tuple[int, int], count: int = 1, seed: int = 1) -> list[Tensor]:
    """Smooth random colour images: neighbours resemble each other, as in photos."""
    generator = torch.Generator().manual_seed(seed)
    coarse = [torch.rand(count, 3, h // 3, w // 3, generator=generator) for h, w in sizes]
    return [F.interpolate(c, size, mode="bicubic").clamp(0, 1) for c, size in zip(coarse, sizes, strict=True)]


def criterion(weights: dict[str, Tensor], painting: Tensor, **settings: object) -> Painted:
    """A criterion with its painting's target: `loss(image, content)` compares with both."""
    settings = {"style_layers": STYLE, **settings}
    found = build_criterion(VGGFeatures([*settings["style_layers"], "relu2_2"], weights), **settings)
    return Painted(found, found.style_target([painting]))


class Painted:
    """A criterion and one style to reach."""

    def __init__(self, criterion: Criterion, style: StyleTarget) -> None:
        self.criterion, self.style = criterion, style
        self.features, self.content_target = criterion.features, criterion.content_target

    def __call__(self, image: Tensor, content: dict[str, Tensor]) -> Losses:
        return self.criterion(image, content, self.style)


def cosine(a: Tensor, b: Tensor) -> float:
    return F.cosine_similarity(a.double().flatten(), b.double().flatten(), dim=0).item()


def check_against_formula(weights: dict[str, Tensor]) -> None:
    """Each term and its gradient by the image."""
    image, photo, painting = pictures((20, 27), (20, 27), (31, 24))
    loss = criterion(weights, painting, tv_weight=3.0, style_weight=10.0, content_weight=2.0)
    leaf, exact = image.clone().requires_grad_(), image.double().requires_grad_()
    terms = loss(leaf, loss.content_target(photo))
    expected = {
        "content": content_formula(exact, photo, weights),
        "style": style_formula(exact, painting, weights),
        "tv": variation_formula(exact),
    }
    for name, value in expected.items():
        found = terms.values[name]
        assert found.item() == pytest.approx(value.item(), rel=1e-4), name
        gradient = torch.autograd.grad(found, leaf, retain_graph=True)[0].double()
        right = torch.autograd.grad(value, exact, retain_graph=True)[0]
        assert (gradient - right).norm() < 1e-3 * right.norm(), name
    total = 2 * expected["content"] + 10 * expected["style"] + 3 * expected["tv"]
    assert terms.total.item() == pytest.approx(total.item(), rel=1e-4)
    named = terms.named()
    assert named["loss"].item() == pytest.approx(total.item(), rel=1e-4)
    assert named["style_loss_weighted"].item() == pytest.approx(10 * named["style_loss"].item())
    assert named["content_loss_weighted"].item() == pytest.approx(2 * named["content_loss"].item())


def test_terms_and_gradients_are_the_formulas() -> None:
    check_against_formula(random_weights())


def test_terms_and_gradients_are_the_formulas_with_the_real_weights(store) -> None:
    found = load_weights("IMAGENET1K_FEATURES", STYLE)
    check_against_formula({name: tensor.float() for name, tensor in found.items()})


def test_features_times_128_are_the_unscaled_network() -> None:
    weights = random_weights()
    (image,) = pictures((32, 27))
    layers = [layer for layer, *_ in CONVOLUTIONS]
    ours = VGGFeatures(layers, weights)(image, layers)
    for layer, theirs in reference(image, weights, layers).items():
        assert theirs.max() > 100, "the comparison is of features as large as the Oxford network's"
        assert torch.allclose(ours[layer].double() * 128, theirs, rtol=1e-4, atol=1e-3 * theirs.max().item()), layer


def test_average_pooling_is_twice_the_mean() -> None:
    weights = random_weights()
    (image,) = pictures((24, 24))
    ours = VGGFeatures(["relu3_1"], weights, pooling="avg")(image, ["relu3_1"])["relu3_1"]
    theirs = reference(image, weights, ["relu3_1"], pool=lambda x, size: 2 * F.avg_pool2d(x, size))["relu3_1"]
    assert torch.allclose(ours.double() * 128, theirs, rtol=1e-4, atol=1e-3 * theirs.max().item())


def test_imagenet_v1_normalisation_is_torchvisions() -> None:
    from torchvision.models import VGG16_Weights

    weights = random_weights()
    (image,) = pictures((24, 24))
    ours = VGGFeatures(["relu1_2"], weights, normalisation="imagenet")(image, ["relu1_2"])["relu1_2"]
    preset = VGG16_Weights.IMAGENET1K_V1.transforms()
    x = (image - torch.tensor(preset.mean).view(1, 3, 1, 1)) / torch.tensor(preset.std).view(1, 3, 1, 1)
    for index in (0, 2):
        x = torch.relu(F.conv2d(x, weights[f"features.{index}.weight"], weights[f"features.{index}.bias"], padding=1))
    assert torch.allclose(ours, x, rtol=1e-4, atol=1e-4)


def test_gram_matrix_by_einsum_and_channels_last() -> None:
    features = torch.randn(2, 5, 7, 3, generator=torch.Generator().manual_seed(0))
    by_hand = torch.einsum("nchw,ndhw->ncd", features.double(), features.double()) / (5 * 7 * 3)
    for layout in (torch.contiguous_format, torch.channels_last):
        assert torch.allclose(gram_matrix(features.to(memory_format=layout)).double(), by_hand, rtol=1e-5, atol=1e-7)


def test_a_batch_is_the_mean_of_its_images() -> None:
    weights = random_weights()
    (painting,) = pictures((30, 30))
    (batch,) = pictures((28, 20), count=3, seed=2)
    (photos,) = pictures((28, 20), count=3, seed=3)
    loss = criterion(weights, painting, tv_weight=1.0)
    whole = loss(batch, loss.content_target(photos))
    singly = [loss(batch[n : n + 1], loss.content_target(photos[n : n + 1])) for n in range(3)]
    for term in ("content", "style", "tv"):
        mean = sum(terms.values[term].item() for terms in singly) / 3
        assert whole.values[term].item() == pytest.approx(mean, rel=1e-4)


@pytest.mark.parametrize("scales", [(1.0, 0.5), (0.5, 1.0), (0.5,)])
def test_style_pyramid_is_the_sum_over_sizes(scales) -> None:
    weights = random_weights()
    image, painting = pictures((24, 30), (36, 28))
    loss = criterion(weights, painting, style_scales=scales, content_weight=0.0)
    terms = loss(image, {})
    expected = {}
    for scale in scales:
        ours, theirs = (
            picture if scale == 1 else F.interpolate(picture, scale_factor=0.5, mode="bilinear", antialias=True)
            for picture in (image, painting)
        )
        for layer, value in style_by_layer(ours, theirs, weights).items():
            expected[f"style_loss/{layer}" + "@0.5" * (scale != 1)] = value.item()
    assert {name: value.item() for name, value in terms.parts.items()} == pytest.approx(expected, rel=1e-4)
    assert terms.values["style"].item() == pytest.approx(sum(expected.values()), rel=1e-4)


def test_half_size_is_antialiased() -> None:
    """Against Pillow: a fine stripe pattern turns grey instead of into a coarser one."""
    import numpy as np
    from PIL import Image

    stripes = (torch.arange(32) % 2).float().expand(1, 3, 32, 32) * 0.8 + 0.1
    as_image = Image.fromarray((stripes[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8))
    theirs = np.asarray(as_image.resize((16, 16), Image.Resampling.BILINEAR))[..., 0] / 255
    ours = scaled(stripes, 0.5)[0, 0].numpy()
    assert np.abs(ours - theirs).max() < 0.01
    assert ours[4:-4, 4:-4].std() < 0.02


def test_content_is_the_sum_over_its_layers() -> None:
    weights = random_weights()
    image, photo = pictures((24, 24), (24, 24))
    loss = criterion(weights, photo, content_layers=["relu1_1", "relu2_2"])
    expected = sum(content_formula(image, photo, weights, layer) for layer in ("relu1_1", "relu2_2"))
    found = loss(image, loss.content_target(photo)).values["content"].item()
    assert found == pytest.approx(expected.item(), rel=1e-4)


def test_layer_weights_weigh_the_layers() -> None:
    weights = random_weights()
    image, painting = pictures((24, 24), (24, 24))
    loss = criterion(weights, painting, style_layer_weights=[2.0, 0.0, 0.5], content_weight=0.0)
    singly = style_by_layer(image, painting, weights)
    expected = 2 * singly["relu1_2"] + 0.5 * singly["relu3_3"]
    assert loss(image, {}).values["style"].item() == pytest.approx(expected.item(), rel=1e-4)


def test_two_paintings_mix_by_their_shares() -> None:
    weights = random_weights()
    first, second, image = pictures((24, 30), (33, 24), (24, 24))
    mixing = build_criterion(VGGFeatures(["relu2_2"], weights), style_layers=["relu1_2"], content_weight=0.0)
    mixed = mixture(mixing.style_target([first, second]), [3.0, 1.0])
    grams = []
    for picture in (first, second, image):
        f = reference(picture, weights, ["relu1_2"])["relu1_2"] / 128
        grams.append(torch.einsum("nchw,ndhw->ncd", f, f) / f[0].numel())
    expected = (grams[2] - 0.75 * grams[0] - 0.25 * grams[1]).pow(2).mean().item()
    assert mixing(image, {}, mixed).values["style"].item() == pytest.approx(expected, rel=1e-4)


def test_each_image_of_a_batch_has_a_style_of_its_own() -> None:
    weights = random_weights()
    paintings = pictures((24, 30), (33, 24), (24, 24))
    (images,) = pictures((24, 24), count=3, seed=4)
    loss = build_criterion(VGGFeatures(STYLE, weights), style_layers=STYLE, content_weight=0.0)
    target = loss.style_target(paintings)
    assert len(target) == 3
    found = loss(images, {}, target[torch.tensor([2, 0, 0])]).values["style"].item()
    chosen = (paintings[2], paintings[0], paintings[0])
    by_hand = [style_formula(image[None], painting, weights) for image, painting in zip(images, chosen, strict=True)]
    assert found == pytest.approx(sum(by_hand).item() / 3, rel=1e-4)
    alone = loss(images[1:2], {}, target[-1]).values["style"].item()
    assert alone == pytest.approx(style_formula(images[1:2], paintings[2], weights).item(), rel=1e-4)


def test_the_numbers_stay_what_they_were() -> None:
    """Losses and gradients of fst's first release, recorded before terms became modules and targets values."""
    layers = ["relu1_2", "relu2_2", "relu3_3"]
    features = load_features(layers, "BUNDLED", architecture="vgg16_small")

    def waves(seed: int, height: int, width: int) -> Tensor:
        y, x = torch.meshgrid(torch.arange(height) / height, torch.arange(width) / width, indexing="ij")
        pitch = torch.tensor([1.0, 2.0, 3.0]).view(3, 1, 1) * (1 + seed)
        return (0.5 + 0.4 * torch.sin(7 * pitch * x + 3 * y) * torch.cos(5 * pitch * y - 2 * x))[None]

    loss = build_criterion(
        features,
        content_layers=["relu2_2"],
        style_layers=layers,
        style_layer_weights=[1.0, 0.5, 2.0],
        style_scales=[1.0, 0.5],
        content_weight=2.0,
        style_weight=3e4,
        tv_weight=7.0,
    )
    photos = torch.cat([waves(1, 64, 80), waves(2, 64, 80)])
    style = mixture(loss.style_target([waves(3, 96, 72), waves(4, 80, 80)]), [1.0, 2.0])
    painted = (photos * 0.8 + 0.1 * waves(5, 64, 80)).requires_grad_()
    losses = loss(painted, loss.content_target(photos), style)
    losses.total.backward()
    recorded = {"content": 2.123173952102661, "style": 0.01526627130806446, "tv": 0.011240546591579914}
    assert {name: value.item() for name, value in losses.values.items()} == pytest.approx(recorded, rel=1e-5)
    assert losses.total.item() == pytest.approx(462.3131408691406, rel=1e-5)
    gradient = painted.grad[1, :, 10, ::23].flatten().tolist()
    assert gradient == pytest.approx(
        [
            0.009004641324281693, -0.23091551661491394, 0.005814909934997559, 0.06730154901742935,
            0.16107380390167236, -0.24464640021324158, 0.03820662200450897, 0.20155978202819824,
            0.1552826166152954, 0.030621439218521118, 0.207034170627594, 0.32651928067207336,
        ],
        abs=1e-4,
    )  # fmt: skip
    assert painted.grad.double().abs().sum().item() == pytest.approx(7551.5858007317875, rel=1e-4)


@pytest.mark.parametrize("autocast", [False, True])
def test_bf16_features_agree_with_fp32(autocast) -> None:
    weights = random_weights()
    image, photo, painting = pictures((48, 48), (48, 48), (48, 48))
    exact = criterion(weights, painting)
    rough = criterion(weights, painting)
    rough.features.in_precision(torch.bfloat16)
    gradients, terms = [], []
    for loss in (exact, rough):
        leaf = image.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast and loss is rough):
            found = loss(leaf, loss.content_target(photo))
        assert found.total.dtype == torch.float32
        gradients.append(torch.autograd.grad(found.total, leaf)[0])
        terms.append(found)
    assert terms[1].values["style"].item() == pytest.approx(terms[0].values["style"].item(), rel=0.02)
    assert terms[1].values["content"].item() == pytest.approx(terms[0].values["content"].item(), rel=0.02)
    assert cosine(*gradients) > 0.995, "random filters amplify rounding: the real ones, below, keep 0.999"


def test_bf16_features_agree_with_fp32_with_the_real_weights(store) -> None:
    from fst import images

    files = [store / "content" / "bridge.jpg", store / "content" / "amber.jpg", store / "styles" / "wave.jpg"]
    image, photo, painting = (images.to_tensor(images.resize(images.read(file), (96, 96))) for file in files)
    tensors = load_weights("IMAGENET1K_FEATURES", STYLE)
    values, gradients = [], []
    for dtype in (torch.float32, torch.bfloat16):
        loss = criterion(tensors, painting)
        loss.features.in_precision(dtype)
        leaf = image.clone().requires_grad_()
        terms = loss(leaf, loss.content_target(photo))
        values.append(tuple(terms.values[name].item() for name in ("content", "style")))
        gradients.append(torch.autograd.grad(terms.total, leaf)[0])
    assert values[1] == pytest.approx(values[0], rel=0.02)
    assert cosine(*gradients) > 0.999


@pytest.mark.parametrize(("layers", "depth"), [(["relu1_1"], 1), (["relu2_2"], 4), (["relu3_3", "relu1_2"], 7)])
def test_only_what_is_tapped_is_built(layers, depth) -> None:
    needed = CONVOLUTIONS[:depth]
    features = VGGFeatures(layers, random_weights(convolutions=needed))
    assert len(features.convolutions) == depth
    assert sum(p.numel() for p in features.parameters()) == sum(9 * i * o + o for _, _, i, o in needed)
    assert not any(p.requires_grad for p in features.parameters())
    assert list(features(pictures((16, 16))[0], layers)) == sorted(layers)


def test_the_content_target_stops_at_its_layer() -> None:
    loss = criterion(random_weights(), pictures((24, 24))[0])
    calls = []
    for number, convolution in enumerate(loss.features.convolutions):
        convolution.register_forward_hook(lambda *_, number=number: calls.append(number))
    (photo,) = pictures((24, 24))
    target = loss.content_target(photo.requires_grad_())
    assert calls == [0, 1, 2, 3], "to relu2_2 and no deeper"
    assert not target["relu2_2"].requires_grad
    calls.clear()
    loss(photo, target)
    assert calls == list(range(7)), "one pass for content and style together"


def test_the_content_target_is_exact_within_autocast() -> None:
    loss = criterion(random_weights(), pictures((24, 24))[0])
    (photo,) = pictures((24, 24))
    with torch.autocast("cpu", torch.bfloat16):
        target = loss.content_target(photo)
    assert torch.equal(target["relu2_2"], loss.content_target(photo)["relu2_2"])


class Deep(Term):
    """A term of one's own that compares with the photo at a layer of its own."""

    photo_layers = ("relu3_1",)

    def painted_layers(self) -> dict:
        return {1.0: self.photo_layers}

    def forward(self, step: Step) -> Tensor:
        return (step.features()["relu3_1"] - step.content["relu3_1"]).abs().mean()


def test_terms_do_not_see_each_others_layers() -> None:
    features = VGGFeatures([*STYLE, "relu3_1"], random_weights())
    photo, painted, painting = (torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(s)) for s in range(3))
    terms = {"content": (1.0, Content()), "style": (1e5, Style(STYLE))}
    found = []
    for of in (terms, terms | {"deep": (1.0, Deep())}):
        criterion = Criterion(features, of)
        style = criterion.style_target([painting])
        found.append(criterion(painted, criterion.content_target(photo), style).values)
        assert criterion.style_loss(painted, style).item() == pytest.approx(found[-1]["style"].item(), rel=1e-6)
    assert found[1].keys() == {"content", "style", "deep"} and found[1]["deep"] > 0
    for name in ("content", "style"):
        assert found[0][name].item() == pytest.approx(found[1][name].item(), rel=1e-6)


def test_a_weight_of_zero_costs_nothing() -> None:
    (image,) = pictures((24, 24))
    loss = criterion(random_weights(), image, style_weight=0.0, content_weight=0.0, tv_weight=1.0)
    calls = []
    loss.features.convolutions[0].register_forward_hook(lambda *_: calls.append(1))
    terms = loss(image, loss.content_target(image))
    assert not calls and terms.total.item() == pytest.approx(variation_formula(image.double()).item(), rel=1e-4)


@pytest.mark.parametrize("value", [None, 0.0, torch.zeros(2), torch.zeros(1), {"part": torch.zeros(2)}, {"part": 0.0}])
def test_a_term_that_returns_no_scalar_is_named(value: object) -> None:
    class Wrong(Term):
        def forward(self, step: Step) -> object:
            return value

    features = VGGFeatures(["relu1_2"], random_weights())
    criterion = Criterion(features, {"wrong": (1.0, Wrong())})
    with pytest.raises(UserError, match=r"^loss term wrong returns a .*must return a scalar tensor"):
        criterion(torch.rand(2, 3, 16, 16), {}, StyleTarget({}))


def test_a_painting_too_small_is_one_line() -> None:
    with pytest.raises(UserError, match=r"the painting, 40×6, is too small for relu3_3; raise style\.size"):
        criterion(random_weights(), torch.rand(1, 3, 6, 40))
    criterion(random_weights(), torch.rand(1, 3, 8, 40))  # 2×2 features after two pools
    with pytest.raises(UserError, match=r"the painting, 40×12, is too small for relu3_3"):
        criterion(random_weights(), torch.rand(1, 3, 12, 40), style_scales=[0.5, 1.0])


def test_the_losss_numbers_are_no_part_of_a_checkpoint() -> None:
    """Targets are not saved: a changed painting takes effect when a run goes on."""
    loss = criterion(random_weights(), pictures((24, 24))[0]).criterion
    assert all(name.startswith("features.convolutions") for name in loss.state_dict())
