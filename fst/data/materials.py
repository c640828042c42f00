"""What drawn surfaces are made of: colours, gradients, 1/f textures, stripes, writing.

Colour images are planar here, float32 (3, height, width) in 0..255: NumPy works along rows then, not along triples.
"""

import cv2
import numpy as np

FIELDS = 3
# Hues of photographs: skin, wood and earth, then sky and water, then leaves, then anything. Degrees, share.
HUES = ((32, 18, 0.48), (212, 20, 0.24), (95, 25, 0.16), (180, 120, 0.12))


class Materials:
    """The palette and the textures of one image; every draw comes from its generator."""

    def __init__(self, size: int, rng: np.random.Generator) -> None:
        self.rng = rng
        self.palette = _palette(rng)
        self.fields = [_noise_field(size, rng) for _ in range(FIELDS)]

    def colour(self) -> np.ndarray:
        """A colour near one of the palette's, float32 (3, 1, 1)."""
        near = self.palette[self.rng.integers(len(self.palette))] + self.rng.normal(0, 10, 3)
        return near.astype(np.float32)[:, None, None]

    def surface(self, height: int, width: int) -> np.ndarray:
        """A piece of some material, (3, height, width)."""
        rng, first, second = self.rng, self.colour(), self.colour()
        kind = rng.random()
        if kind < 0.12:
            mix = np.zeros((height, width), np.float32)
        elif kind < 0.40:
            mix = self._ramp(height, width)
        elif kind < 0.82:
            mix = 0.5 + np.float32(rng.uniform(0.1, 0.5)) * self.noise(height, width)
        else:
            mix = self._stripes(height, width)
        piece = first + np.clip(mix, 0, 1) * (second - first)
        if rng.random() < 0.4:  # fine grain over the whole, as bark, cloth and grass have it
            piece *= 1 + np.float32(rng.uniform(0.03, 0.25)) * self.noise(height, width)
        if rng.random() < 0.08 and min(height, width) > 24:
            self._write(piece)
        return piece

    def noise(self, height: int, width: int) -> np.ndarray:
        """A window of one of the 1/f fields, (height, width); small ones are finer at times."""
        field = self.fields[self.rng.integers(FIELDS)]
        if self.rng.random() < 0.5:
            field = field.T
        pace = min(int(self.rng.integers(1, 5)), max(1, len(field) // max(height, width)))
        top = self.rng.integers(len(field) - pace * (height - 1))
        left = self.rng.integers(len(field) - pace * (width - 1))
        return field[top : top + pace * (height - 1) + 1 : pace, left : left + pace * (width - 1) + 1 : pace]

    def _ramp(self, height: int, width: int) -> np.ndarray:
        """A gradient from 0 to 1, straight or round."""
        y = np.linspace(0, 1, height, dtype=np.float32)[:, None]
        x = np.linspace(0, 1, width, dtype=np.float32)
        if self.rng.random() < 0.3:
            centre, reach = self.rng.random(2, dtype=np.float32), np.float32(self.rng.uniform(0.7, 1.5))
            return np.sqrt((y - centre[0]) ** 2 + (x - centre[1]) ** 2) * reach
        angle = self.rng.uniform(0, 2 * np.pi)
        slope = y * np.float32(np.sin(angle)) + x * np.float32(np.cos(angle))
        return (slope - slope.min()) / (np.ptp(slope) + np.float32(1e-6))

    def _stripes(self, height: int, width: int) -> np.ndarray:
        """Stripes or checks, sharp or soft, straight or bent: bricks, cloth, fences, windows."""
        rng = self.rng
        y, x = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)
        angle = rng.uniform(0, np.pi) if rng.random() < 0.6 else np.pi / 2 * rng.integers(2)
        cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        frequency = np.float32(2 * np.pi / 10 ** rng.uniform(0.6, 1.5))
        phase = frequency * (x * cos + y * sin)
        if rng.random() < 0.4:
            phase += np.float32(rng.uniform(0.5, 6)) * self.noise(height, width)
        wave = np.sin(phase)
        if rng.random() < 0.4:
            wave *= np.sin(frequency * np.float32(rng.uniform(0.3, 2)) * (y * cos - x * sin))
        return 0.5 + wave * np.float32(10 ** rng.uniform(-0.3, 1))

    def _write(self, piece: np.ndarray) -> None:
        """Rows of letter-like strokes in a colour of their own."""
        rng, (height, width) = self.rng, piece.shape[1:]
        tall = rng.uniform(6, max(7, height / 4))
        wide = tall * rng.uniform(0.4, 0.8)
        rows, columns = int(height / (1.6 * tall)) + 1, int(width / (1.3 * wide)) + 1
        corners = np.stack(np.meshgrid(np.arange(columns) * 1.3 * wide, np.arange(rows) * 1.6 * tall), axis=-1)
        kept = corners.reshape(-1, 1, 2)[rng.random(rows * columns) < 0.8]
        letters = kept + rng.integers(0, 3, (len(kept), int(rng.integers(3, 6)), 2)) / 2 * (wide, tall)
        piece += strokes(letters, (height, width), max(1, round(tall / 8))) * (self.colour() - piece)


def strokes(paths: np.ndarray, shape: tuple[int, int], width: int) -> np.ndarray:
    """Coverage in [0, 1] of lines through `paths` (lines, points, 2), float32 of `shape`, antialiased."""
    mask = np.zeros(shape, np.uint8)
    points = list(np.round(paths * 16).astype(np.int32))
    cv2.polylines(mask, points, False, 255, width, cv2.LINE_AA, shift=4)
    return mask * np.float32(1 / 255)


def blurred(image: np.ndarray, sigma: float) -> np.ndarray:
    """A Gaussian blur of (height, width) or planar colour; a wide one is taken at low resolution, where it is cheap."""
    if image.ndim == 3:
        return np.stack([blurred(plane, sigma) for plane in image])
    if sigma < 0.3:
        return image
    factor = max(1, int(sigma / 2))
    if factor == 1:
        return cv2.GaussianBlur(image, (0, 0), sigma)
    height, width = image.shape
    small = cv2.resize(image, (max(1, width // factor), max(1, height // factor)), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma / factor)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


def _palette(rng: np.random.Generator) -> np.ndarray:
    """Six colours, float32 (6, 3): of two hues for the most part, of low saturation and of every brightness."""
    kinds = rng.choice(len(HUES), 2, p=[share for *_, share in HUES])
    centres = np.array([rng.normal(HUES[kind][0], HUES[kind][1]) for kind in kinds])
    hues = (centres[rng.integers(0, 2, 6)] + rng.normal(0, 12, 6)) % 360
    vivid = rng.beta(1.2, 2.4)
    hsv = np.stack([hues, np.clip(rng.normal(vivid, 0.18, 6), 0, 1), rng.beta(0.9, 0.9, 6)], axis=1)
    return cv2.cvtColor(hsv[None].astype(np.float32), cv2.COLOR_HSV2RGB)[0] * 255


def _noise_field(size: int, rng: np.random.Generator) -> np.ndarray:
    """1/f^a noise (size, size) of mean 0 and deviation 1: octaves of smooth noise, at times drawn out one way."""
    falloff, stretch = rng.uniform(0, 0.8), 2 ** rng.uniform(-1.5, 1.5)
    total, cells = np.zeros((2, 2), np.float32), 2.0
    while cells <= size:  # from coarse to fine, each octave on the enlarged sum of those before
        rows, columns = (min(size, max(2, round(count))) for count in (cells * stretch, cells / stretch))
        total = cv2.resize(total, (columns, rows), interpolation=cv2.INTER_CUBIC)
        total += rng.standard_normal((rows, columns), dtype=np.float32) * np.float32(cells**-falloff)
        cells *= 2
    total = cv2.resize(total, (size, size), interpolation=cv2.INTER_CUBIC)
    return (total - total.mean()) / total.std()
