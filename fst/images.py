"""An image: file <-> uint8 HWC RGB array <-> float NCHW tensor in [0, 1]. Nothing else in fst knows how.

torch is imported inside the two functions that need it, so that inference without torch stays possible.
"""

from __future__ import annotations

import os
import struct
import sys
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from fst.errors import UserError, require
from fst.files import replacing

if TYPE_CHECKING:
    import torch

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".avif", ".heic", ".heif", ".jp2"})

HEIC = (".heic", ".heif")  # an iPhone's photos, which Pillow does not read by itself
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")

# Pillow refuses pictures above ~179 megapixels as decompression bombs; photos that large are real (panoramas).
Image.MAX_IMAGE_PIXELS = 1_000_000_000

LARGEST_EXIF = 65533  # bytes, of a JPEG's

# What Pillow raises for files that are damaged or made to do harm.
DAMAGED = (
    *(OSError, SyntaxError, ValueError, EOFError, RuntimeError, LookupError, TypeError, ArithmeticError, struct.error),
    *(zlib.error, Image.DecompressionBombError),
)


def _open_heic(file: BinaryIO, name: str | bytes) -> Image.Image:
    try:
        from pi_heif import HeifImageFile  # late: 20 ms that few starts need
    except ImportError:
        raise SyntaxError("no pi_heif") from None  # Pillow's word for: another plugin may try
    return HeifImageFile(file, name)


Image.register_open("HEIF", _open_heic, lambda start: start[4:8] == b"ftyp" and start[8:12] in _HEIC_BRANDS)


@dataclass(frozen=True)
class Metadata:
    """What travels with the pixels of a photo."""

    exif: bytes | None = None  # its orientation is applied and reset already
    icc: bytes | None = None  # colour profile
    alpha: np.ndarray | None = None  # uint8 (H, W), 255 where it covers; None: everywhere
    dpi: tuple[float, float] | None = None  # across and down


def read(path: str | os.PathLike[str] | BinaryIO, *, at_least: int | None = None) -> np.ndarray:
    """Decode an image file, whose name may begin with ~, to uint8 (H, W, 3) RGB, upright (EXIF orientation applied).

    Grey, palette, CMYK, alpha (over white), 16-bit and float files are converted. With `at_least`, a large JPEG is
    decoded at 1/2, 1/4 or 1/8, its short side at or above that many pixels: several times faster.

    Raises:
        UserError: the file is missing, not an image, or damaged.
    """
    return read_with_metadata(path, at_least=at_least)[0]


def read_with_metadata(
    path: str | os.PathLike[str] | BinaryIO, *, at_least: int | None = None
) -> tuple[np.ndarray, Metadata]:
    """As `read`, with what a copy of the photo should keep."""
    if not hasattr(path, "read"):
        path = os.path.expanduser(path)  # noqa: PTH111  Path's raises for ~nobody
    name = "the image on standard input" if hasattr(path, "read") else f"image {path}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of odd EXIF and large files; neither stops a user.
            with Image.open(path) as image:
                if at_least is not None:
                    image.draft(None, (at_least, at_least))
                icc, dpi = image.info.get("icc_profile"), _dpi(image)
                upright = ImageOps.exif_transpose(image)
                exif = _exif(image, upright)
                # A profile describes its own colour space: a CMYK or grey one is wrong on RGB pixels.
                icc = icc if upright.mode in ("RGB", "RGBA", "P") else None
                return _to_rgb(upright), Metadata(exif, icc, _alpha(upright), dpi)
    except FileNotFoundError:
        raise UserError(f"{name} does not exist") from None
    except IsADirectoryError:
        raise UserError(f"{name} is a folder, not an image file") from None
    except UnidentifiedImageError:
        if name.lower().endswith(HEIC):
            require("pi_heif", name)
        raise UserError(f"{name} is not in a format that Pillow {Image.__version__} reads") from None
    except PermissionError:
        raise UserError(f"{name} may not be read: check its permissions") from None
    except DAMAGED as error:
        raise UserError(f"{name} is damaged: {error}") from None


# What a TIFF says of its photo (description, camera, software, date, artist, copyright), not of its own layout.
_TIFF_TAGS = (270, 271, 272, 305, 306, 315, 33432)
_BLOCKS = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)


def _exif(image: Image.Image, upright: Image.Image) -> bytes | None:
    kept = upright.getexif()
    if not kept:  # a TIFF's tags do not travel with its pixels
        stored, kept = image.getexif(), Image.Exif()
        kept.update({tag: stored[tag] for tag in _TIFF_TAGS if tag in stored})
        for block in _BLOCKS:
            kept.get_ifd(block).update(stored.get_ifd(block))
    return kept.tobytes() if kept or any(map(kept.get_ifd, _BLOCKS)) else None


def _dpi(image: Image.Image) -> tuple[float, float] | None:
    try:
        across, down = map(float, image.info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return (across, down) if 1 < across < 65536 and 1 < down < 65536 else None  # 1 stands for "unknown"


def _alpha(image: Image.Image) -> np.ndarray | None:
    if not image.has_transparency_data or image.mode.startswith("I"):
        return None
    alpha = np.array(image.convert("RGBA").getchannel("A"))
    return None if alpha.min(initial=255) == 255 else alpha


def _without_inks(image: Image.Image) -> Image.Image:
    """A CMYK picture in sRGB, by its profile's inks; as it is where the profile is of something else, or damaged."""
    from PIL import ImageCms  # late: few pictures need it

    try:
        inks = ImageCms.ImageCmsProfile(BytesIO(image.info["icc_profile"]))
        return ImageCms.profileToProfile(image, inks, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImportError, ImageCms.PyCMSError, OSError):
        return image


def _to_rgb(image: Image.Image) -> np.ndarray:
    if image.mode in ("I;16", "I;16B", "I;16L", "I", "F"):  # Pillow clips these at 255 instead of scaling them.
        values = np.asarray(image, dtype=np.float64)
        values = np.nan_to_num(values)
        # Floats go to 1, their highlights somewhat beyond, or to 255; whole numbers to 255 or 65535.
        small, beyond, large = (1.0, 16.0, 255.0) if image.mode == "F" else (255.0, 255.0, 65535.0)
        top = large if values.max(initial=0) > beyond else small
        grey = np.clip(values * 255.0 / top, 0, 255).round().astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if image.mode == "CMYK" and image.info.get("icc_profile"):
        image = _without_inks(image)
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return np.array(image.convert("RGB"))


def write(
    path: str | os.PathLike[str], pixels: np.ndarray, *, metadata: Metadata | None = None, quality: int = 95
) -> Path:
    """Write uint8 (H, W, 3) RGB to a file whose format is its suffix; UserError as `encode` and `replacing`."""
    target = Path(path)
    data = encode(pixels, target.suffix, metadata=metadata, quality=quality)
    with replacing(target) as beside:
        beside.write_bytes(data)
    return target


def encode(pixels: np.ndarray, suffix: str, *, metadata: Metadata | None = None, quality: int = 95) -> bytes:
    """Encode uint8 (H, W, 3) RGB as the format of `suffix` (".jpg"), which Pillow must write, else UserError; with its
    alpha, at the size of the pixels, where `keeps_alpha`.
    """
    kind = Image.registered_extensions().get(suffix.lower())
    if kind is None or kind not in Image.SAVE:
        raise UserError(f"no image format is written as '{suffix}'; use .jpg, .png, .webp or .tif")
    kept = metadata or Metadata()
    options = {"exif": kept.exif, "icc_profile": kept.icc, "dpi": kept.dpi, "quality": quality}
    if kind == "JPEG" and len(kept.exif or b"") > LARGEST_EXIF:
        print(f"left out: EXIF of {len(kept.exif) // 1000} kB, for which a JPEG has no room", file=sys.stderr)
        options["exif"] = None
    buffer = BytesIO()
    if kept.alpha is not None and keeps_alpha(suffix):
        alpha = Image.fromarray(kept.alpha).resize(pixels.shape[1::-1], Image.Resampling.BICUBIC)
        pixels = np.dstack([pixels, alpha])
    try:
        Image.fromarray(pixels).save(buffer, format=kind, **{key: value for key, value in options.items() if value})
    except DAMAGED as error:  # a format of one bit, a picture or its EXIF too large for it
        raise UserError(f"not written as '{suffix}' ({error}); use .jpg, .png, .webp or .tif") from None
    return buffer.getvalue()


def keeps_alpha(suffix: str) -> bool:
    """Whether transparency can be written to the format of `suffix`."""
    return suffix.lower() in (".png", ".webp", ".tif", ".tiff", ".avif", ".jp2")


def frame_count(path: str | os.PathLike[str]) -> int:
    """How many pictures of a file play one after another, by its contents; 0: Pillow does not know the file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                # A TIFF's pages and a phone's depth maps (MPO) do not play.
                return getattr(image, "n_frames", 1) if image.format in ("GIF", "WEBP", "PNG", "AVIF") else 1
    except DAMAGED:
        return 0


def is_image(name: str) -> bool:
    """Whether a file name has an image's suffix and is not hidden."""
    return not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES


def files(folder: str | os.PathLike[str]) -> list[Path]:
    """Every image file under a folder, sorted, but hidden ones; UserError where it is missing or holds none."""
    root = Path(folder)
    if not root.is_dir():
        raise UserError(f"folder {root} does not exist")
    found = [path for path in files_below(root) if is_image(path.name)]
    if not found:
        raise UserError(f"folder {root} holds no images ({', '.join(sorted(SUFFIXES))})")
    return sorted(found)


def files_below(root: Path) -> Iterator[Path]:
    """Every file under a folder, but hidden ones. Links to folders are followed, each folder is entered once.

    A folder inside that may not be read is left out, in a line on standard error; UserError for `root` itself.
    """

    def unreadable(error: OSError) -> None:
        if Path(error.filename) == root:
            raise UserError(f"cannot read folder {root}: {error.strerror}")
        print(f"left out: folder {error.filename} ({error.strerror})", file=sys.stderr)

    entered = {root.resolve()}
    for parent, folders, names in os.walk(root, followlinks=True, onerror=unreadable):
        inner = {Path(parent, name).resolve(): name for name in sorted(folders) if not name.startswith(".")}
        folders[:] = sorted(name for real, name in inner.items() if real not in entered)
        entered.update(inner)
        yield from (Path(parent, name) for name in names if not name.startswith("."))


def resize(
    pixels: np.ndarray, size: tuple[int, int], *, box: tuple[float, float, float, float] | None = None
) -> np.ndarray:
    """Resample uint8 (H, W, 3) to `size` = (height, width); antialiased when smaller, bicubic when larger.

    With `box` = (top, left, height, width) in pixels, fractions allowed, only that part of the image.
    """
    height, width = size
    top, left, tall, wide = box or (0, 0, *pixels.shape[:2])
    if (top, left, tall, wide) == (0, 0, height, width) == (0, 0, *pixels.shape[:2]):
        return pixels
    method = Image.Resampling.LANCZOS if height * width < tall * wide else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(pixels).resize((width, height), method, box=(left, top, left + wide, top + tall)))


def fit_long_edge(height: int, width: int, edge: int) -> tuple[int, int]:
    """(height, width) with the long edge at `edge` pixels and the aspect kept, each at least 1."""
    scale = edge / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def square(pixels: np.ndarray, side: int, part: int | None = None) -> np.ndarray:
    """The middle of uint8 (H, W, 3) at `side`×`side`: the largest square, or `part`×`part` pixels."""
    height, width = pixels.shape[:2]
    edge = part or min(height, width)
    return resize(pixels, (side, side), box=((height - edge) / 2, (width - edge) / 2, edge, edge))


def to_tensor(pixels: np.ndarray, device: torch.device | None = None) -> torch.Tensor:
    """uint8 (H, W, 3) -> float32 (1, 3, H, W) in [0, 1], on a device, to which the bytes go."""
    import torch

    return from_levels(torch.from_numpy(np.require(pixels, requirements=["C", "W"])).to(device=device))


def to_pixels(image: torch.Tensor) -> np.ndarray:
    """Float (1, 3, H, W) or (3, H, W), clipped to [0, 1] -> uint8 (H, W, 3), rounded."""
    return np.ascontiguousarray(to_levels(image).cpu().numpy())


def from_levels(levels: torch.Tensor) -> torch.Tensor:
    """uint8 (H, W, 3) -> float32 (1, 3, H, W) in [0, 1], on the same device."""
    return levels.permute(2, 0, 1)[None].float().div_(255)


def to_levels(image: torch.Tensor) -> torch.Tensor:
    """Float (1, 3, H, W) or (3, H, W), clipped to [0, 1] -> uint8 (H, W, 3), rounded, on the same device."""
    import torch

    if image.ndim == 4:
        image = image.squeeze(0)
    levels = image.detach().float().clamp(0, 1).mul(255).round().to(torch.uint8)
    return levels.permute(1, 2, 0)
