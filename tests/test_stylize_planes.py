"""Films painted in their codec's own planes: the colours are those of painting in RGB."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch
from clips import bars, film
from styles import make_many, make_style
from test_stylize import picture
from test_stylize_backends import psnr
from torch import Tensor, nn

from fst import images, stylefile
from fst.media.video.colour import Colour, Converter
from fst.media.video.decode import VideoReader
from fst.media.video.paint_video import paint_video
from fst.networks import NETWORKS, Network, build
from fst.networks.blocks import ConvBlock
from fst.stylize import Stylizer, openvino_backend
from fst.stylize.planar import takes_planes
from fst.stylize.planes import Matrix, Planes, folded, unfolded
from fst.stylize.ranges import convolutions, measure
from fst.stylize.rewrite import faster
from fst.stylize.styles import find

KINDS = {"709": (1, 1, 1, 1), "601": (6, 6, 6, 1), "2020, full": (9, 1, 9, 2), "601, full": (5, 6, 5, 2)}


class Turned(Network):
    """Red becomes green, green blue, blue red, and all become 0.8 of it: a wrong matrix shows."""

    multiple, smallest = 8, 8

    def __init__(self, fold: int = 2) -> None:
        super().__init__()
        size = 3 * fold**2
        first = ConvBlock(size, size, 3, norm=None, relu=False)
        last = nn.Conv2d(size, size, 3, padding=1, padding_mode="reflect")
        self.layers = nn.Sequential(nn.PixelUnshuffle(fold), first, last, nn.PixelShuffle(fold))
        with torch.no_grad():
            for convolution, order in ((first[0], torch.arange(size)), (last, torch.arange(size).roll(-(fold**2)))):
                convolution.weight.zero_()[range(size), order, 1, 1] = 1
                convolution.bias.zero_()

    def after(self, features: Tensor) -> Tensor:
        return 0.8 * super().after(features)


class Bent(Turned):
    """Its colours are no linear function of the last convolution's."""

    def after(self, features: Tensor) -> Tensor:
        return torch.sigmoid(features)


@pytest.fixture(autouse=True)
def home(tmp_path_factory, tmp_path, monkeypatch) -> Iterator[None]:
    monkeypatch.setenv("FST_HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.chdir(tmp_path)
    NETWORKS.update(turned=Turned, bent=Bent)
    yield
    del NETWORKS["turned"], NETWORKS["bent"]


def own(path: Path, network: str, **settings: object) -> Path:
    return stylefile.save(path, build(network, **settings), stylefile.StyleInfo(path.stem, network, settings))


def rgb(path: Path, index: int = 0) -> np.ndarray:
    """A frame as FFmpeg's own scaler shows it by the film's tags."""
    with av.open(str(path)) as container:
        frame = [*container.decode(video=0)][index]
    return frame.to_ndarray(format="rgb24")


def test_a_folded_square_holds_its_pixels_row_by_row():
    random = np.random.default_rng(0)
    lines = [random.integers(0, 256, (side, side + 64), np.uint8) for side in (48, 24, 24)]
    for line in lines:
        line.setflags(write=False)  # as a decoder's memory, whose lines are longer than the picture
    planes = Planes(*(line[:, : 5 * len(line) // 3] for line in lines), Matrix(0.3, 0.1, False))
    squares = folded(planes)
    y, x = 5, 3
    expected = [*planes.luma[2 * y : 2 * y + 2, 2 * x : 2 * x + 2].ravel(), planes.blue[y, x], planes.red[y, x]]
    assert squares[y, x].tolist() == expected
    again = unfolded(squares, planes.matrix)
    assert all(np.array_equal(*pair) for pair in zip(again[:3], planes[:3], strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_colours_are_the_films_own(kind):
    tags = KINDS[kind]
    source = film(Path("a.mp4"), [bars() // 2 + 60] * 3, tags=tags, options={"qp": "1"})
    stylizer = Stylizer.load(own(Path("style.safetensors"), "turned"), backend="openvino", precision="f32")
    assert stylizer.takes_planes(64, 256)
    painted = paint_video(str(source), Path("b.mp4"), stylizer, quality=100)
    before, after = rgb(source).astype(float), rgb(painted).astype(float)
    middle = np.arange(256) % 32 // 8 % 3 > 0  # away from the bars' edges, where chroma is blurred
    assert np.abs(0.8 * before[..., [1, 2, 0]] - after)[:, middle].max() < 4
    with av.open(str(painted)) as container:
        context = container.streams.video[0].codec_context
        assert (context.color_primaries, context.color_trc, context.colorspace, context.color_range) == tags


def to_rgb(planes: Planes) -> np.ndarray:
    """BT.601, 16..235, each difference for 2×2 pixels."""
    luma, blue, red = (plane.astype(float) for plane in planes[:3])
    luma = (luma - 16) / 219
    blue, red = (np.kron((plane - 128) / 224, np.ones((2, 2))) for plane in (blue, red))
    pixels = np.stack([luma + 1.402 * red, luma - 0.344136 * blue - 0.714136 * red, luma + 1.772 * blue], axis=-1)
    return (pixels.clip(0, 1) * 255).round().astype(np.uint8)


def to_planes(pixels: np.ndarray) -> list[np.ndarray]:
    luma = pixels / 255 @ [0.299, 0.587, 0.114]
    blue, red = ((pixels[..., channel] / 255 - luma) / width for channel, width in ((2, 1.772), (0, 1.402)))
    height, width = luma.shape
    means = [plane.reshape(height // 2, 2, width // 2, 2).mean((1, 3)) for plane in (blue, red)]
    return [16 + 219 * luma, *(128 + 224 * plane for plane in means)]


@pytest.mark.parametrize(
    ("settings", "network"),
    [
        ({"strength": 0.6}, {"widths": [8, 16], "depths": [0, 1]}),
        ({"colors": "content"}, {"widths": [8], "depths": [1], "end": "shuffle"}),
    ],
)
def test_planes_are_painted_as_their_rgb_is(network, settings):
    torch.manual_seed(0)
    built = build("realtime", **network).eval()
    with torch.no_grad():
        [*convolutions(built).values()][-1].weight *= 0.3  # colours within 0..1, where both cut off nothing
    style = stylefile.save(Path("style.safetensors"), built, stylefile.StyleInfo("style", "realtime", network))
    frames = [cv2.GaussianBlur(picture(90, 122, seed), (0, 0), 2) // 2 + 60 for seed in range(5)]
    source = film(Path("a.mp4"), frames, tags=KINDS["601"], options={"qp": "1"})
    stylizer = Stylizer.load(style, backend="openvino", precision="f32", **settings)
    reference = Stylizer.load(style, backend="torch", **settings)
    planes = [item.pixels for item in VideoReader(str(source), stylizer.takes_planes)]
    for frame, painted in zip(planes, stylizer.stream(planes), strict=True):
        levels = [psnr(*pair) for pair in zip(painted[:3], to_planes(reference(to_rgb(frame))), strict=True)]
        assert painted.shape == (90, 122) and min(levels) > 43, levels


def test_planes_in_8_bits_are_near_those_in_32(tmp_path, monkeypatch):
    """In torch: a film's are in 8 bits already, whatever the range of what a network sees of a picture."""
    style = make_style(Path("style.safetensors"), "realtime")
    network, info = stylefile.load(style)
    measured = measure(network, [images.to_tensor(picture(96, 128, seed)) for seed in range(4)])
    stylefile.describe(style, dataclasses.replace(info, int8=measured))
    made = {}
    monkeypatch.setattr(openvino_backend, "_write", lambda network, graph, depth: made.update({graph.name: network}))
    openvino_backend._make(find(style), tmp_path, Matrix(0.299, 0.114, False))
    frame = cv2.GaussianBlur(picture(96, 128), (0, 0), 2) // 2 + 60
    planes = Planes(*(plane.round().astype(np.uint8) for plane in to_planes(frame)), Matrix(0.299, 0.114, False))
    squares = images.to_tensor(folded(planes))
    with torch.inference_mode():
        eight, full = (255 * made[name].stylize(squares).clamp(0, 1).numpy() for name in ("int8.xml", "network.xml"))
    assert psnr(eight, full) > 43


def test_each_style_of_many_paints_planes_by_its_vector():
    file = make_many(Path("many.safetensors"))
    frame = cv2.GaussianBlur(picture(90, 122), (0, 0), 2) // 2 + 60
    planes = Planes(*(plane.round().astype(np.uint8) for plane in to_planes(frame)), Matrix(0.299, 0.114, False))
    ways = {"openvino": planes, "torch": to_rgb(planes)}
    painted = {
        (name, way): next(Stylizer.load(f"{file}:{name}", backend=way, precision="f32", strength=0.3).stream([given]))
        for name in ("gogh", "seurat")
        for way, given in ways.items()
    }
    luma = {name: to_planes(painted[name, "torch"])[0] for name in ("gogh", "seurat")}
    for name, expected in luma.items():
        assert psnr(painted[name, "openvino"].luma, expected) > 45
    assert psnr(*luma.values()) < 35  # strength takes most of what tells them apart


def test_a_film_whose_colours_or_size_change_stays_as_it_began():
    frame = av.VideoFrame.from_ndarray(picture(96, 128), "rgb24").reformat(128, 96, "yuv420p", dst_color_range=2)
    frame.color_range = 2
    planes = Converter().to_planes(frame, 64, 48, Colour(6, 6, 6, 1))
    assert planes.shape == (48, 64) and planes.red.shape == (24, 32)
    full = np.frombuffer(frame.planes[0], np.uint8).mean()
    assert planes.luma.mean() == pytest.approx(16 + full * 219 / 255, abs=2)


@pytest.mark.parametrize(("format", "rotation"), [("yuv444p", 0), ("yuv420p10le", 0), ("yuv420p", 90)])
def test_other_films_are_painted_in_rgb(format, rotation):
    source = film(Path("a.mp4"), [picture(48, 64)] * 2, pixel_format=format, rotation=rotation)
    pixels = [item.pixels for item in VideoReader(str(source), lambda height, width: True)]
    assert all(isinstance(frame, np.ndarray) for frame in pixels)


def test_a_film_of_an_odd_size_is_painted_in_rgb():
    source = film(Path("a.mkv"), [picture(47, 64)] * 2, codec="ffv1")
    assert all(isinstance(item.pixels, np.ndarray) for item in VideoReader(str(source), lambda height, width: True))


def test_who_cannot_take_planes_says_so(tmp_path):
    realtime = make_style(tmp_path / "realtime.safetensors", "realtime")
    assert not Stylizer.load(realtime, backend="torch").takes_planes(96, 128)
    assert not Stylizer.load(realtime, backend="openvino", size=64).takes_planes(96, 128)
    assert not Stylizer.load(realtime, backend="openvino").takes_planes(8000, 9000)  # painted in strips
    assert Stylizer.load(realtime, backend="openvino").takes_planes(96, 128)
    assert not Stylizer.load(make_style(tmp_path / "johnson.safetensors"), backend="openvino").takes_planes(96, 128)
    zeros = Turned()
    zeros.layers[1][0].padding_mode = "zeros"
    bounded = Turned()  # by what is no part of a convolution
    bounded.layers[2] = nn.Sequential(bounded.layers[2], nn.ReLU())
    grouped = Turned()
    grouped.layers[1][0] = nn.Conv2d(12, 12, 3, padding=1, padding_mode="reflect", groups=3)
    networks = (Turned(), Bent(), zeros, bounded, grouped, Turned(fold=4))
    assert [takes_planes(faster(network)) for network in networks] == [True, *[False] * 5]
