"""Files of many styles: names, mixtures, paintings, styles that move; on both backends, against plain networks."""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from clips import film, pixels
from criteria import build_criterion
from PIL import Image
from styles import bundled_shelf, make_many
from test_infer import infer
from test_stylize import by_hand, picture
from test_stylize_backends import START, psnr

from fst import images, stylefile
from fst.errors import UserError
from fst.losses.weights import load_features
from fst.stylize import Stylizer, cache, export, framing, many, ranges, styles

FRAME = picture(48, 64)


@pytest.fixture(scope="module", autouse=True)
def shelf(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shelf")
    make_many(folder / "other/more.safetensors", ("gogh", "monet"), predictor=0)
    with bundled_shelf(folder):
        yield folder


@pytest.fixture(params=["torch", "openvino"])
def load(request):
    precision = "f32" if request.param == "openvino" else "auto"
    return lambda style, **how: Stylizer.load(style, backend=request.param, precision=precision, **how)


def plain(shelf: Path, folder: Path, vector: torch.Tensor | dict) -> Path:
    """A style file of one style, folded from the file of many."""
    network, _ = stylefile.load(shelf / "many.safetensors")
    vector = network.vector(vector) if isinstance(vector, dict) else vector
    info = stylefile.StyleInfo("one", "realtime", {"widths": [8, 16], "depths": [0, 2]})
    return stylefile.save(folder / "one.safetensors", network.folded(vector), info)


def gradient() -> np.ndarray:
    """A painting: stripes over a gradient."""
    y, x = np.mgrid[:96, :128]
    return np.stack([x * 2 % 256, y * 2, 128 + 127 * np.sin(x / 3)], axis=-1).astype(np.uint8)


def same(first: np.ndarray, second: np.ndarray) -> bool:
    return np.abs(first.astype(int) - second).max() <= 1


def test_names_and_mixtures_paint_as_the_folded_network(shelf, tmp_path, load):
    for style, shares in [
        ("seurat", {"seurat": 1}),
        ("gogh:0.7, hokusai:0.3", {"gogh": 0.7, "hokusai": 0.3}),
        ("gogh:3,seurat:1", {"gogh": 0.75, "seurat": 0.25}),
        (f"{shelf / 'many.safetensors'}:gogh", {"gogh": 1}),
    ]:
        assert same(load(style)(FRAME), by_hand(plain(shelf, tmp_path, shares), FRAME)), style
    assert same(load("seurat:1,hokusai:0")(FRAME), load("seurat")(FRAME))
    assert not same(load("seurat")(FRAME), load("hokusai")(FRAME))


def test_a_style_of_many_says_what_its_own_painting_is():
    assert styles.find("seurat").info.style["title"] == "A seurat" and styles.find("seurat").info.name == "seurat"
    assert styles.find("seurat:1,hokusai:1").info.style == {}


def test_a_name_with_a_network_of_its_own_is_that_one(shelf, load):
    assert same(load("gogh")(FRAME), by_hand(shelf / "gogh.safetensors", FRAME))
    assert not same(load("gogh")(FRAME), load("gogh:1")(FRAME))


def test_styles_of_a_file_share_what_is_compiled(load):
    first, second = load("seurat"), load("hokusai:0.5,gogh:0.5")
    assert first._backend is second._backend
    assert same(first(FRAME, second.vector), second(FRAME))


def test_a_file_that_was_replaced_is_read_anew(tmp_path):
    for names in (("gogh", "monet"), ("cezanne",)):
        assert many.opened(make_many(tmp_path / "many.safetensors", names)).names == list(names)


def test_a_styles_name_is_fit_for_a_file_whatever_its_file_says():
    said = {
        "../../etc/x": "etc-x",
        "le café": "le-café",
        "a/b:c": "a-b-c",
        ".hidden": "hidden",
        "..": "style",
        "": "style",
    }
    assert {name: many.file_name(name) for name in said} == said


def test_8_bits_by_ranges_that_hold_for_each_style(shelf, tmp_path):
    file = tmp_path / "eight.safetensors"
    file.write_bytes((shelf / "many.safetensors").read_bytes())
    images.write(tmp_path / "photos/a.png", picture(140, 170))
    ranges.main([str(file), str(tmp_path / "photos")])
    for name in ("gogh", "seurat"):
        eight, full = (Stylizer.load(f"{file}:{name}", precision=how) for how in ("int8", "f32"))
        assert eight._backend.precision == "int8"
        assert 25 < psnr(eight(FRAME), full(FRAME)) < 60


CHECK = """
import sys
from fst import stylefile
stylefile.load(sys.argv[1])
print([name for name in ("torch._dynamo", "sympy") if name in sys.modules])
"""


def test_opening_a_file_does_not_import_torchs_compiler(shelf):
    """Which takes five seconds and more; arithmetic on the meta device does."""
    done = subprocess.run([sys.executable, "-c", CHECK, shelf / "many.safetensors"], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


def test_large_pictures_in_strips_and_exported_ones_are_the_mixtures(shelf, tmp_path):
    stylizer, large = Stylizer.load("gogh:1,seurat:1", backend="torch"), picture(200, 160)
    for vector in (None, stylizer.many.vector("gogh")):
        whole = stylizer(large, vector)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(framing, "WHOLE", 0)
            assert 40 < psnr(whole, stylizer(large, vector)) < 90
    target = tmp_path / "mixed.onnx"
    export.export("onnx", "gogh:1,seurat:1", str(target), overwrite=False)
    [painted] = onnxruntime.InferenceSession(target).run(None, {"image": images.to_tensor(FRAME).numpy()})
    assert same((painted[0].transpose(1, 2, 0) * 255).round(), stylizer(FRAME))
    with pytest.raises(UserError, match="moves"):
        export.export("onnx", "gogh>seurat", None, overwrite=False)


def test_a_moving_style_begins_and_ends_as_its_styles_and_passes_the_middle(load):
    moving, ends = load("seurat>gogh:1,hokusai:1>hokusai"), [load("seurat"), load("hokusai")]
    assert moving.name == "seurat-to-gogh50-hokusai50-to-hokusai"
    shown = list(moving.stream(iter([FRAME] * 9), 9))
    for place, style in [(0, "seurat"), (2, "seurat:2,gogh:1,hokusai:1"), (4, "gogh:1,hokusai:1"), (8, "hokusai")]:
        assert same(shown[place], load(style)(FRAME)), place
    assert not any(same(before, after) for before, after in itertools.pairwise(shown))
    assert len(list(moving.stream([FRAME] * 3, 1))) == 3  # more frames than the film said
    still = list(ends[0].stream([FRAME] * 2))
    assert same(still[1], ends[0](FRAME))
    with pytest.raises(UserError, match="length"):
        next(moving.stream([FRAME]))


@pytest.mark.parametrize("size", [64, 128])
def test_a_painting_is_read_by_the_bundled_loss_network(shelf, tmp_path, load, size):
    images.write(tmp_path / "wave.png", gradient())
    layers = ["relu1_2", "relu2_2", "relu3_3"]
    features = load_features(layers, "BUNDLED", architecture="vgg16_small")
    criterion = build_criterion(features, style_layers=layers, content_weight=0)
    seen = images.to_tensor(images.resize(gradient(), (size * 3 // 4, size)))
    grams = criterion.style_target([seen]).grams
    network, _ = stylefile.load(shelf / "many.safetensors")
    vector = network.predictor({layer: grams[1.0, layer] for layer in layers})
    read = load(tmp_path / "wave.png", painting_size=size)
    assert read.name == "wave"
    assert same(read(FRAME), by_hand(plain(shelf, tmp_path, vector), FRAME))
    mixed = load(f"{tmp_path / 'wave.png'}:1,seurat:1", painting_size=size)
    assert np.allclose(mixed.vector, (vector.numpy()[0] + many.bundled().vector("seurat")) / 2, atol=1e-5)


def test_a_painting_is_read_once_and_a_changed_one_anew(tmp_path):
    file = tmp_path / "wave.png"
    images.write(file, gradient())
    first = styles.find(file).vectors
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(many.Many, "read_pixels", None)
        assert np.array_equal(styles.find(file).vectors, first)
    images.write(file, gradient()[::-1, :, ::-1].copy())
    assert not np.allclose(styles.find(file).vectors, first)


def test_a_painting_is_read_anew_by_another_file_of_many(shelf, tmp_path):
    images.write(tmp_path / "wave.png", gradient())
    network, info = stylefile.load(shelf / "many.safetensors")
    network.predictor.last.bias += 1
    other = stylefile.save(tmp_path / "other.safetensors", network, info)
    vectors = [many.opened(file).read(tmp_path / "wave.png", 64) for file in (shelf / "many.safetensors", other)]
    assert np.allclose(vectors[1], vectors[0] + 1, atol=1e-4)


def test_no_room_for_what_is_kept_is_a_line(tmp_path, monkeypatch):
    monkeypatch.setenv("FST_HOME", str(tmp_path))

    def make(folder: Path) -> None:
        raise OSError(28, "No space left on device", "vector.npy")

    with pytest.raises(UserError, match=r"reading: cannot write .*compiled: No space left on device; make room"):
        cache.made_once("reading", "painting", [b"a painting"], make)
    assert not list((tmp_path / "compiled").iterdir())


def test_a_mixture_starts_without_torch_once_its_file_was_compiled(shelf):
    style = f"{shelf / 'many.safetensors'}:seurat:0.5,{shelf / 'many.safetensors'}:gogh:0.5"
    Stylizer.load(style, backend="openvino")
    done = subprocess.run([sys.executable, "-c", START, style], capture_output=True, text=True)
    assert json.loads(done.stdout) == [[48, 64, 3], []]


def paintings() -> dict[str, tuple[Image.Image, str | None]]:
    """Such as nobody would call paintings, and what is said of them; None: they are painted by."""
    random = np.random.default_rng(0)
    wall = random.normal(200, 2, (300, 400, 3)).clip(0, 255).astype(np.uint8)
    plain, tiny = "almost a single colour", "too small or narrow"
    return {
        "wall.jpg": (Image.fromarray(wall), plain),
        "black.png": (Image.new("RGB", (300, 200)), plain),
        "red.png": (Image.new("RGB", (50, 50), "red"), plain),
        "clear.png": (Image.new("RGBA", (64, 64), (9, 200, 9, 0)), plain),
        "pixel.png": (Image.new("RGB", (1, 1), "blue"), tiny),
        "small.png": (Image.fromarray(gradient()).resize((8, 12)), tiny),
        "strip.png": (Image.fromarray(gradient()).resize((2000, 40)), tiny),
        "least.png": (Image.fromarray(gradient()).resize((64, 32)), None),
        "noise.png": (Image.fromarray(random.integers(0, 256, (64, 64), dtype=np.uint8)), None),
        "half.png": (Image.fromarray(np.dstack([gradient(), gradient()[..., 0]])), None),
    }


@pytest.mark.parametrize("name", paintings())
def test_a_strange_painting_gives_a_picture_or_a_sentence(tmp_path, name):
    painting, says = paintings()[name]
    painting.save(tmp_path / name)
    if says is not None:
        with pytest.raises(UserError, match=says) as caught:
            styles.find(tmp_path / name)
        assert "\n" not in str(caught.value)
    else:
        stylizer = Stylizer.load(tmp_path / name, backend="torch")
        assert np.isfinite(stylizer.vector).all() and stylizer(FRAME).std() > 1


def test_an_animation_is_read_by_its_first_picture(tmp_path):
    first, second = Image.fromarray(gradient()), Image.fromarray(picture(96, 128))
    first.save(tmp_path / "moving.gif", save_all=True, append_images=[second])
    first.save(tmp_path / "still.gif")
    read = [styles.find(tmp_path / name).vectors for name in ("moving.gif", "still.gif")]
    assert np.allclose(*read)


def test_folders_of_paintings_and_files_of_many_are_each_that_they_hold(shelf, tmp_path, monkeypatch):
    for name in ("b.png", "inner/a.jpg"):
        images.write(tmp_path / "paintings" / name, gradient())
    found = styles.split(f"{tmp_path / 'paintings'},seurat")
    assert [styles.find(style).name for style in found] == ["b", "a", "seurat"]
    path = shelf / "many.safetensors"
    for text in ("many", str(path)):
        assert [styles.find(style).name for style in styles.split(text)] == ["gogh", "hokusai", "seurat"]
    (tmp_path / "run").mkdir()
    (tmp_path / "run/style.safetensors").write_bytes(path.read_bytes())
    assert [styles.short(style) for style in styles.split(str(tmp_path / "run"))] == ["gogh", "hokusai", "seurat"]
    images.write(tmp_path / "unfinished/previews/a.png", gradient())
    (tmp_path / "unfinished/config.yaml").touch()
    with pytest.raises(UserError, match="has its run finished"):
        styles.find(styles.split(str(tmp_path / "unfinished"))[0])
    assert styles.split("gogh:0.5,hokusai:0.5") == ["gogh:0.5,hokusai:0.5"] and styles.split("a>b,c") == ["a>b,c"]
    assert styles.split("gogh,seurat") == ["gogh", "seurat"]


@pytest.mark.parametrize(
    ("style", "says"),
    [
        ("gogh:0.5,gogh:0.5", "names gogh twice"),
        ("gogh:0,hokusai:0", "not all 0"),
        ("gogh:-1,hokusai:2", "0 or more"),
        ("gogh:1e99,hokusai:1", "0 or more"),
        ("gogh:0.5,hokusai", "a share for each"),
        ("gogh:0.5,hokusay:0.5", "did you mean 'hokusai'"),
        ("seurad", "did you mean 'seurat'"),
        ("boccioni:0.5,gogh:0.5", "a network of its own"),
        ("gogh>", "names an empty style"),
        ("gogh:0.5,:0.5,hokusai:1", "a share for each style"),
        ("munch", "no style 'munch' comes with fst, but it can be trained in a minute"),
        ("nobody", "unknown style 'nobody'; choose from "),
        ("none.jpg", "painting none.jpg does not exist"),
        ("~nobody-of-that-name/none.jpg", "painting ~nobody-of-that-name/none.jpg does not exist"),
        ("FOLDER/none.jpg:0.5,gogh:0.5", "none.jpg does not exist"),
        ("FOLDER/none.safetensors:gogh", "none.safetensors does not exist"),
        ("FOLDER/gogh.safetensors:gogh", "a single style"),
        ("FOLDER/many.safetensors", "holds many styles: name one, as style="),
        ("FOLDER/many.safetensors:boccioni", "unknown style 'boccioni'"),
        ("gogh:1,FOLDER/other/more.safetensors:monet:1", "different files"),
        ("gogh>FOLDER/other/more.safetensors:monet", "different files"),
        ("FOLDER/other/more.safetensors:FOLDER/strip.png", "without a predictor"),
        ("FOLDER/text.png", "text.png"),
        ("FOLDER/newer.safetensors:gogh", "update fst"),
        ("FOLDER/torn.safetensors:gogh", "another version"),
    ],
)
def test_what_makes_no_sense_is_said_in_a_line(shelf, style, says):
    images.write(shelf / "strip.png", np.zeros((4, 900, 3), np.uint8))
    (shelf / "text.png").write_text("no picture")
    network, info = stylefile.load(shelf / "other/more.safetensors")
    fields = dict(vars(info))
    stylefile.save(shelf / "newer.safetensors", network, stylefile.StyleInfo(**fields | {"format": 99}))
    stylefile.save(
        shelf / "torn.safetensors", network, stylefile.StyleInfo(**fields | {"settings": {"styles": ["gogh"]}})
    )
    try:
        with pytest.raises(UserError, match=says) as caught:
            styles.find(style.replace("FOLDER", str(shelf)))
        assert "\n" not in str(caught.value)
    finally:
        for name in ("newer", "torn"):
            (shelf / f"{name}.safetensors").unlink()


def test_a_paintings_name_may_have_commas_and_more(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = "Waves, a > b:0.5.png"
    for place in (name, f"paintings/{name}"):
        images.write(place, gradient())
    assert styles.split(name) == [name] and styles.split("paintings") == [f"paintings/{name}"]
    assert not styles.moves(name) and styles.moves("gogh>hokusai")
    assert styles.find(f"paintings/{name}").name == "Waves-a-b-0.5"
    images.write("photo.png", FRAME)
    infer.main(["source=photo.png", f"style={name}", "output=out.png", "backend=torch"])
    assert images.read("out.png").shape == FRAME.shape


def test_a_tilde_before_no_users_name_is_a_name():
    names = ["~nobody-of-that-name/a.jpg", "~nobody-of-that-name"]
    assert styles.split(",".join(names)) == names


def test_the_list_names_styles_of_both_kinds_with_their_figures(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")  # of a terminal, which this is not: a line has room for a style
    styles.print_styles()
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()[::-1]}
    assert "6.2" in lines["hokusai"] or "6.3" in lines["hokusai"]
    assert "realtime_many" in lines["seurat"] and "A seurat" in lines["seurat"] and "N. N." in lines["boccioni"]


def test_infer_moves_a_film_paints_in_every_painting_of_a_folder_and_refuses_what_cannot_move(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    film(Path("clip.mp4"), [FRAME] * 6, options={"crf": "10"})
    images.write("photo.png", FRAME)
    for name in ("a", "b"):
        images.write(f"paintings/{name}.png", gradient())
    infer.main(["source=clip.mp4", "style=gogh>seurat", "output=out.mp4", "backend=torch", "quality=100"])
    shown = list(pixels(Path("out.mp4")))
    # Within what H.264 keeps of a colour.
    assert len(shown) == 6
    for place, style in [(0, "gogh:1"), (-1, "seurat")]:
        assert psnr(shown[place], Stylizer.load(style, backend="torch")(FRAME)) > 25, style
    assert psnr(shown[0], shown[-1]) < 20
    infer.main(["source=photo.png", "style=paintings", "backend=torch"])
    assert sorted(path.name for path in tmp_path.glob("photo-*.png")) == ["photo-a.png", "photo-b.png"]
    for words in (["source=photo.png"], ["source=webcam"], ["source=clip.mp4", "output=page"]):
        with pytest.raises(UserError, match="moves over a film that is written"):
            infer.main([*words, "style=gogh>seurat"])
