"""The painting of a style config, as the loss sees it."""

import logging
from pathlib import Path

import numpy as np

from fst import images, store
from fst.config.schema import StyleConfig
from fst.errors import UserError
from fst.files import expanded

SWATCHES = Path(__file__).parents[1] / "styles"  # NAME.jpg: textures with the statistics of paintings

log = logging.getLogger(__name__)


def painting(style: StyleConfig) -> np.ndarray:
    """The painting, uint8 (H, W, 3) RGB, with its long edge at `style.size` pixels; UserErrors as `located`'s."""
    pixels = images.read(located(style))
    return images.resize(pixels, images.fit_long_edge(*pixels.shape[:2], style.size))


def located(style: StyleConfig) -> Path:
    """The painting's file: `style.image`, else from the store, downloaded and checked first if it is not there.

    Without a network, a style that has a bundled swatch (a texture made from the painting's Gram matrices,
    experiments/swatch) takes that, and says so.

    Raises:
        UserError: a missing file, or no network and no swatch.
    """
    if style.image is not None:
        return expanded(style.image)
    name = f"styles/{style.file}"
    if style.address is None and store.find(name) is None:
        raise UserError(f"style={style.name}: {store.home() / name} does not exist; name a picture: style.image=PATH")
    remote = store.Remote(style.address, style.sha256, style.bytes)
    swatch = SWATCHES / f"{style.name}.jpg"
    try:
        return store.fetch(name, remote, otherwise="name a picture of your own: style=custom style.image=PATH")
    except UserError as error:
        if not swatch.is_file():
            raise
        log.warning("style=%s takes the swatch that comes with fst instead of the painting: %s", style.name, error)
        return swatch
