"""An image: file <-> uint8 HWC RGB array <-> float NCHW tensor in [0, 1]. Nothing else in fst knows how.

torch is imported inside the two functions that need it, so that inference without torch stays possible.
"""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from fst.errors import UserError
from fst.files import replacing

if TYPE_CHECKING:
    import torch

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".avif", ".heic", ".heif", ".jp2"})

# Pillow refuses pictures above ~179 megapixels as decompression bombs; photos that large are real (panoramas).
Image.MAX_IMAGE_PIXELS = 1_000_000_000


@dataclass(frozen=True)
class Metadata:
    """What travels with the pixels of a photo: raw EXIF (orientation already applied and reset) and ICC profile."""

    exif: bytes | None = None
    icc: bytes | None = None


def read(path: str | os.PathLike[str] | BinaryIO, *, at_least: int | None = None) -> np.ndarray:
    """Decode an image file to uint8 (H, W, 3) RGB, upright (EXIF orientation applied).

    Grey, palette, CMYK, alpha (over white), 16-bit and float files are converted. With `at_least`, a large JPEG is
    decoded at 1/2, 1/4 or 1/8 by libjpeg, its short side staying at or above that many pixels: several times faster.

    Raises:
        UserError: the file is missing, not an image, or damaged.
    """
    return read_with_metadata(path, at_least=at_least)[0]


def read_with_metadata(
    path: str | os.PathLike[str] | BinaryIO, *, at_least: int | None = None
) -> tuple[np.ndarray, Metadata]:
    """As `read`, with the EXIF and ICC profile that a copy of the photo should keep."""
    name = "the image on standard input" if hasattr(path, "read") else f"image {os.fspath(path)}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of odd EXIF and large files; neither stops a user.
            with Image.open(path) as image:
                if at_least is not None:
                    image.draft(None, (at_least, at_least))
                icc = image.info.get("icc_profile")
                upright = ImageOps.exif_transpose(image)
                exif = _exif(image, upright)
                # A profile describes its own colour space: a CMYK or grey one is wrong on RGB pixels.
                return _to_rgb(upright), Metadata(exif, icc if upright.mode in ("RGB", "RGBA", "P") else None)
    except FileNotFoundError:
        raise UserError(f"{name} does not exist") from None
    except IsADirectoryError:
        raise UserError(f"{name} is a folder, not an image file") from None
    except UnidentifiedImageError:
        raise UserError(f"{name} is not in a format that Pillow {Image.__version__} reads") from None
    except PermissionError:
        raise UserError(f"{name} may not be read: check its permissions") from None
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise UserError(f"{name} is damaged: {error}") from None


# What a TIFF says of its photo (description, camera, software, date, artist, copyright), not of its own layout.
_TIFF_TAGS = (270, 271, 272, 305, 306, 315, 33432)


def _exif(image: Image.Image, upright: Image.Image) -> bytes | None:
    kept = upright.getexif()
    if not kept:  # a TIFF's tags do not travel with its pixels
        stored, kept = image.getexif(), Image.Exif()
        kept.update({tag: stored[tag] for tag in _TIFF_TAGS if tag in stored})
        for block in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
            if values := stored.get_ifd(block):
                kept.get_ifd(block).update(values)
    return kept.tobytes() if kept else None


def _to_rgb(image: Image.Image) -> np.ndarray:
    if image.mode in ("I;16", "I;16B", "I;16L", "I", "F"):  # Pillow clips these at 255 instead of scaling them.
        values = np.asarray(image, dtype=np.float64)
        top = 65535.0 if image.mode.startswith("I") and values.max(initial=0) > 255 else 255.0
        grey = np.clip(values * 255.0 / top, 0, 255).round().astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return np.array(image.convert("RGB"))


def write(
    path: str | os.PathLike[str], pixels: np.ndarray, *, metadata: Metadata | None = None, quality: int = 95
) -> Path:
    """Write uint8 (H, W, 3) RGB to a file whose format is its suffix, whole or not at all.

    Raises:
        UserError: an unknown suffix, a folder that may not be written, or a full disk.
    """
    target = Path(path)
    data = encode(pixels, target.suffix, metadata=metadata, quality=quality)
    with replacing(target) as beside:
        beside.write_bytes(data)
    return target


def encode(pixels: np.ndarray, suffix: str, *, metadata: Metadata | None = None, quality: int = 95) -> bytes:
    """Encode uint8 (H, W, 3) RGB as the format of `suffix` (".jpg", ".png", ...).

    Raises:
        UserError: Pillow writes no such format.
    """
    kind = Image.registered_extensions().get(suffix.lower())
    if kind is None or kind not in Image.SAVE:
        raise UserError(f"no image format is written as '{suffix}'; use .jpg, .png, .webp or .tif")
    kept = metadata or Metadata()
    options = {"exif": kept.exif, "icc_profile": kept.icc, "quality": quality}
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, format=kind, **{key: value for key, value in options.items() if value})
    return buffer.getvalue()


def is_image(name: str) -> bool:
    """Whether a file name has an image's suffix and is not hidden."""
    return not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES


def files(folder: str | os.PathLike[str]) -> list[Path]:
    """Every image file under a folder, recursively, by suffix, sorted; hidden files and folders are passed over.

    Raises:
        UserError: the folder is missing, or holds no image.
    """
    root = Path(folder)
    if not root.is_dir():
        raise UserError(f"folder {root} does not exist")
    found = []
    for parent, folders, names in os.walk(root, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(parent, name) for name in names if is_image(name)]
    if not found:
        raise UserError(f"folder {root} holds no images ({', '.join(sorted(SUFFIXES))})")
    return sorted(found)


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
    # Rounding can put the box's far edge a hair outside the image, which Pillow refuses.
    edges = (left, top, min(left + wide, pixels.shape[1]), min(top + tall, pixels.shape[0]))
    return np.asarray(Image.fromarray(pixels).resize((width, height), method, box=edges))


def fit_long_edge(height: int, width: int, edge: int) -> tuple[int, int]:
    """(height, width) with the long edge at `edge` pixels and the aspect kept, each at least 1."""
    scale = edge / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def to_tensor(pixels: np.ndarray) -> torch.Tensor:
    """uint8 (H, W, 3) -> float32 (1, 3, H, W) in [0, 1]."""
    import torch

    return torch.from_numpy(np.require(pixels, requirements=["C", "W"])).permute(2, 0, 1)[None].float().div_(255)


def to_pixels(image: torch.Tensor) -> np.ndarray:
    """Float (1, 3, H, W) or (3, H, W), clipped to [0, 1] -> uint8 (H, W, 3), rounded."""
    import torch

    if image.ndim == 4:
        image = image.squeeze(0)
    levels = image.detach().float().clamp(0, 1).mul(255).round().to(torch.uint8)
    return np.ascontiguousarray(levels.permute(1, 2, 0).cpu().numpy())
