import errno
import io
import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from fst import images
from fst.errors import UserError


@pytest.fixture
def picture() -> np.ndarray:
    """Smooth colour, (40, 60, 3): survives JPEG well, and no two corners are alike."""
    y, x = np.mgrid[0:40, 0:60]
    return np.stack([x * 4, y * 6, 250 - x * 2 - y * 2], axis=-1).astype(np.uint8)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".webp", ".jpg"])
def test_written_files_hold_the_pixels_that_opencv_reads(tmp_path, picture, suffix):
    path = images.write(tmp_path / f"new/picture{suffix}", picture)
    read_by_opencv = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    allowed = 8 if suffix in (".jpg", ".webp") else 0
    assert np.abs(read_by_opencv.astype(int) - picture).max() <= allowed
    assert np.abs(images.read(path).astype(int) - read_by_opencv).max() <= 3 * (allowed > 0)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, picture, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "turned.jpg"
    Image.fromarray(picture).save(path, exif=exif, quality=98, subsampling=0)
    upright = cv2.cvtColor(cv2.imread(str(path), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)  # OpenCV applies EXIF too
    read, kept = images.read_with_metadata(path)
    assert read.shape == upright.shape == ((60, 40, 3) if orientation > 4 else (40, 60, 3))
    assert np.abs(read.astype(int) - upright).max() <= 3
    copy = images.write(tmp_path / "copy.jpg", read, metadata=kept)
    assert images.read(copy).shape == read.shape, "the orientation was kept in the copy, and turned it again"


@pytest.mark.parametrize("suffix", [".tif", ".jpg"])
def test_when_and_where_a_photo_was_taken_is_kept(tmp_path, picture, suffix):
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2020:02:03 04:05:06"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
    Image.fromarray(picture).save(tmp_path / f"photo{suffix}", exif=exif.tobytes())
    read, kept = images.read_with_metadata(tmp_path / f"photo{suffix}")
    with Image.open(images.write(tmp_path / "copy.jpg", read, metadata=kept)) as copy:
        found = copy.getexif()
        assert found.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] == "2020:02:03 04:05:06"
        assert found.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] == "N"


def test_grey_palette_and_alpha(tmp_path, picture):
    image = Image.fromarray(picture)
    grey = image.convert("L")
    grey.save(tmp_path / "grey.png")
    assert (images.read(tmp_path / "grey.png") == np.asarray(grey)[..., None]).all()

    palette = image.quantize(16)
    palette.save(tmp_path / "palette.png")
    assert (images.read(tmp_path / "palette.png") == np.asarray(palette.convert("RGB"))).all()

    alpha = np.tile(np.linspace(0, 255, 60).astype(np.uint8), (40, 1))
    Image.fromarray(np.dstack([picture, alpha])).save(tmp_path / "alpha.png")
    over_white = picture * (alpha[..., None] / 255) + 255 * (1 - alpha[..., None] / 255)
    assert np.abs(images.read(tmp_path / "alpha.png") - over_white).max() <= 1.01
    image.convert("RGBA").save(tmp_path / "opaque.png", dpi=(1, 1))
    kept = [images.read_with_metadata(tmp_path / name)[1] for name in ("alpha.png", "opaque.png")]
    assert np.array_equal(kept[0].alpha, alpha) and kept[1].alpha is None and kept[1].dpi is None  # 1 is "unknown"


def test_transparent_palette_is_white(tmp_path):
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 200, 10, 20])
    image.putpixel((0, 0), 0)
    image.save(tmp_path / "hole.gif", transparency=0)
    read = images.read(tmp_path / "hole.gif")
    assert read[0, 0].tolist() == [255, 255, 255]
    assert read[2, 2].tolist() == [200, 10, 20]


def test_cmyk(tmp_path, picture):
    Image.fromarray(picture).convert("CMYK").save(tmp_path / "print.jpg", quality=98, icc_profile=b"of inks")
    read, kept = images.read_with_metadata(tmp_path / "print.jpg")
    assert kept.icc is None, "a profile of inks is wrong for RGB"
    assert read.shape == picture.shape
    assert np.abs(read.astype(int) - picture).mean() < 4


def profile_of_inks(grey: float) -> bytes:
    """An ICC profile, version 2, a table of 8 bits from CMYK to Lab: black ink alone is L* = `grey`, with others 0."""
    ramp = bytes(range(256))
    paper, ink, black = (bytes([round(light * 2.55), 128, 128]) for light in (100, grey, 0))
    one, zero = struct.pack(">i", 1 << 16), struct.pack(">i", 0)
    matrix = b"".join(one if place % 4 == 0 else zero for place in range(9))
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + matrix + ramp * 4 + paper + ink + (paper + black) * 7 + ramp * 3
    table += bytes(-len(table) % 4)
    white = struct.pack(">3i", 63190, 65536, 54061)  # D50
    head = struct.pack(">I4sI4s4s4s12s4s", 144 + len(table), b"", 0x02400000, b"prtr", b"CMYK", b"Lab ", b"", b"acsp")
    head = (head + bytes(68 - len(head)) + white).ljust(128, b"\0")
    return head + struct.pack(">I4sII", 1, b"A2B0", 144, len(table)) + table


def test_inks_are_read_by_their_profile(tmp_path):
    printed = Image.new("CMYK", (16, 8))
    printed.paste((0, 0, 0, 255), (8, 0, 16, 8))
    printed.save(tmp_path / "print.tif", icc_profile=profile_of_inks(grey=50))
    pixels, kept = images.read_with_metadata(tmp_path / "print.tif")
    assert np.abs(pixels[:, :8].astype(int) - 255).max() <= 1
    # L* = 50 is Y = ((50 + 16) / 116)^3 = 0.184, in sRGB 255 (1.055 * 0.184^(1 / 2.4) - 0.055) = 118.9
    assert np.abs(pixels[:, 8:].astype(int) - 119).max() <= 1
    assert kept.icc is None


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bits_are_scaled_not_clipped(tmp_path, suffix):
    levels = np.linspace(0, 65535, 50 * 20).reshape(20, 50).astype(np.uint16)
    path = tmp_path / f"deep{suffix}"
    assert cv2.imwrite(str(path), levels)
    assert np.abs(images.read(path)[..., 0] - levels / 257.0).max() <= 1


def test_eight_bits_in_wider_numbers_are_not_taken_for_sixteen(tmp_path):
    levels = np.arange(200, dtype=np.int32).reshape(10, 20)
    for mode in ("I", "F"):
        Image.fromarray(levels).convert(mode).save(tmp_path / "wide.tif")
        assert (images.read(tmp_path / "wide.tif")[..., 0] == levels).all(), mode


def test_a_panorama_is_a_picture(tmp_path):
    """Of 600 megapixels by its header, which Pillow by itself takes for an attack."""
    small = images.encode(np.zeros((1, 1, 3), np.uint8), ".png")
    header = b"IHDR" + struct.pack(">II", 60_000, 10_000) + small[24:29]
    (tmp_path / "wide.png").write_bytes(small[:12] + header + struct.pack(">I", zlib.crc32(header)) + small[33:])
    assert images.frame_count(tmp_path / "wide.png") == 1


@pytest.mark.parametrize("top", [1, 255])
@pytest.mark.parametrize("odd", [0, 1.1, np.nan])
def test_floats_go_to_1_or_to_255(tmp_path, top, odd):
    """With a highlight, or what is no number, among them."""
    levels = np.linspace(0, top, 50 * 20).reshape(20, 50).astype(np.float32)
    stored = levels.copy()
    stored[0, 0] = top * odd
    assert cv2.imwrite(str(tmp_path / "float.tif"), stored)
    assert np.abs(images.read(tmp_path / "float.tif")[..., 0] - levels * (255 / top))[:, 1:].max() <= 1


def test_reduced_decoding_keeps_the_least_side(tmp_path):
    big = np.random.default_rng(0).integers(0, 256, (8, 10, 3)).astype(np.uint8)
    big = cv2.resize(big, (1000, 800), interpolation=cv2.INTER_CUBIC)
    Image.fromarray(big).save(tmp_path / "big.jpg", quality=95)
    reduced = images.read(tmp_path / "big.jpg", at_least=150)
    assert reduced.shape == (200, 250, 3)
    assert np.abs(reduced.astype(int) - cv2.resize(big, (250, 200), interpolation=cv2.INTER_AREA)).mean() < 3
    assert images.read(tmp_path / "big.jpg", at_least=700).shape == (800, 1000, 3)


def test_mistakes_end_in_one_line(tmp_path, picture):
    (tmp_path / "text.jpg").write_text("no picture")
    whole = images.encode(picture, ".jpg")
    (tmp_path / "half.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "half.png").write_bytes(images.encode(picture, ".png")[:-60])
    for name, said in {
        "none.jpg": "does not exist",
        ".": "is a folder",
        "text.jpg": "not in a format",
        "half.jpg": "is damaged",
        "half.png": "is damaged",
    }.items():
        with pytest.raises(UserError, match=said) as caught:
            images.read(tmp_path / name)
        assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="standard input"):
        images.read(io.BytesIO(b"nothing"))
    with pytest.raises(UserError, match=r"\.xyz"):
        images.write(tmp_path / "out.xyz", picture)
    assert not (tmp_path / "out.xyz").exists()


def test_files_are_found_sorted_without_hidden_ones(tmp_path, picture):
    for name in ("b/2.PNG", "a/1.jpg", ".trash/3.png", "a/.4.png", "a/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert [path.relative_to(tmp_path).as_posix() for path in images.files(tmp_path)] == ["a/1.jpg", "b/2.PNG"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no images"):
        images.files(tmp_path / "empty")
    with pytest.raises(UserError, match="does not exist"):
        images.files(tmp_path / "nowhere")


def test_folders_that_may_not_be_read_are_told(tmp_path, monkeypatch, capsys):
    for name in ("open/1.jpg", "locked/2.jpg"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b"")
    locked, scandir = [tmp_path / "locked"], os.scandir

    def guarded(path):  # root may read everything, whatever the folder's mode says
        if Path(path) in locked:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    assert images.files(tmp_path) == [tmp_path / "open/1.jpg"]
    assert capsys.readouterr().err == f"left out: folder {tmp_path / 'locked'} (Permission denied)\n"
    locked.append(tmp_path)
    with pytest.raises(UserError, match=r"cannot read folder .*: Permission denied"):
        images.files(tmp_path)


def test_resize_of_a_box_is_the_resized_cutting(picture):
    box = images.resize(picture, (10, 12), box=(5, 20, 30, 36))
    assert np.abs(box.astype(int) - images.resize(picture[5:35, 20:56], (10, 12))).max() <= 2
    whole = images.resize(picture, (40, 60))
    assert whole is picture
    assert (images.resize(picture, (20, 20), box=(0, 0, 20, 20)) == picture[:20, :20]).all()
    inside = images.resize(picture, (8, 8), box=(40 - 33.3, 60 - 33.3, 33.3 + 1e-9, 33.3 + 1e-9))
    assert inside.shape == (8, 8, 3)


def test_shrinking_is_antialiased():
    checks = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
    small = images.resize(np.repeat(checks[..., None], 3, axis=2), (16, 16))
    assert np.abs(small[2:-2, 2:-2].astype(int) - 127).max() < 8


def test_tensors_and_pixels_are_inverse(picture):
    tensor = images.to_tensor(picture)
    assert tensor.shape == (1, 3, 40, 60) and tensor.dtype == torch.float32
    assert tensor[0, 1, 7, 9].item() == pytest.approx(picture[7, 9, 1] / 255)
    assert (images.to_pixels(tensor) == picture).all()
    assert images.to_pixels(torch.tensor([-1.0, 0.5, 2.0]).view(3, 1, 1)).tolist() == [[[0, 128, 255]]]


def test_long_edge():
    assert images.fit_long_edge(600, 800, 400) == (300, 400)
    assert images.fit_long_edge(1000, 3, 100) == (100, 1)


def test_a_picture_that_its_format_cannot_hold_is_a_line() -> None:
    with pytest.raises(UserError, match=r"not written as '\.webp'"):
        images.encode(np.zeros((2, 16384, 3), np.uint8), ".webp")
    with pytest.raises(UserError, match=r"not written as '\.gif'"):
        images.encode(np.zeros((2, 65536, 3), np.uint8), ".gif")


def test_transparency_takes_the_size_of_the_pixels() -> None:
    alpha = np.zeros((8, 10), np.uint8)
    alpha[:, 5:] = 200
    data = images.encode(np.zeros((16, 20, 3), np.uint8), ".png", metadata=images.Metadata(alpha=alpha))
    kept = np.asarray(Image.open(io.BytesIO(data)))[..., 3]
    assert kept.shape == (16, 20) and kept[8, 2] == 0 and kept[8, 17] == 200
