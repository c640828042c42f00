"""The stability term on networks whose answer to a change is known."""

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fst.data.noise import with_noise
from fst.errors import UserError
from fst.losses.criterion import Criterion
from fst.losses.style_target import StyleTarget
from fst.losses.term import Step, Term
from fst.losses.terms import stability
from fst.losses.terms.stability import Stability
from fst.losses.terms.tv import Tv
from fst.methods.feedforward import Feedforward
from fst.methods.feedforward_module import FeedForwardStyleTransfer
from fst.networks import Network, build, framed
from fst.stylefile import StyleInfo


def photos(count: int = 2, height: int = 64, width: int = 80) -> Tensor:
    coarse = torch.rand(count, 3, height // 8, width // 8, generator=torch.Generator().manual_seed(0))
    return F.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)


class Photo(Network):
    """Gives the photo itself."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Identity()

    def before(self, x: Tensor) -> Tensor:
        return x

    after = before


def value(term: Stability, paint, image: Tensor) -> Tensor:
    """Of the image's middle, in the whole image."""
    place = tuple((edge - edge // 2) // 2 for edge in image.shape[-2:])
    seen = image[..., place[0] : -place[0], place[1] : -place[1]]
    return term(Step(paint(seen), {}, StyleTarget({}), None, {}, photos=seen, paint=paint, around=image, place=place))


def test_what_follows_the_photo_costs_nothing() -> None:
    """A shift and another exposure go through a network that is linear and looks at single pixels."""
    torch.manual_seed(0)
    assert value(Stability(), lambda x: 0.5 * x, photos()).item() > 1e-6, "the exposure's lift is halved, too"
    assert value(Stability(), lambda x: x, photos()).item() < 1e-12


@pytest.mark.parametrize(
    ("other", "paint", "expected"),
    [
        ("LIFT", lambda x: x * x, 0.03**2 / 3 * photos().pow(4).mean().item()),  # (x²g - (xg)²)² with g = 1 ± 0.03
        ("GAIN", lambda x: x / 2, 0.02**2 / 3 / 4),  # (x/2 + l - (x + l)/2)² with l = ± 0.02
    ],
    ids=["gain", "lift"],
)
def test_the_exposure_differs_by_as_much_as_it_says(monkeypatch, other, paint, expected) -> None:
    monkeypatch.setattr(stability, other, 0.0)
    torch.manual_seed(0)
    image, term = photos(), Stability()
    step = Step(paint(image), {}, StyleTarget({}), None, {}, photos=image, paint=paint)
    assert sum(term(step).item() for _ in range(400)) / 400 == pytest.approx(expected, rel=0.1)


def test_the_exposure_is_as_often_less_as_more() -> None:
    levels: list[float] = []
    grey = torch.full((1, 3, 8, 8), 0.5)
    step = Step(grey, {}, StyleTarget({}), None, {}, photos=grey, paint=lambda x: levels.append(x.mean().item()) or x)
    torch.manual_seed(0)
    for _ in range(400):
        Stability()(step)
    assert sum(levels) / 400 == pytest.approx(0.5, abs=0.002)
    assert -0.035 < min(levels) - 0.5 < -0.03 and 0.03 < max(levels) - 0.5 < 0.035  # half of the gain's 0.03, and 0.02


def test_noise_has_the_deviation_it_says() -> None:
    """Variance (u₁² + u₂²/4)·σ² with u uniform: 1/3 and 1/12 of σ² on average; half of it the same in 8×8 blocks."""
    flat, sigma = torch.full((1, 3, 60, 70), 0.5), 6 / 255
    torch.manual_seed(0)
    noise = torch.stack([with_noise(flat, 6.0) - flat for _ in range(300)])
    assert noise.square().mean().item() == pytest.approx(sigma**2 * (1 / 3 + 1 / 12), rel=0.15)
    blocks = F.avg_pool2d(noise.flatten(0, 1), 8)
    assert blocks.square().mean().item() == pytest.approx(sigma**2 * (1 / 12 + 1 / 3 / 64), rel=0.2)
    assert torch.equal(with_noise(flat, 0.0), flat)
    strengths = (with_noise(flat.expand(100, 3, 60, 70), 6.0) - 0.5).std((1, 2, 3))
    assert strengths.min() < 0.3 * sigma and strengths.max() > 0.7 * sigma, "each photo has a strength of its own"


def test_a_picture_that_does_not_move_with_the_photo_costs() -> None:
    """Texture nailed to the frame, as of a grid, against the same texture carried by the photo."""
    image = photos()
    texture = 0.2 * torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(0)
    nailed = value(Stability(), lambda x: texture[..., : x.shape[-2], : x.shape[-1]].expand(x.shape), image)
    carried = value(Stability(), lambda x: (x * 3) / 3, image)
    assert nailed > 1e-4 and carried < 1e-10


def test_the_gradient_goes_through_the_picture_alone() -> None:
    gain = torch.ones((), requires_grad=True)
    calls = []

    def paint(x: Tensor) -> Tensor:
        calls.append(torch.is_grad_enabled())
        return x * gain

    value(Stability(), paint, photos()).backward()
    assert gain.grad is not None and calls == [True, False]


def test_paint_that_is_there_because_the_picture_ends_there_costs() -> None:
    """A border of 4 pixels, and the padding that gives a network its place."""

    def framing(x: Tensor) -> Tensor:
        border = F.pad(torch.zeros_like(x[..., 4:-4, 4:-4]), (4,) * 4, value=0.3)
        return x + border

    share = 1 - (32 - 8) * (40 - 8) / (32 * 40)  # of the picture's pixels
    assert value(Stability(), framing, photos()).item() == pytest.approx(0.3**2 * share, rel=0.1)


class Sized(Photo):
    """Notes how large what it was given is."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[tuple[int, ...]] = []

    def before(self, x: Tensor) -> Tensor:
        self.given.append(tuple(x.shape[-2:]))
        return x


def test_a_term_without_a_weight_asks_for_no_room() -> None:
    assert Criterion(None, {"tv": (1.0, Tv()), "stability": (0.0, Stability(shift=9))}).room == 0


def training_step(settings: Feedforward, monkeypatch: pytest.MonkeyPatch) -> tuple[float, list[tuple[int, ...]]]:
    """The loss of a run's first step on `photos`, of the stability term alone, and the sizes that were painted."""
    criterion = Criterion(None, {"tv": (1e-9, Tv()), "stability": (1.0, Stability(shift=9))})
    assert criterion.room == 9
    module = FeedForwardStyleTransfer(Sized(), criterion, StyleTarget({}), settings, steps=9, info=None)
    monkeypatch.setattr(module, "log_dict", lambda *_, **__: None)
    return module.training_step(photos(), 0).item(), module.network.given


def test_a_training_step_looks_for_the_picture_where_it_is_in_the_larger_part(monkeypatch) -> None:
    """Whatever place is drawn, the term is 0 but for a wrong place."""
    for seed in range(5):
        torch.manual_seed(seed)
        assert training_step(Feedforward(margin=3, noise=0), monkeypatch)[0] < 1e-9


def test_a_network_paints_from_noise_and_is_compared_with_the_photo_within_the_margin(monkeypatch) -> None:
    class Seen(Term):
        def forward(self, step: Step) -> Tensor:
            seen.append(step)
            return step.painted.mean()

    seen: list[Step] = []
    module = FeedForwardStyleTransfer(
        Photo(), Criterion(None, {"seen": (1.0, Seen())}), StyleTarget({}), Feedforward(margin=3), steps=9, info=None
    )
    monkeypatch.setattr(module, "log_dict", lambda *_, **__: None)
    torch.manual_seed(0)
    for _ in range(80):
        module.training_step(photos(), 0)
    assert all(torch.equal(step.photos, photos()[..., 3:-3, 3:-3]) for step in seen)
    noise = torch.stack([step.painted - step.photos for step in seen])
    assert noise.square().mean().item() == pytest.approx((6 / 255) ** 2 * (1 / 3 + 1 / 12), rel=0.25)


def test_a_photo_is_validated_under_the_same_exposure_each_time() -> None:
    class Half(Photo):
        def after(self, x: Tensor) -> Tensor:
            return x / 2

    criterion, info = Criterion(None, {"stability": (1.0, Stability())}), StyleInfo("any", "half")
    module = FeedForwardStyleTransfer(Half(), criterion, StyleTarget({}), Feedforward(), steps=9, info=info)
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        module.validation_step(photos(1).repeat(2, 1, 1, 1), 0)
        found.append([values["stability_loss"] for _, values in module._photo_losses])
        module._photo_losses.clear()
    assert found[0] == found[1] and found[0][0] != found[0][1] > 0


def test_previews_leave_a_network_in_training_as_it_was() -> None:
    network = build("realtime", widths=[4, 8], depths=[0, 1], norm="batch").train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    info = StyleInfo("any", "realtime")
    module = FeedForwardStyleTransfer(
        network, Criterion(None, {"tv": (1.0, Tv())}), None, Feedforward(), steps=9, info=info
    )
    module.preview_photos = [("a", photos(1)[0])]
    [preview] = module.previews()
    assert network.training and all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert torch.allclose(preview.result, framed(network.eval(), photos(1), 16)[0], atol=1e-5)


def test_a_step_draws_the_same_whatever_was_drawn_before_and_each_process_something_else() -> None:
    """A resumed run of several processes, or one on a GPU, has no state of theirs to go on from."""
    info = StyleInfo("art", "photo", training={"seed": 3})
    module = FeedForwardStyleTransfer(Network(), None, StyleTarget({}), Feedforward(), steps=9, info=info)

    def drawn(step: int, process: int) -> float:
        module._trainer = SimpleNamespace(global_step=step, global_rank=process, world_size=2)
        module.on_train_batch_start(photos(), 0)
        return torch.rand(()).item()

    first = [drawn(step, process) for step in range(3) for process in range(2)]
    assert len(set(first)) == 6 and first == [drawn(step, process) for step in range(3) for process in range(2)]


def test_without_more_around_only_the_exposure_is_another() -> None:
    image = photos()
    step = Step(image, {}, StyleTarget({}), None, {}, photos=image, paint=lambda x: x)
    assert Stability()(step).item() < 1e-12


def test_values_that_make_no_sense_are_one_line() -> None:
    with pytest.raises(UserError, match=r"loss\.stability_shift is -1"):
        Stability(shift=-1)
