"""Networks of many styles: against the plain networks that they fold into."""

import copy
import inspect

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fst import stylefile
from fst.errors import UserError
from fst.networks import NETWORKS, Network, build
from fst.networks.blocks import ConvBlock
from fst.networks.conditional import Conditional, ConditionalNorm
from fst.networks.predictor import CHANNELS, Predictor

STYLES = ["gogh", "hokusai", "turner"]
SMALL = {"johnson_many": {"width": 4, "depth": 2}, "realtime_many": {"widths": [4, 6, 8], "depths": [0, 0, 2]}}


def many(name: str, predictor: int = 0) -> Conditional:
    """A network of three styles that differ."""
    torch.manual_seed(0)
    network = build(name, styles=STYLES, predictor=predictor, **SMALL[name]).eval()
    with torch.no_grad():
        network.table.add_(0.3 * torch.randn_like(network.table))
    return network


@pytest.fixture(params=sorted(SMALL))
def network(request: pytest.FixtureRequest) -> Conditional:
    return many(request.param)


def photos(count: int) -> Tensor:
    return torch.rand(count, 3, 37, 50, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_folded_it_paints_as_it_does_for_each_of_a_batch(network: Conditional) -> None:
    together = network(photos(3), network.table)
    for index, name in enumerate(STYLES):
        alone = network.for_style({name: 2.0})(photos(3)[index : index + 1])
        assert torch.allclose(alone, together[index : index + 1], atol=1e-5)
    assert (together[0] - network(photos(1), network.table[1:2])).abs().max() > 1e-2, "styles differ"


@torch.no_grad()
def test_a_mixture_is_the_weighted_mean_of_the_vectors(network: Conditional) -> None:
    mean = 0.75 * network.table[0] + 0.25 * network.table[2]
    painted = network.for_style({"gogh": 3, "turner": 1})(photos(2))
    assert torch.allclose(painted, network(photos(2), mean[None]), atol=1e-5)


def test_folded_it_is_plain(network: Conditional) -> None:
    plain = network.for_style({"gogh": 1})
    assert type(plain) is network.plain_class and not any(p.requires_grad for p in plain.parameters())
    assert network.train().training and not network.for_style({"gogh": 1}).training
    traits = ("multiple", "smallest", "full_resolution")  # realtime's are none of them the contract's defaults
    assert [getattr(network, name) for name in traits] == [getattr(plain, name) for name in traits]


class Nested(Network):
    """A normalisation within a block, one beside it, and colours through tanh."""

    multiple, smallest = 1, 8

    def __init__(self, gain: bool = False, light: float = 2.0) -> None:
        super().__init__()
        self.light = light
        beside = [nn.Conv2d(4, 6, 3, padding=1), nn.InstanceNorm2d(6, affine=True), nn.ReLU()]
        self.layers = nn.Sequential(ConvBlock(3, 4, 3), *beside, ConvBlock(6, 3, 3, norm=None, relu=False))
        if gain:
            self.gain = nn.Parameter(torch.ones(()))

    def before(self, image: Tensor) -> Tensor:
        return image * self.light

    def after(self, features: Tensor) -> Tensor:
        return torch.tanh(features)


class NestedMany(Conditional):
    plain_class = Nested


@torch.no_grad()
def test_any_networks_styles_begin_neutral_and_paint_as_their_plain_networks() -> None:
    network = copy.deepcopy(NestedMany(["a", "b"], 0, light=3.0))
    with network.styled(network.table[:1]):
        for norm in (module for module in network.modules() if isinstance(module, ConditionalNorm)):
            assert (norm.scale == 1).all() and (norm.shift == 0).all()
    network.table.add_(0.3 * torch.randn_like(network.table))
    assert torch.allclose(network(photos(1), network.table[1:]), network.for_style({"b": 1})(photos(1)), atol=1e-5)
    with pytest.raises(UserError, match=r"Nested has weights outside its layers.*gain"):
        NestedMany(["a"], 0, gain=True)


def test_what_the_bundled_file_of_many_leaves_out_is_what_it_was_trained_with() -> None:
    """A skip has no weights: with another default the file would paint something else without a word."""
    trained = {"fold": 2, "depths": (0, 1, 4), "skips": True, "end": "resize"}
    said = stylefile.read_info(stylefile.BUNDLED / stylefile.MANY).settings
    defaults = {name: one.default for name, one in inspect.signature(NETWORKS["realtime_many"]).parameters.items()}
    assert all(name in said or defaults[name] == value for name, value in trained.items())


def read() -> dict[str, Tensor]:
    """Gram matrices of two paintings by layer."""
    grams = {}
    for layer, channels in CHANNELS.items():
        features = torch.rand(2, channels, 30, generator=torch.Generator().manual_seed(channels))
        grams[layer] = features @ features.transpose(1, 2) / (30 * channels)
    return grams


@torch.no_grad()
def test_a_predictor_sees_diagonals_as_logarithms_and_mixtures_as_signed_roots() -> None:
    """By NumPy: files of many styles hold weights for just these numbers. It begins near the neutral style."""
    torch.manual_seed(0)
    neutral = torch.randn(6)
    predictor, seen = Predictor(neutral, 8), []
    predictor.layers.register_forward_pre_hook(lambda _, given: seen.append(given[0].numpy()))
    assert (predictor(read()) - neutral).abs().max() < 0.3
    expected = []
    for layer, gram in read().items():
        gram = gram.double().numpy() * gram.shape[1]
        mixed = predictor.projections[layer].numpy() @ gram @ predictor.projections[layer].numpy().T
        pairs = mixed[:, *np.triu_indices(mixed.shape[1])]
        expected += [
            np.log(np.diagonal(gram, axis1=1, axis2=2) + 1e-4) / 2,
            np.sign(pairs) * np.sqrt(abs(pairs) + 1e-6),
        ]
    assert np.allclose(seen[0], np.concatenate(expected, 1), atol=1e-3)


def test_a_gradient_reaches_every_parameter_the_predictors_too() -> None:
    network = many("realtime_many", predictor=24).train()
    vectors = network.predictor(read())
    assert vectors.shape == (2, network.table.shape[1])
    assert (vectors[0] - vectors[1]).abs().max() > 1e-4
    painted = network(photos(5), torch.cat([vectors, network.table]))
    (painted - torch.rand(5, 3, 37, 50, generator=torch.Generator().manual_seed(2))).square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        if parameter.dim() > 1 or name.startswith("predictor"):
            assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ({"goghh": 1}, "unknown style 'goghh', did you mean 'gogh'"),
        ({"gogh": 0}, "not all 0"),
        ({}, "not all 0"),
        ({"gogh": 2, "turner": -1}, "0 or more"),
    ],
)
def test_shares_that_are_none(network: Conditional, shares: dict[str, float], said: str) -> None:
    with pytest.raises(UserError, match=said):
        network.for_style(shares)


@pytest.mark.parametrize("name", sorted(SMALL))
def test_a_style_named_twice(name: str) -> None:
    with pytest.raises(UserError, match="names a style twice"):
        build(name, styles=["gogh", "turner", "gogh"])
