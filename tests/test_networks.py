"""Transform networks against independent rewritings: pytorch/examples' forward pass, the paper's table of shapes."""

import ast
import dataclasses
import inspect

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fst.config import signatures
from fst.errors import UserError
from fst.networks import NETWORKS, Network, build, framed
from fst.networks.blocks import ResizedConv
from fst.networks.conditional import Conditional

# A few channels are enough for everything but the parameter count.
SMALL = {
    "johnson": {"width": 4, "depth": 2},
    "johnson_paper": {"width": 4, "depth": 1},
    "realtime": {"widths": [4, 8], "depths": [0, 2]},
}
PLAIN = sorted(name for name, network in NETWORKS.items() if not issubclass(network, Conditional))
PAINTING = ["johnson", "realtime"]  # those for use; johnson_paper is there to show what they avoid


def network(name: str, *, seed: int = 0, **settings: object) -> nn.Module:
    torch.manual_seed(seed)
    return build(name, **{**SMALL[name], **settings}).eval()


def photo(height: int, width: int, *, count: int = 1, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, max(2, height // 4), max(2, width // 4), generator=generator)
    return F.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)


def transformer_net(image: Tensor, parameters: list[Tensor], depth: int) -> Tensor:
    """pytorch/examples, fast_neural_style, TransformerNet: the forward pass as functions of its parameters in order."""
    remaining = iter(parameters)

    def convolve(x: Tensor, stride: int = 1) -> Tensor:
        kernel, bias = next(remaining), next(remaining)
        edge = kernel.shape[-1] // 2
        return F.conv2d(F.pad(x, (edge, edge, edge, edge), mode="reflect"), kernel, bias, stride)

    def normalise(x: Tensor) -> Tensor:
        gain, shift = (next(remaining).view(1, -1, 1, 1) for _ in range(2))
        mean, variance = x.mean((2, 3), keepdim=True), x.var((2, 3), keepdim=True, unbiased=False)
        return (x - mean) / torch.sqrt(variance + 1e-5) * gain + shift

    x = image
    for stride in (1, 2, 2):
        x = normalise(convolve(x, stride)).relu()
    for _ in range(depth):
        y = normalise(convolve(x)).relu()
        x = x + normalise(convolve(y))
    for _ in range(2):
        x = normalise(convolve(x.repeat_interleave(2, 2).repeat_interleave(2, 3))).relu()
    x = convolve(x)
    assert next(remaining, None) is None, "every parameter is used"
    return x


def test_johnson_is_pytorch_examples_network() -> None:
    ours = network("johnson").double()
    for parameter in ours.parameters():  # biases, gains and shifts at work too, not at 0 and 1
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)).double()
    image = photo(24, 36, count=2).double()
    # Input and output are [0, 1] there 0..255: a network owns its scaling, (x - 1/2)·4 and back.
    theirs = transformer_net((image - 0.5) * 4, list(ours.parameters()), depth=2) / 4 + 0.5
    assert torch.allclose(ours(image), theirs, rtol=1e-9, atol=1e-9)


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_johnson_has_the_parameters_of_pytorch_examples() -> None:
    def convolution(inputs: int, outputs: int, kernel: int) -> int:
        return inputs * outputs * kernel**2 + outputs

    down = convolution(3, 32, 9) + convolution(32, 64, 3) + convolution(64, 128, 3)
    up = convolution(128, 64, 3) + convolution(64, 32, 3) + convolution(32, 3, 9)
    norms = 2 * (32 + 64 + 128 + 10 * 128 + 64 + 32)
    by_hand = down + 10 * convolution(128, 128, 3) + up + norms
    assert parameters(build("johnson")) == by_hand == 1_679_235


def test_realtime_has_the_parameters_it_says() -> None:
    def block(inputs: int, outputs: int) -> int:
        return inputs * outputs * 9 + outputs + 2 * outputs  # a convolution, its bias, scale and shift

    down, up = block(12, 16) + block(16, 32) + block(32, 64), block(64, 32) + block(32, 16)
    by_hand = down + 2 * block(32, 32) + 6 * block(64, 64) + up + 16 * 3 * 9 + 3
    assert parameters(build("realtime")) == by_hand
    assert NETWORKS["realtime"].__doc__.startswith(f"{by_hand / 1000:.0f} k parameters")


def test_skips_add_what_was_there_on_the_way_down() -> None:
    """With the way up silent (its scale and shift 0), a skip hands on the features of its own resolution alone."""
    found = network("realtime", widths=[4, 6], depths=[0, 1])
    folded, first, skip, end = found.layers
    up = skip.body[-1]
    nn.init.zeros_(up[2].weight), nn.init.zeros_(up[2].bias)
    image = photo(32, 32)
    by_hand = end(first(folded((image - 0.5) * 4))) / 4 + 0.5
    assert torch.allclose(found(image), by_hand, atol=1e-6)


def test_johnson_paper_has_the_papers_shapes() -> None:
    """Table 1 of the supplement at 256×256: activation sizes layer by layer."""
    table = [
        (32, 336), (64, 168), (128, 84),  # 336: reflection padding of 40 a side
        (128, 80), (128, 76), (128, 72), (128, 68), (128, 64),
        (64, 128), (32, 256), (3, 256),
    ]  # fmt: skip
    paper = build("johnson_paper").eval()
    assert sum(isinstance(module, nn.BatchNorm2d) for module in paper.modules()) == 15  # after all but the last layer
    seen = []
    for layer in list(paper.layers)[1:]:
        layer.register_forward_hook(lambda _, inputs, output: seen.append((output.shape[1], *output.shape[2:])))
    with torch.inference_mode():
        assert paper(photo(256, 256)).shape == (1, 3, 256, 256)
    assert seen == [(channels, side, side) for channels, side in table]


def test_johnson_paper_is_the_papers_network() -> None:
    """Written again as functions: padding once, valid convolutions, cropped identity, transposed convolutions, tanh."""
    paper = network("johnson_paper", norm="batch").double()
    image = photo(32, 44).double()
    state = {name: tensor.double() for name, tensor in paper.state_dict().items()}
    groups: list[dict[str, Tensor]] = []
    for name, tensor in state.items():
        module, _, part = name.rpartition(".")
        if not groups or groups[-1]["module"] != module:
            groups.append({"module": module})
        groups[-1][part] = tensor
    modules = iter(groups)

    def batch_norm(x: Tensor) -> Tensor:
        n = {key: value.view(-1, 1, 1) for key, value in next(modules).items() if key in _NORM}
        return (x - n["running_mean"]) / torch.sqrt(n["running_var"] + 1e-5) * n["weight"] + n["bias"]

    def convolve(x: Tensor, **how: object) -> Tensor:
        module = next(modules)
        function = F.conv_transpose2d if "output_padding" in how else F.conv2d
        return function(x, module["weight"], module["bias"], **how)

    x = F.pad((image - 0.5) * 4, (8, 8, 8, 8), mode="reflect")  # 8 pixels a residual block, here one
    x = batch_norm(convolve(x, padding=4)).relu()
    x = batch_norm(convolve(x, stride=2, padding=1)).relu()
    x = batch_norm(convolve(x, stride=2, padding=1)).relu()
    y = batch_norm(convolve(x)).relu()
    x = x[:, :, 2:-2, 2:-2] + batch_norm(convolve(y))
    x = batch_norm(convolve(x, stride=2, padding=1, output_padding=1)).relu()
    x = batch_norm(convolve(x, stride=2, padding=1, output_padding=1)).relu()
    x = torch.tanh(convolve(x, padding=4)) / 2 + 0.5
    assert next(modules, None) is None
    assert torch.allclose(paper(image), x, rtol=1e-9, atol=1e-9)


_NORM = ("weight", "bias", "running_mean", "running_var")


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("size", [(1, 1), (1, 40), (2, 3), (8, 8), (17, 19), (33, 64), (47, 18), (64, 64), (31, 130)])
def test_any_size_comes_back(name, size) -> None:
    painted = network(name)(photo(*size)[..., : size[0], : size[1]])
    assert painted.shape == (1, 3, *size) and painted.isfinite().all()


@pytest.mark.parametrize(("size", "mode"), [((17, 38), "reflect"), ((16, 41), "reflect"), ((7, 40), "edge")])
def test_any_size_is_padded_at_the_bottom_and_right_by_reflection_as_far_as_it_goes(size, mode) -> None:
    class Seen(Network):
        multiple = 4
        layers = nn.Identity()

        def before(self, image: Tensor) -> Tensor:
            seen.append(image)
            return super().before(image)

    seen: list[Tensor] = []
    picture = photo(*size)[..., : size[0], : size[1]]
    assert torch.allclose(Seen()(picture), picture, atol=1e-6)
    sides = [(0, max(-edge % 4, 16 - edge)) for edge in size]
    assert np.array_equal(seen[0], np.pad(picture, ((0, 0), (0, 0), *sides), mode=mode))


@pytest.mark.parametrize("size", [(40, 50), (5, 40), (1, 1)])
def test_a_picture_is_painted_in_a_margin_of_mirrored_pixels_as_far_as_it_goes(size) -> None:
    picture, seen = photo(*size)[..., : size[0], : size[1]], []
    framed_ = framed(lambda image: seen.append(image) or 2 * image, picture, 16)
    margins = [(min(16, edge - 1),) * 2 for edge in size]
    assert np.array_equal(seen[0], np.pad(picture, ((0, 0), (0, 0), *margins), mode="reflect"))
    assert torch.equal(framed_, 2 * picture)


@pytest.mark.parametrize("name", PAINTING)
def test_padding_an_odd_size_only_touches_its_edge(name) -> None:
    """With batch norm (no global statistics) the middle of an odd crop is that of the whole photo."""
    net = network(name, norm="batch")
    whole = photo(160, 160)
    crop = net(whole[..., :159, :157])
    assert torch.allclose(crop[..., :90, :90], net(whole)[..., :90, :90], atol=1e-5)


@pytest.mark.parametrize("name", PLAIN)
def test_batch_norm_variant(name) -> None:
    net = network(name, norm="batch").train()
    assert any(isinstance(m, nn.BatchNorm2d) for m in net.modules())
    assert not any(isinstance(m, nn.InstanceNorm2d) for m in net.modules())
    before = {key: value.clone() for key, value in net.state_dict().items() if "running_mean" in key}
    net(photo(96, 96, count=2))
    assert any((net.state_dict()[key] != value).any() for key, value in before.items()), "statistics are learnt"
    net.eval()
    both, one = net(photo(96, 96, count=2)), net(photo(96, 96, count=2)[:1])
    assert torch.allclose(both[:1], one, atol=1e-5)


@pytest.mark.parametrize("name", PLAIN)
def test_instance_norm_knows_no_batch(name) -> None:
    net = network(name, norm="instance").train()
    batch = photo(96, 96, count=3)
    assert torch.allclose(net(batch)[1:2], net(batch[1:2]), atol=1e-5)


@pytest.mark.parametrize("name", PLAIN)
def test_the_same_seed_makes_the_same_network(name) -> None:
    first, second, other = network(name), network(name), network(name, seed=1)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_every_parameter_learns(name, norm) -> None:
    """A gradient reaches all but the biases that a normalisation takes away again."""
    net = network(name, norm=norm).train()
    wanted = torch.rand(2, 3, 48, 48, generator=torch.Generator().manual_seed(2))
    (net(photo(48, 48, count=2)) - wanted).square().mean().backward()
    for key, parameter in net.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), key
        if parameter.dim() > 1 or key.startswith(f"layers.{len(net.layers) - 1}."):
            assert parameter.grad.abs().max() > 0, key


@pytest.mark.parametrize("name", PAINTING)
@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_no_border_no_grid_on_a_flat_image(name, level) -> None:
    """Reflection leaves a flat image flat: with batch norm, whose statistics are not the image's own, exactly so.

    Instance norm would divide what rounding leaves of a flat image's deviation, so it can hide a border.
    """
    net = network(name, norm="batch")
    painted = net(torch.full((1, 3, 63, 70), level))
    assert painted.amax((2, 3)).sub(painted.amin((2, 3))).max() < 1e-5


def test_the_papers_transposed_convolutions_do_draw_a_checkerboard() -> None:
    """What `johnson` avoids; without this the test above could be one that nothing fails."""
    painted = network("johnson_paper", norm="batch")(torch.full((1, 3, 64, 64), 0.7))
    assert painted.amax((2, 3)).sub(painted.amin((2, 3))).max() > 1e-3


@pytest.mark.parametrize("name", PAINTING)
def test_an_instance_normalised_flat_image_stays_flat(name) -> None:
    painted = network(name, norm="instance")(torch.full((1, 3, 64, 64), 0.25))
    assert painted.amax((2, 3)).sub(painted.amin((2, 3))).max() < 1e-5


def test_the_realtime_networks_border_stays_flat_whatever_it_learns() -> None:
    """The four pixels of a block may come to differ, but the same from edge to edge."""
    net = network("realtime", norm="batch")
    for parameter in net.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
    painted = F.pixel_unshuffle(net(torch.full((1, 3, 64, 64), 0.7)), 2)
    assert painted.amax((2, 3)).sub(painted.amin((2, 3))).max() < 1e-5


@pytest.mark.parametrize("name", NETWORKS)
def test_settings_in_the_config_are_the_constructors(name) -> None:
    """Read from the source without importing it, against what importing it says."""
    found = signatures.registered("networks")[name]
    assert {key: default for key, (_, default) in found.arguments.items()} == {
        key: parameter.default for key, parameter in inspect.signature(NETWORKS[name]).parameters.items()
    }
    assert found.help and NETWORKS[name].__doc__.startswith(found.help)
    in_config = dataclasses.asdict(found.schema()())
    assert in_config.pop("name") == name and list(in_config) == list(found.arguments)


def test_every_network_is_found_without_importing_it() -> None:
    assert set(signatures.registered("networks")) == set(NETWORKS)


def test_only_a_dataclass_has_its_attributes_for_settings() -> None:
    """A loss term with annotated attributes of the contract and no constructor has none."""
    plain, contract = "@{}\nclass Dim(Term):\n    default_weight: float = 2.0", signatures.CONTRACTS["losses/terms"]
    final, data = (
        signatures._signature(ast.parse(plain.format(word)).body[0], contract, "dim") for word in ("final", "dataclass")
    )
    assert final.arguments == {} and final.attributes == {"default_weight": 2.0}
    assert data.arguments == {"default_weight": (float, 2.0)}


def test_a_mixin_a_constant_and_the_contracts_attribute_are_no_settings():
    contracts = signatures.CONTRACTS
    mixed = "@register\nclass Warm(Term, Mixin):\n    def __init__(self, power: float = 2.0) -> None: ..."
    term = signatures._signature(ast.parse(mixed).body[0], contracts["losses/terms"], "warm")
    assert term.arguments == {"power": (float, 2.0)}
    fields = "changeable: ClassVar[tuple[str, ...]] = ('rate',)\n    K: ClassVar[int] = 3\n    rate: float = 0.5"
    source = f"@register\n@dataclass\nclass Warm(Method):\n    {fields}"
    method = signatures._signature(ast.parse(source).body[0], contracts["methods"], "warm")
    assert method.arguments == {"rate": (float, 0.5)} and method.attributes == {"changeable": ("rate",)}


CONSTRUCTOR = "@register\nclass Warm({}):\n    def __init__(self, {}) -> None: ..."


@pytest.mark.parametrize(
    ("folder", "source", "said"),
    [
        (
            "losses/terms",
            "@register\nclass Warm(Term):\n    default_weight = 1e3 / 2",
            "3: default_weight is 1000",
        ),
        (
            "losses/terms",
            "@register\nclass Warm(Content): ...",
            "2: Warm inherits from Content, whose settings",
        ),
        ("losses/terms", CONSTRUCTOR.format("Content", "x: int = 1"), "2: Warm inherits .* write default_weight = ..."),
        ("losses/terms", CONSTRUCTOR.format("Term", "weight: float = 1.0"), "3: a setting weight is there already"),
        ("networks", "@register\nclass Warm(johnson.Johnson): ...", "2: Warm inherits from Johnson, whose settings"),
        ("networks", CONSTRUCTOR.format("Network", "name: str = ''"), "3: a setting name is there already"),
        (
            "networks",
            CONSTRUCTOR.format("Network", "width=8"),
            "3: the argument width has no type: write one",
        ),
        (
            "networks",
            CONSTRUCTOR.format("Network", "width: int"),
            "3: the argument width has no default: write one",
        ),
        ("networks", CONSTRUCTOR.format("Network", "*, width: int"), "3: the argument width has no default"),
        (
            "networks",
            CONSTRUCTOR.format("Network", "rate: float = 1 / 3"),
            "3: the default of rate is 1 / 3, but",
        ),
        (
            "networks",
            CONSTRUCTOR.format("Network", "width: int = 'a'"),
            "3: the default of width, 'a', is not",
        ),
        (
            "networks",
            CONSTRUCTOR.format("Network", "x: Tensor = None"),
            "3: the argument x is of type Tensor",
        ),
        (
            "methods",
            "@register\n@dataclass\nclass Warm(Feedforward):\n    x: int = 1",
            "3: Warm inherits",
        ),
        ("methods", "@register\n@dataclass\nclass Warm(Method):\n    x: int", "4: the argument x has no default"),
        ("methods", "class Warm(:", "1: invalid syntax"),
    ],
)
def test_a_class_whose_settings_cannot_be_read_is_a_line(tmp_path, monkeypatch, folder, source, said) -> None:
    monkeypatch.setattr(signatures, "FST", tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / folder).mkdir(parents=True)
    (tmp_path / folder / "warm.py").write_text(source)
    with pytest.raises(UserError, match=f"^{folder}/warm.py:{said}") as error:
        signatures.registered.__wrapped__(folder)
    assert "\n" not in str(error.value)


def test_two_files_of_one_name_are_a_line(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(signatures, "FST", tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "networks").mkdir()
    for name in ("warm", "warmer"):
        (tmp_path / "networks" / f"{name}.py").write_text(CONSTRUCTOR.format("Network", "x: int = 1"))
    with pytest.raises(UserError, match=r"^networks/warmer.py:2: fst.networks.warm has a Warm: rename one of them"):
        signatures.registered.__wrapped__("networks")


def test_unknown_names_settings_and_norms() -> None:
    with pytest.raises(UserError, match="did you mean 'johnson'"):
        build("jonson")
    with pytest.raises(UserError, match="network 'johnson' has no setting 'widht', did you mean 'width'"):
        build("johnson", widht=8)
    with pytest.raises(UserError, match="norm"):
        build("johnson", norm="layer")


@pytest.mark.parametrize("end", ["resize", "shuffle"])
@pytest.mark.parametrize("skips", [True, False])
@pytest.mark.parametrize(("fold", "widths", "total_stride"), [(4, [8], 4), (2, [4, 6, 8], 8), (4, [4, 8], 8)])
def test_realtime_of_every_kind(fold: int, widths: list[int], total_stride: int, skips: bool, end: str) -> None:
    """Constant pictures come back constant (no grid before training) and sizes are any."""
    depths = [1] * len(widths)
    found = build("realtime", fold=fold, widths=widths, depths=depths, skips=skips, end=end).eval()
    assert found.multiple == total_stride
    assert found(photo(37, 50)).shape == (1, 3, 37, 50)
    convolutions = [layer for layer in found.layers.modules() if isinstance(layer, nn.Conv2d)]
    last = 3 if end == "resize" else 3 * fold**2
    by_hand = [outputs for width in widths for outputs in (width, width, width)]  # down, and two in the residual block
    by_hand += [*reversed(widths[:-1]), last]
    assert [layer.out_channels for layer in convolutions] == by_hand
    flat = found(torch.full((1, 3, 64, 64), 0.3))
    assert (flat - flat.mean((2, 3), keepdim=True)).abs().max() < 1e-3


@pytest.mark.parametrize("upsample", [2, 3, 4])
def test_the_last_layer_is_nearest_upsampling_and_a_convolution_whatever_it_computes(upsample: int) -> None:
    block = ResizedConv(5, 3, upsample).double()
    x = torch.randn(2, 5, 6, 9, dtype=torch.float64)
    _, convolution = block
    large = x.repeat_interleave(upsample, 2).repeat_interleave(upsample, 3)
    edge = convolution.weight.shape[-1] // 2
    expected = F.conv2d(F.pad(large, (edge,) * 4, mode="reflect"), convolution.weight, convolution.bias)
    assert edge == upsample - 1
    assert torch.allclose(block(x), expected, atol=1e-12)
    assert torch.allclose(nn.Sequential(*block.folded())(x), expected, atol=1e-12)


@pytest.mark.parametrize(("setting", "key"), [({"fold": 3}, "network.fold"), ({"widths": []}, "network.widths")])
def test_realtime_says_what_it_cannot_be(setting: dict[str, object], key: str) -> None:
    with pytest.raises(UserError, match=key):
        build("realtime", **setting)
