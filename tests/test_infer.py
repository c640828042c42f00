"""infer.py as people run it: photos, folders, pipes, names, refusals. Other readers than Pillow check what came out."""

import base64
import importlib.util
import io
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from clips import film, pixels, scene
from PIL import Image, ImageCms
from rich.console import Console
from styles import make_many, make_style
from test_stylize import picture

from fst import stylefile
from fst.errors import UserError
from fst.media import bar, folders, paint
from fst.media.places import target_of

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
import infer  # noqa: E402

WEIRD = [
    "渡月橋.jpg",
    "a b,c=[d]'e\".jpg",
    "photo[1].jpg",
    "${x}.jpg",
    "back\\slash.jpg",
    "-.jpg",
    "a*b?.jpg",
    "#1%.jpg",
    "~nobody.jpg",
]


@pytest.fixture(scope="module")
def shelf(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("styles")
    make_style(folder / "gogh.safetensors", "realtime")
    make_style(folder / "hokusai.safetensors", "realtime")
    make_many(folder / "many.safetensors", ("gogh", "seurat"))
    return folder


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch, shelf) -> Path:
    """An empty working folder, two bundled styles, and a store of its own."""
    monkeypatch.setattr(stylefile, "BUNDLED", shelf)
    monkeypatch.setenv("FST_HOME", str(shelf / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> None:
    infer.main([*arguments, "backend=torch"])


def save(path: Path | str, size=(40, 56), **options) -> Path:
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture(*size)).save(path, **options)
    return path


def opencv(path: Path | str) -> np.ndarray:
    """Read with OpenCV as it is stored, RGB; from bytes, since OpenCV's own file names are not Unicode everywhere."""
    data = np.frombuffer(Path(path).read_bytes(), np.uint8)
    return cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)[..., ::-1]


def test_a_photo_is_painted_into_the_current_folder(capsys, tmp_path):
    save(tmp_path / "in" / "photo.png")
    run("source=in/photo.png")
    assert capsys.readouterr().out == "photo-gogh.png\n"
    from fst.stylize import Stylizer

    expected = Stylizer.load("gogh", backend="torch")(picture(40, 56))
    assert np.array_equal(opencv("photo-gogh.png"), expected)


def test_a_terminal_says_what_is_waited_for(monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr(bar, "CONSOLE", Console(file=screen, force_terminal=True))
    save("a[b].png")
    run("source=a[b].png")
    assert "painting a[b]-gogh.png" in screen.getvalue()


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG", ".png", ".webp", ".tif", ".bmp", ".avif"])
def test_a_photo_stays_in_its_format(suffix):
    kind = {".avif": "AVIF"}.get(suffix)
    save(f"photo{suffix}", **({"format": kind} if kind else {}))
    run(f"source=photo{suffix}")
    with Image.open(f"photo{suffix}") as before, Image.open(f"photo-gogh{suffix}") as after:
        assert (after.format, after.size) == (before.format, before.size)


HEIC = """
AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAX1tZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAACJpbG9jAAAAAER
AAAEAAQAAAAABoQABAAAAAAAAADYAAAAjaWluZgAAAAAAAQAAABVpbmZlAgAAAAABAABodmMxAAAAAA5waXRtAAAAAAABAAAA/WlwcnAAAADdaXBjbw
AAAHZodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMAAAMAHroCQGEAAQAqQgEBA3AAAAMAkAAAAwAAAwAeoCCBB
Zbq5Ka5uAhoMCAAAAMDIAAAAwAhYgABAAZEAcFzwIkAAAATY29scm5jbHgAAQANAAaAAAAAFGlzcGUAAAAAAAAAQAAAAEAAAAAoY2xhcAAAADgAAAAB
AAAAKAAAAAH////4AAAAAv///+gAAAACAAAAEHBpeGkAAAAAAwgICAAAABhpcG1hAAAAAAAAAAEAAQWBAgMFhAAAAD5tZGF0AAAAMigBrwQY+Msxjkk
p31Nl8bxWqFgFYlTtPd0rY8Csfktee7V5LOXQv0jH1q+wL0sbGfzw
"""  # 56x40 pixels, as an iPhone writes them


def test_a_telephones_photo_becomes_a_jpeg():
    pytest.importorskip("pi_heif")
    Path("photo.HEIC").write_bytes(base64.b64decode(HEIC))
    Path("in").mkdir()
    Path("in/photo").write_bytes(base64.b64decode(HEIC))
    run("source=photo.HEIC")
    run("source=in")
    for result in ("photo-gogh.jpg", "in-gogh/photo.jpg"):
        assert opencv(result).shape == (40, 56, 3)


def test_without_its_package_a_telephones_photo_is_a_line_that_names_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    Path("photo.heic").write_bytes(b"no image")
    with pytest.raises(UserError, match="pip install pi_heif"):
        run("source=photo.heic")


def test_a_format_that_is_only_read_becomes_png():
    save("photo.psd", format="PPM")  # Pillow reads it by its contents, and writes no .psd
    run("source=photo.psd")
    assert opencv("photo-gogh.png").shape == (40, 56, 3)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_exif_and_icc_profile_are_kept_and_the_photo_is_upright(suffix):
    exif = Image.Exif()
    exif[0x010F] = "Camera maker"
    exif[0x0112] = 6  # the camera was turned: a viewer shows it 40 wide, 56 high
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    save(f"photo{suffix}", exif=exif, icc_profile=profile)
    run(f"source=photo{suffix}")
    assert opencv(f"photo-gogh{suffix}").shape == (56, 40, 3)
    data = Path(f"photo-gogh{suffix}").read_bytes()
    with Image.open(io.BytesIO(data)) as image:
        kept = image.getexif()
        assert kept[0x010F] == "Camera maker" and kept.get(0x0112, 1) == 1
        assert image.info["icc_profile"] == profile
    if suffix != ".png":  # which compresses its profile
        assert b"Camera maker" in data and profile[:100] in data  # not only Pillow finds them


def test_a_jpeg_is_written_at_quality_95_or_as_told():
    def first_table(path):  # the luminance quantisation table, straight from the file
        data = Path(path).read_bytes()
        start = data.index(b"\xff\xdb") + 5
        return list(data[start : start + 64])

    save("photo.jpg")
    save("as95.jpg", quality=95)
    save("as30.jpg", quality=30)
    run("source=photo.jpg")
    assert first_table("photo-gogh.jpg") == first_table("as95.jpg")
    run("source=photo.jpg", "quality=30", "output=low.jpg")
    assert first_table("low.jpg") == first_table("as30.jpg")


@pytest.mark.parametrize("name", WEIRD)
def test_a_file_name_is_a_file_name(name, capsys):
    save(name, format="JPEG")
    run(f"source={name}", f"output=out {name}")
    assert opencv(f"out {name}").shape == (40, 56, 3)
    run(f"source={name}")
    assert opencv(f"{name.removesuffix('.jpg')}-gogh.jpg").shape == (40, 56, 3)


def test_a_style_file_with_a_strange_name(shelf):
    name = "le café, n=1 [x].safetensors"
    Path(name).write_bytes((shelf / "gogh.safetensors").read_bytes())
    save("photo.png")
    run("source=photo.png", f"style={name}")
    assert len(list(Path().glob("photo-*.png"))) == 1


def test_several_styles_paint_each():
    save("photo.png")
    run("source=photo.png", "style=gogh,hokusai", "output=out.png")
    assert sorted(path.name for path in Path().glob("out*.png")) == ["out-gogh.png", "out-hokusai.png"]
    save("in/a.png")
    run("source=in", "style=gogh,hokusai", "output=out")
    assert Path("out/gogh/a.png").is_file() and Path("out/hokusai/a.png").is_file()
    run("source=in", "style=gogh,hokusai")
    assert Path("in-gogh/a.png").is_file() and Path("in-hokusai/a.png").is_file()


def folder_of_photos() -> None:
    save("in/a.jpg")
    save("in/deep/er/b.png", size=(33, 47))
    save("in/.hidden/c.png")
    Path("in/notes.txt").write_text("no photo")
    data = save("whole.jpg", size=(200, 200)).read_bytes()
    Path("in/deep/cut.jpg").write_bytes(data[: len(data) // 2])
    Path("in/empty.png").write_bytes(b"")


def test_a_folder_keeps_its_structure_and_survives_damaged_photos(capsys):
    folder_of_photos()
    with pytest.raises(UserError, match="2 of 4 photos could not be painted"):
        run("source=in", "output=out")
    assert sorted(str(path) for path in Path("out").rglob("*.*")) == ["out/a.jpg", "out/deep/er/b.png"]
    assert opencv("out/deep/er/b.png").shape == (33, 47, 3)
    said = capsys.readouterr()
    skipped = [line for line in said.err.splitlines() if line.startswith("skipped:")]
    assert len(skipped) == 2 and "cut.jpg" in skipped[0] and "empty.png" in skipped[1]
    assert "2 of 4 painted, 2 failed: out" in said.out


def moving(path: Path, count: int = 3, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    first, *more = (Image.fromarray(picture(30, 40, seed)) for seed in range(count))
    first.save(path, save_all=True, append_images=more, duration=[80, 120, 200], **options)
    return path


def timing(path: Path) -> tuple[str, list[int]]:
    """A file's format and how long each of its frames is shown, in milliseconds."""
    with Image.open(path) as image:
        durations = []
        for index in range(image.n_frames):
            image.seek(index)
            image.load()
            durations.append(round(image.info["duration"]))
        return image.format, durations


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png", ".avif"])
def test_an_animation_stays_one_alone_and_in_a_folder(suffix, tmp_path):
    kind = {".avif": {"quality": 100}}.get(suffix, {})
    moving(tmp_path / f"in/moves{suffix}", **kind)
    save("in/still.png")
    run("source=in", "output=out")
    run(f"source=in/moves{suffix}")
    for result in (Path(f"out/moves{suffix}"), Path(f"moves-gogh{suffix}")):
        assert timing(result) == timing(tmp_path / f"in/moves{suffix}")
    with Image.open("out/still.png") as image:
        assert getattr(image, "n_frames", 1) == 1
    if suffix == ".png":  # painted, not only copied; lossless, so to the level
        from fst.stylize import Stylizer

        expected = Stylizer.load("gogh", backend="torch")(picture(30, 40, 2))
        with Image.open("out/moves.png") as image:
            image.seek(2)
            assert np.abs(np.asarray(image.convert("RGB")).astype(int) - expected).max() <= 1


def test_a_png_of_which_the_first_picture_is_no_frame():
    moving(Path("moves.png"), 4, default_image=True)
    run("source=moves.png")
    assert timing(Path("moves-gogh.png")) == ("PNG", [80, 120, 200])


@pytest.mark.skipif(sys.platform == "win32", reason="a named pipe")
def test_photos_are_found_by_their_contents_and_other_files_are_named(capsys):
    save("in/holiday", format="JPEG")
    save("in/a.dat", format="PNG")
    Path("in/notes.txt").write_text("no photo")
    os.mkfifo("in/pipe.jpg")  # nobody writes to it: to read it would take for ever
    run("source=in", "output=out")
    assert sorted(path.name for path in Path("out").iterdir()) == ["a.png", "holiday.jpg"]
    assert opencv("out/holiday.jpg").shape == (40, 56, 3)
    said = capsys.readouterr()
    assert "left out: 2 files that are no photos or films (notes.txt, pipe.jpg)" in said.err
    assert "2 of 2 painted" in said.out


def test_photos_of_one_name_do_not_replace_each_other():
    save("in/a.png")
    save("in/a.dat", format="PNG")
    save("in/a", format="PNG")
    run("source=in", "output=out")
    assert sorted(path.name for path in Path("out").iterdir()) == ["a-2.png", "a.dat.png", "a.png"]
    run("source=in", "output=out")  # the same names again: all are there already
    assert len(list(Path("out").iterdir())) == 3


def test_what_was_painted_in_another_style_is_not_painted(tmp_path):
    save("a.png")
    for style in ("gogh", "seurat", "gogh"):
        run("source=.", f"style={style}")
        painted = Path(f"{tmp_path.name}-{style}")
        assert [path.name for path in painted.rglob("*") if path.is_file()] == ["a.png"]


def test_what_was_painted_from_any_painting_is_not_painted_again(tmp_path):
    save("photos/a.jpg")
    save("photos/deep/b.png")
    for name in ("sea", "hill"):
        save(f"{name}.png", size=(96, 128))
        run("source=photos", f"style={name}.png", "output=null")
    for name in ("photos-sea", "photos-hill"):
        Path(name).rename(f"photos/{name}")
    save("photos/photos-2019/c.png")  # no painting: nothing of that name is above it
    run("source=photos", "output=out")
    found = sorted(str(path.relative_to("out")) for path in Path("out").rglob("*.*"))
    assert found == ["a.jpg", "deep/b.png", "photos-2019/c.png"]


def test_an_exif_block_that_a_jpeg_has_no_room_for_is_left_out(capsys):
    exif = Image.Exif()
    exif[0x010E] = "x" * 70000
    save("photo.png", exif=exif)
    run("source=photo.png", "output=photo.jpg")
    assert opencv("photo.jpg").shape == (40, 56, 3)
    assert "left out: EXIF of 70 kB" in capsys.readouterr().err


def test_a_checkout_without_bundled_styles_paints_in_a_style_of_ones_own(tmp_path, shelf, monkeypatch):
    save("in/a.png")
    own = shutil.copy(shelf / "gogh.safetensors", tmp_path / "own.safetensors")
    monkeypatch.setattr(stylefile, "BUNDLED", tmp_path / "nothing")
    run("source=in", f"style={own}")
    assert Path("in-own/a.png").is_file()


def test_links_are_followed_once(tmp_path):
    save("in/deep/a.png")
    save("elsewhere/b.png")
    Path("in/deep/up").symlink_to(tmp_path / "in")
    Path("in/linked").symlink_to(tmp_path / "elsewhere")
    for source in ("in", "in/**/*.png"):
        run(f"source={source}", "output=out", "overwrite=true")
        assert sorted(str(path) for path in Path("out").rglob("*.png")) == ["out/deep/a.png", "out/linked/b.png"]


def test_transparency_is_kept_where_the_format_can_and_else_said(capsys):
    alpha = np.tile(np.linspace(0, 255, 56).astype(np.uint8), (40, 1))
    pixels = np.dstack([picture(40, 56), alpha])
    for suffix in (".png", ".webp", ".tif"):
        Image.fromarray(pixels).save(
            f"photo{suffix}", **({"lossless": True, "exact": True} if suffix == ".webp" else {})
        )
        run(f"source=photo{suffix}")
        with Image.open(f"photo-gogh{suffix}") as image:
            assert image.mode == "RGBA"
            assert np.array_equal(np.asarray(image)[..., 3], alpha)
    painted = cv2.imread("photo-gogh.png", cv2.IMREAD_UNCHANGED)[..., 2::-1]
    run("source=photo.png", "output=flat.jpg")
    said = capsys.readouterr().err
    assert said == "photo.png is transparent in places: flat.jpg has white there\n"
    assert np.abs(opencv("flat.jpg").astype(int) - painted).mean() < 10
    save("opaque.png")
    run("source=opaque.png")
    with Image.open("opaque-gogh.png") as image:
        assert image.mode == "RGB"
    frames = [Image.fromarray(np.roll(pixels, 9 * index, axis=1)) for index in range(2)]
    frames[0].save("moves.png", save_all=True, append_images=frames[1:])
    run("source=moves.png")
    assert "moves.png is transparent in places" in capsys.readouterr().err


def test_photos_of_a_folder_that_lose_their_transparency_are_counted(capsys):
    save("in/a.png")
    Image.fromarray(picture(40, 56)).convert("RGBA").save("in/b.tga")
    Image.fromarray(np.dstack([picture(40, 56), np.full((40, 56), 90, np.uint8)])).save("in/c.tga")
    run("source=in", "output=out")
    assert "3 of 3 painted, 1 had transparent areas that are now white" in capsys.readouterr().out


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
def test_resolution_is_kept(suffix):
    save(f"photo{suffix}", dpi=(300, 240))
    run(f"source=photo{suffix}")
    with Image.open(f"photo-gogh{suffix}") as image:
        assert [round(float(value)) for value in image.info["dpi"]] == [300, 240]


def test_a_folder_painted_before_is_passed_over(capsys):
    save("in/a.png")
    run("source=in")
    first = Path("in-gogh/a.png").stat().st_mtime_ns
    save("in/b.png")
    run("source=in")
    assert Path("in-gogh/a.png").stat().st_mtime_ns == first and Path("in-gogh/b.png").is_file()
    assert "1 of 2 painted, 1 there already" in capsys.readouterr().out
    run("source=in", "overwrite=true")
    assert Path("in-gogh/a.png").stat().st_mtime_ns > first


def test_results_below_the_source_are_no_photos_the_next_time(monkeypatch, tmp_path):
    for name in ("in/a.png", "in/deep/b.png", "here/a.png"):
        save(name)
    for _ in range(2):
        run("source=in", "output=in/painted", "style=gogh,hokusai")
        run("source=in/**/*.png", "output=in/painted")
    monkeypatch.chdir(tmp_path / "here")
    for _ in range(2):
        run("source=.")
    found = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.png")}
    painted = {f"in/painted/{style}{name}" for style in ("", "gogh/", "hokusai/") for name in ("a.png", "deep/b.png")}
    assert found == {"in/a.png", "in/deep/b.png", "here/a.png", "here/here-gogh/a.png"} | painted


def test_two_paintings_of_one_name_do_not_replace_each_other():
    for name in ("one/wave.png", "two/wave.jpg"):
        save(name, size=(96, 128))
    save("photo.png")
    save("in/photo.png")
    for source in ("photo.png", "in"):
        run(f"source={source}", "style=one/wave.png,two/wave.jpg,gogh,gogh", "output=out/")
    names = [
        "gogh/photo.png",
        "photo-gogh.png",
        "photo-wave-2.png",
        "photo-wave.png",
        "wave-2/photo.png",
        "wave/photo.png",
    ]
    assert sorted(str(path.relative_to("out")) for path in Path("out").rglob("*.png")) == names


def test_a_pattern_keeps_the_structure_below_its_fixed_part(tmp_path):
    for name in ("in/x/a.png", "in/y/z/a.png", "in/y/b.jpg"):
        save(name)
    run("source=in/**/*.png", "output=out")
    assert sorted(str(path) for path in Path("out").rglob("*.*")) == ["out/x/a.png", "out/y/z/a.png"]
    run(f"source={tmp_path}/in/*/b.*")
    assert Path("painted-gogh/y/b.jpg").is_file()


def test_what_exists_is_not_overwritten_unless_told():
    save("photo.png")
    Path("photo-gogh.png").write_text("mine")
    with pytest.raises(UserError, match=r"photo-gogh\.png exists already: add overwrite=true"):
        run("source=photo.png")
    assert Path("photo-gogh.png").read_text() == "mine"
    run("source=photo.png", "overwrite=true")
    assert opencv("photo-gogh.png").shape == (40, 56, 3)


def test_an_output_without_a_suffix_is_a_folder():
    save("photo.png")
    run("source=photo.png", "output=new/folder")
    assert Path("new/folder/photo-gogh.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["source=none.jpg"], "none.jpg does not exist"),
        (["source=photo.png", "style=gog"], "did you mean 'gogh'"),
        (["source=photo.png", "output=out.xyz"], "no picture is written as '.xyz'"),
        (["source=photo.png", "style=GOGH"], "did you mean 'gogh'"),
        (["source=photo.png", "codec=h264"], "codec=h264 is for films"),
        (["source=films", "codec=foo"], "no video codec is called 'foo'"),
        (["source=films", "quality=101"], "quality is 101"),
        (["source=films/clip.mp4", "style=gogh>hokusai", "stabilize=flow"], "leave one of them out"),
        (["source=photo.png", "quality=0"], "between 1 and 100: that of a JPEG"),
        (["source=photo.png", "output=window"], "window"),
        (["source=photo.png", "output=name"], "output=name is no folder"),
        (["source=photo.png", "strength=2"], "between 0 and 1"),
        (["source=photo.png", "size=100000"], "between 16 and 16384"),
        (["export=onnx", "strength=0.5"], "in which strength= has no part"),
        (["export=onnx", "precision=int8"], "in which precision= has no part"),
        (["source=photo.png", "output=photo.ico"], "no picture is written as '.ico'"),
        (["source=photo.png", "strength=abc"], "strength"),
        (["source=photo.png", "size=[1"], "size"),
        (["sorce=photo.png"], "did you mean 'source'"),
        (["webcam.widht=3"], "did you mean 'webcam.width'"),
        (["photo.png"], "source="),
        (["style=gogh"], "source= is missing"),
        (["source=nothing/*.jpg"], "matches no photo"),
        (["source=text.jpg"], "text.jpg"),
        (["source=text.txt"], "text.txt"),
        (["source=empty"], "holds no photo"),
        (["source=folder", "output=photo.png"], "is a file"),
        (["source=folder", "output=-"], "takes one photo"),
        (["source=photo.png", "style=gogh,hokusai", "output=-"], "takes one picture"),
        (["source=folder", "style=gogh,hokusay"], "did you mean 'hokusai'"),
        (["source=folder", "output=./folder"], "where their paintings would go"),
        (["source=f*er/p*.png", "output=.", "overwrite=true"], "where their paintings would go"),
        (["source=photo.png", "output=folder/../photo.png", "overwrite=true"], "is the source itself"),
        (["source=photo.png", "style="], "style= is empty"),
        (["source=photo.png", "style=gogh:0.5"], "strength=0.5 mixes it with the photo"),
        (["source=webcam", "output=page", "page.host="], "page.host= is empty"),
        (["source=webcam", "webcam.fps=0"], "webcam.fps is 0, but it must be above 0"),
        (["source=webcam", "output=page", "page.port=-1"], "between 0 and 65535"),
        (["source=webcam", "output=page", "page.port=65536"], "between 0 and 65535"),
        (["source=photo.png", "painting_size=20"], "between 32 and 4096"),
    ],
)
def test_a_mistake_is_one_line(arguments, says):
    save("photo.png")
    save("folder/photo.png")
    Path("empty").mkdir()
    Path("films").mkdir()
    for name in ("text.jpg", "text.txt", "films/clip.mp4", "name"):
        Path(name).write_text("these are words")
    before = sorted(Path().rglob("*"))
    with pytest.raises(UserError, match=says.replace("*", r"\*").replace("[", r"\[")) as caught:
        run(*arguments)
    assert "\n" not in str(caught.value)
    assert sorted(Path().rglob("*")) == before


def test_help_and_the_table_of_styles(capsys, monkeypatch):
    for words in (["--help"], ["source=photo.png", "--help"]):
        infer.main(words)
        assert "source=" in capsys.readouterr().out
    infer.main(["styles"])
    rows = capsys.readouterr().out.splitlines()
    assert rows[0].split() == ["style", "network", "content", "objective", "painting", "artist", "year"]
    alone, many = ("gogh", "hokusai"), ("gogh", "seurat")
    expected = [[name, "realtime"] for name in alone] + [[name, "realtime_many"] for name in many]
    assert [row.split()[:2] for row in rows[1:]] == expected
    assert "1889" in rows[1] and "A Test" in rows[1]


def test_kinds_of_source():
    save("photo.png")
    save("photo.dat", format="JPEG")
    frames = [Image.fromarray(picture(20, 20, seed)) for seed in range(3)]
    for name in ("moves.webp", "moves.gif", "pages.tif"):
        frames[0].save(name, save_all=True, append_images=frames[1:])
    frames[0].save("still.gif")
    Path("clip.mp4").write_bytes(b"\0" * 100)
    Path("webcam:7").write_bytes(b"")
    found = {name: paint.kind_of(name) for name in ("photo.png", "photo.dat", "moves.webp", "moves.gif", "pages.tif")}
    assert found == dict(zip(found, ["photo", "photo", "video", "video", "photo"], strict=True))
    assert paint.kind_of("still.gif") == "photo"
    assert paint.kind_of(".") == paint.kind_of("*.png") == "many"
    for name, kind in {"clip.mp4": "video", "webcam": "live", "webcam:2": "live", "webcam:7": "video"}.items():
        assert paint.kind_of(name) == kind
    for name in ("rtsp://host/stream", "http://host/clip.mp4", "HTTPS://host"):
        assert paint.kind_of(name) == "video"


def test_a_film_that_is_watched_stands_in_for_the_camera_and_is_not_mirrored(monkeypatch):
    film(Path("clip.mp4"), [scene(0)])
    shown = []
    monkeypatch.setattr("fst.media.live.session.run", lambda config, styles: shown.append(config.webcam))
    for source in ("clip.mp4", "webcam", "webcam:2"):
        run(f"source={source}", "output=window")
    assert [(webcam.device, webcam.mirror) for webcam in shown] == [("clip.mp4", False), (None, True), ("2", True)]


def test_a_film_is_painted_in_every_style():
    film(Path("clip.mp4"), [scene(index)[:48, :64] for index in range(4)])
    run("source=clip.mp4", "style=gogh,hokusai", "output=o.mp4", "quality=90")
    first, second = pixels(Path("o-gogh.mp4")), pixels(Path("o-hokusai.mp4"))
    assert len(first) == len(second) == 4 and first[0].shape == (48, 64, 3)
    with pytest.raises(UserError, match="overwrite=true"):
        run("source=clip.mp4", "output=o-gogh.mp4")
    save("photo.png")
    for source in ("photo.png", "clip.mp4"):  # before the first of the two styles is painted
        mine = Path(f"mine-hokusai{Path(source).suffix}")
        mine.touch()
        with pytest.raises(UserError, match=f"{mine} exists already"):
            run(f"source={source}", "style=gogh,hokusai", f"output=mine{mine.suffix}")
        assert not mine.with_stem("mine-gogh").exists()
    with pytest.raises(UserError, match="a video needs a file"):
        run("source=clip.mp4", "output=-")
    run("source=clip.mp4", "output=new/folder")  # as of a photo
    assert Path("new/folder/clip-gogh.mp4").is_file()
    with pytest.raises(UserError, match="no display"):  # a film may be watched in a window
        run("source=clip.mp4", "output=window")


def test_films_of_a_folder_are_painted_after_its_photos(capsys):
    save("in/a.png")
    for name in ("in/a.mov", "in/deep/clip.mp4", "in/deep/b.MKV"):
        Path(name).parent.mkdir(exist_ok=True)
        film(Path(name), [scene(index)[:48, :64] for index in range(3)])
    Path("in/deep/broken.webm").write_bytes(b"\0" * 100)
    with pytest.raises(UserError, match="2 of 10 photos and films could not be painted"):
        run("source=in", "style=gogh,hokusai", "output=out", "stabilize=flow")
    painted = ("a.mp4", "a.png", "deep/b.mp4", "deep/clip.mp4")
    expected = [f"out/{style}/{name}" for style in ("gogh", "hokusai") for name in painted]
    assert sorted(str(path) for path in Path("out").rglob("*.*")) == expected
    assert [len(pixels(Path(name))) for name in expected if name.endswith(".mp4")] == [3] * 6
    assert capsys.readouterr().err.count("skipped: ") == 2
    run("source=in/*/*.[mM]*", "output=out")  # films alone
    assert "2 of 2 painted: out" in capsys.readouterr().out
    run("source=in/*/*.[mM]*", "output=out")
    assert "0 of 2 painted, 2 there already" in capsys.readouterr().out


def test_a_film_below_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))  # not every shell expands what comes after source=
    film(Path("clip.mp4"), [scene(index)[:48, :64] for index in range(2)])
    run("source=~/clip.mp4", "output=~/painted.mp4")
    assert len(pixels(tmp_path / "painted.mp4")) == 2


def program(*arguments: str, **options) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "infer.py"), *arguments]
    return subprocess.run(command, capture_output=True, **options)


def test_standard_input_to_standard_output(shelf):
    data = save("photo.jpg").read_bytes()
    done = program("source=-", "output=-", f"style={shelf}/gogh.safetensors", "backend=openvino", input=data)
    assert done.returncode == 0 and done.stderr == b""
    with Image.open(io.BytesIO(done.stdout)) as image:
        assert (image.format, image.size) == ("JPEG", (56, 40))


def test_standard_output_takes_the_format_of_the_contents_not_of_the_name(shelf):
    photo = Image.fromarray(picture(40, 56))
    photo.putalpha(100)
    photo.save("lying.jpg", "png")
    done = program("source=lying.jpg", "output=-", f"style={shelf}/gogh.safetensors", "backend=openvino")
    with Image.open(io.BytesIO(done.stdout)) as image:
        assert (image.format, image.mode) == ("PNG", "RGBA")


@pytest.mark.parametrize("where", [None, SimpleNamespace(isatty=lambda: True)])
def test_a_terminal_or_nothing_is_no_picture_and_shows_none(monkeypatch, where):
    save("photo.png")
    monkeypatch.setattr(sys, "stdin", where)
    with pytest.raises(UserError, match="standard input is no picture"):
        run("source=-", "output=out.png")
    monkeypatch.setattr(sys, "stdout", where)
    with pytest.raises(UserError, match="a terminal cannot show a picture"):
        run("source=photo.png", "output=-")


def test_a_folder_called_dash_is_not_standard_input(shelf):
    data = save("-/photo.jpg").read_bytes()
    program("source=-", "output=one.jpg", f"style={shelf}/gogh.safetensors", "backend=openvino", input=data)
    assert Path("one.jpg").is_file()


def test_a_format_without_colours_is_skipped_and_the_others_painted(capsys):
    Image.new("1", (40, 56)).save(save("in/a.png").with_suffix(".xbm"))
    with pytest.raises(UserError, match="1 of 2 photos could not be painted"):
        run("source=in", "output=out")
    assert "'.xbm'" in capsys.readouterr().err and Path("out/a.png").is_file()


def test_what_a_film_cannot_be_is_said_before_its_source_is_opened():
    for words, said in ((["codec=foo"], "no video codec is called 'foo'"), (["quality=101"], "quality is 101")):
        with pytest.raises(UserError, match=said):
            run("source=http://127.0.0.1:9/clip.mp4", "output=out.mp4", *words)


def test_an_animation_does_not_become_a_still_on_standard_output(shelf):
    frames = [Image.fromarray(picture(40, 56)), Image.fromarray(picture(40, 56)[::-1])]
    frames[0].save("moves.gif", save_all=True, append_images=frames[1:])
    done = program("source=-", "output=-", input=Path("moves.gif").read_bytes())
    assert done.returncode == 1 and done.stdout == b""
    assert b"an animation cannot go through standard input" in done.stderr


def test_the_program_ends_with_one_line_and_status_1(shelf):
    done = program("source=none.jpg", text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1


def test_ctrl_c_keeps_what_was_done(monkeypatch, capsys):
    for index in range(4):
        save(f"in/{index}.png")
    from fst.errors import one_line_errors
    from fst.stylize import Stylizer

    paint, painted = Stylizer.__call__, []

    def interrupted(self, image):
        if len(painted) == 2:
            raise KeyboardInterrupt
        painted.append(1)
        return paint(self, image)

    monkeypatch.setattr(Stylizer, "__call__", interrupted)
    with pytest.raises(SystemExit) as ended, one_line_errors():
        run("source=in")
    assert ended.value.code == 130
    assert sorted(path.name for path in Path("in-gogh").iterdir()) == ["0.png", "1.png"]
    said = capsys.readouterr()
    assert "2 of 4 painted" in said.out and said.err.strip().endswith("interrupted")


@pytest.mark.parametrize("name", ["moves.png", "moves.mp4"])
def test_what_moves_and_is_broken_off_in_a_folder_is_painted_anew(name, monkeypatch):
    if name.endswith(".png"):
        moving(Path("in/moves.png"))
    else:
        Path("in").mkdir()
        film(Path("in/moves.mp4"), [scene(index)[:48, :64] for index in range(3)])
    from fst.stylize import Stylizer

    stream = Stylizer.stream

    def interrupted(self, frames, count=None):
        for index, frame in enumerate(stream(self, frames, count)):
            if index == 2:
                raise KeyboardInterrupt
            yield frame

    def broken_off(*more):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(Stylizer, "stream", interrupted)
            run("source=in", *more)

    broken_off()
    assert not list(Path("in-gogh").iterdir())
    run("source=in")
    broken_off("overwrite=true")
    painted = Path("in-gogh") / name
    assert len(timing(painted)[1] if name.endswith(".png") else pixels(painted)) == 3


def test_a_photo_keeps_its_name_whatever_becomes_a_jpeg_beside_it():
    placed = folders._targets({Path(name): Path(name) for name in ("a.heic", "a.jpg", "b.heic")}, Path("out"))
    assert list(map(str, placed.values())) == ["out/a.heic.jpg", "out/a.jpg", "out/b.jpg"]


def test_where_a_painted_photo_goes():
    assert target_of("a", ".png", "gogh", None) == Path("a-gogh.png")
    assert target_of("a", ".png", "gogh", "out.d/") == Path("out.d/a-gogh.png")
    assert target_of("a", ".png", "gogh", "b.jpg", several=True) == Path("b-gogh.jpg")
