"""Cloth: the colours, the patterns printed on it and how the materials take the light.

Everything here is made once, as tiles larger than a picture, and cut out at a random place.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["COLOURS", "MATERIALS", "PATTERNS", "TILE", "Colour", "Material", "material_of", "pattern_of"]

TILE = 256  # pixels of a tile; a picture has half
VARIANTS = 3
FINE = 3  # a pattern is drawn so much larger and reduced

RGB = tuple[int, int, int]


class Colour(NamedTuple):
    """A colour and the colours that patterns on it are printed in."""

    base: RGB
    prints: tuple[RGB, ...]


CREAM, WHITE, NAVY, INK = (243, 235, 216), (250, 249, 246), (34, 46, 88), (52, 52, 58)
COLOURS = {
    "black": Colour((36, 36, 40), (CREAM, (226, 224, 222), (214, 176, 120))),
    "white": Colour((247, 246, 243), (NAVY, INK, (170, 60, 66))),
    "red": Colour((196, 32, 46), (CREAM, WHITE, (86, 10, 24))),
    "blue": Colour((38, 82, 184), (WHITE, CREAM, (164, 204, 246))),
    "green": Colour((42, 128, 72), (CREAM, WHITE, (14, 56, 34))),
    "yellow": Colour((245, 204, 44), (WHITE, (120, 78, 24), (58, 56, 60))),
    "pink": Colour((244, 152, 188), (WHITE, (176, 34, 96), (120, 40, 84))),
    "grey": Colour((140, 143, 148), (WHITE, (92, 96, 104), (224, 220, 212))),
    "brown": Colour((106, 66, 38), (CREAM, (222, 184, 138), (236, 216, 190))),
    "beige": Colour((218, 196, 160), (WHITE, (112, 72, 44), (78, 66, 56))),
    "purple": Colour((122, 58, 166), (WHITE, (214, 182, 238), CREAM)),
    "orange": Colour((240, 124, 36), (CREAM, WHITE, (120, 46, 10))),
}
LEAVES = ((86, 132, 84), (58, 104, 70), (120, 150, 96))
HEARTS = ((240, 196, 70), (214, 120, 60), (250, 226, 150))


# --- patterns ---


PATTERNS = ("plain", "floral", "striped", "checked", "dotted", "paisley")


@cache
def pattern_of(name: str, variant: int, turn: int) -> np.ndarray:
    """Where a pattern prints: (3, TILE, TILE) float32 shares of the print, the leaves and the hearts.

    `turn` in degrees is for sleeves, whose cloth lies at an angle.
    """
    from PIL import Image

    rng = np.random.default_rng([PATTERNS.index(name), variant])
    sheet = Image.new("RGB", (TILE * FINE, TILE * FINE))
    _PRINTERS[name](sheet, rng, variant)
    small = sheet.reduce(FINE)
    if turn:
        small = small.rotate(turn, Image.Resampling.BICUBIC)
        # The corners of a turned sheet are empty: what is left is laid out again.
        inner, edge = int(TILE * 0.75), int(TILE * 0.125)
        part = small.crop((edge, edge, edge + inner, edge + inner))
        for x in (0, inner):
            for y in (0, inner):
                small.paste(part, (x, y))
    return np.ascontiguousarray(np.asarray(small, dtype=np.float32).transpose(2, 0, 1)) / 255


def _striped(sheet: Image.Image, rng: np.random.Generator, variant: int) -> None:
    """Stripes: breton across, broad across, or along."""
    from PIL import ImageDraw

    draw = ImageDraw.Draw(sheet)
    size, (period, share) = sheet.width, ((9.5, 0.36), (13.0, 0.42), (10.5, 0.34))[variant]
    for at in np.arange(0, size, period * FINE):
        low, high = at, at + period * FINE * share
        box = (low, 0, high, size) if variant == 2 else (0, low, size, high)
        draw.rectangle(box, fill=(235, 0, 0))


def _checked(sheet: Image.Image, rng: np.random.Generator, variant: int) -> None:
    """Gingham: two sets of bands that darken each other; a tartan has thin lines as well."""
    from PIL import Image

    period = (13.0, 16.0, 19.0)[variant] * FINE
    at = np.arange(sheet.width) % period / period
    band = (at < 0.5) * 0.42
    if variant == 2:
        band = (at < 0.4) * 0.42 + (np.abs(at - 0.7) < 0.05) * 0.5
    share = np.clip(band[:, None] + band[None], 0, 0.88)
    values = np.zeros((*share.shape, 3), dtype=np.uint8)
    values[..., 0] = share * 255
    sheet.paste(Image.fromarray(values))


def _dotted(sheet: Image.Image, rng: np.random.Generator, variant: int) -> None:
    """Dots on a grid whose rows are shifted."""
    from PIL import ImageDraw

    draw = ImageDraw.Draw(sheet)
    period, radius = ((10.5, 2.5), (13.5, 3.4), (11.5, 3.0))[variant]
    for row, y in enumerate(np.arange(0, sheet.width + period * FINE, period * FINE * 0.87)):
        for x in np.arange(0, sheet.width + period * FINE, period * FINE) + (row % 2) * period * FINE / 2:
            r = radius * FINE
            draw.ellipse((x - r, y - r, x + r, y + r), fill=(250, 0, 0))


def _places(rng: np.random.Generator, size: int, period: float, jitter: float) -> np.ndarray:
    """Places on a shifted grid, each somewhat off."""
    n = int(size / period) + 2
    rows, columns = np.divmod(np.arange(n * n), n)
    places = np.column_stack([columns + 0.5 * (rows % 2), rows * 0.9]) * period
    return places + rng.uniform(-jitter, jitter, places.shape) * period


def _floral(sheet: Image.Image, rng: np.random.Generator, variant: int) -> None:
    """Blossoms of five petals with leaves."""
    from PIL import ImageDraw

    draw = ImageDraw.Draw(sheet)
    period = (19.0, 23.0, 26.0)[variant] * FINE
    for x, y in _places(rng, sheet.width, period, 0.14):
        size = period * rng.uniform(0.27, 0.36)
        turn = rng.uniform(0, 2 * np.pi)
        for side in (0.6, 2.4):
            _leaf(draw, x, y, size * 1.75, turn + side, (0, 255, 0))
        for petal in range(5):
            a = turn + petal * 2 * np.pi / 5
            cx, cy, r = x + size * 0.6 * np.cos(a), y + size * 0.6 * np.sin(a), size * 0.5
            draw.ellipse((cx - r, cy - r, cx + r, cy + r), fill=(255, 0, 0))
        r = size * 0.34
        draw.ellipse((x - r, y - r, x + r, y + r), fill=(0, 0, 255))
        # Between the large ones a bud.
        bx, by, r = x + period * 0.5, y + period * 0.08, size * 0.24
        draw.ellipse((bx - r, by - r, bx + r, by + r), fill=(230, 0, 0))


def _leaf(draw: object, x: float, y: float, length: float, turn: float, fill: RGB) -> None:
    t = np.linspace(0, 1, 9)
    width = 0.2 * np.sin(np.pi * t)
    points = np.concatenate([np.column_stack([t, width]), np.column_stack([t, -width])[::-1]]) * length
    c, s = np.cos(turn), np.sin(turn)
    placed = points @ np.array([[c, s], [-s, c]]) + (x, y)
    draw.polygon(placed.ravel().tolist(), fill=fill)  # type: ignore[attr-defined]


def _paisley(sheet: Image.Image, rng: np.random.Generator, variant: int) -> None:
    """Curled drops, one in the other, in rows that look to either side."""
    from PIL import ImageDraw

    draw = ImageDraw.Draw(sheet)
    period = (16.5, 19.5, 18.0)[variant] * FINE
    for n, (x, y) in enumerate(_places(rng, sheet.width, period, 0.04)):
        turn = rng.normal(0, 0.25) + (0.5 if n % 2 else np.pi + 0.4)
        flip = 1 if n % 2 else -1
        for scale, fill in ((0.56, (255, 0, 0)), (0.4, (0, 0, 0)), (0.29, (0, 0, 255)), (0.13, (255, 0, 0))):
            _drop(draw, x, y, period * scale, turn, flip, fill)
        for k in range(3):  # a row of small dots along the back
            a = turn + flip * (1.4 + 0.5 * k)
            r = period * 0.04
            cx, cy = x + period * 0.5 * np.cos(a), y + period * 0.5 * np.sin(a)
            draw.ellipse((cx - r, cy - r, cx + r, cy + r), fill=(235, 0, 0))


def _drop(draw: object, x: float, y: float, size: float, turn: float, flip: int, fill: RGB) -> None:
    """A drop of radius about 0.6 `size` whose tip curls."""
    t = np.linspace(0, 1, 24)
    a = np.pi * (0.5 + t)  # half a circle, then two arcs to the tip
    round_part = np.column_stack([np.cos(a) * 0.62, np.sin(a) * 0.62])
    tip = np.array([1.15, -0.55])
    s = t[1:, None]

    def arc(start: np.ndarray, control: tuple[float, float]) -> np.ndarray:
        return (1 - s) ** 2 * start + 2 * s * (1 - s) * np.array(control) + s**2 * tip

    upper = arc(round_part[-1], (0.62, -0.62))
    lower = arc(round_part[0], (0.98, 0.62))[::-1]
    points = np.concatenate([round_part, upper, lower]) * (1, flip) * size
    c, sn = np.cos(turn), np.sin(turn)
    placed = points @ np.array([[c, sn], [-sn, c]]) + (x, y)
    draw.polygon(placed.ravel().tolist(), fill=fill)  # type: ignore[attr-defined]


_PRINTERS = {
    "striped": _striped,
    "checked": _checked,
    "dotted": _dotted,
    "floral": _floral,
    "paisley": _paisley,
}


# --- materials ---


class Material(NamedTuple):
    """How a material takes the light.

    Attributes
    ----------
    shade : (TILE, TILE) float32
        Factor of the brightness.
    gloss : (TILE, TILE) float32 or None
        Share of white light that it throws back.
    rim : float
        How much brighter (velvet) or darker its turned edges are.
    relief : float
        How strongly folds and roundness show.
    thread : bool
        Whether seams show their thread.
    fuzz : float
        How hairy the outline is.
    """

    shade: np.ndarray
    gloss: np.ndarray | None
    rim: float
    relief: float
    thread: bool = False
    fuzz: float = 0.0


MATERIALS = ("leather", "denim", "silk", "cotton", "wool", "linen", "velvet", "viscose")


@cache
def material_of(name: str, variant: int) -> Material:
    """One of the `VARIANTS` tiles of a material."""
    rng = np.random.default_rng([MATERIALS.index(name), variant, 7])
    y, x = np.mgrid[0:TILE, 0:TILE].astype(np.float64)
    return _WEAVERS[name](rng, x, y)


def _noise(rng: np.random.Generator, smooth: float, across: float | None = None) -> np.ndarray:
    """Gaussian noise of unit variance that repeats at the edges of the tile; smooth over so many pixels."""
    spectrum = np.fft.rfft2(rng.normal(0, 1, (TILE, TILE)))
    fy = np.fft.fftfreq(TILE)[:, None] * smooth
    fx = np.fft.rfftfreq(TILE)[None] * (smooth if across is None else across)
    made: np.ndarray = np.fft.irfft2(spectrum * np.exp(-2 * (np.pi**2) * (fx**2 + fy**2)), (TILE, TILE))
    return made / made.std()


def _material(
    shade: np.ndarray,
    gloss: np.ndarray | None,
    rim: float,
    relief: float,
    thread: bool = False,
    fuzz: float = 0.0,
) -> Material:
    """In float32."""
    thin = None if gloss is None else gloss.astype(np.float32)
    return Material(shade.astype(np.float32), thin, rim, relief, thread, fuzz)


def _leather(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> Material:
    """Hard, bright highlights along folds on a darkened, grained hide."""
    folds = _noise(rng, 13, 4)
    lights = np.clip((folds - 0.6) / 0.5, 0, 1)
    shade = 0.86 + 0.12 * np.tanh(1.4 * np.roll(folds, -3, axis=1)) + 0.03 * _noise(rng, 1.2)
    return _material(shade, 0.72 * lights, -0.2, 1.7)


def _denim(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> Material:
    """Twill lines, washed-out patches, and thread that shows."""
    twill = np.sin(2 * np.pi * (x * 0.9 + y) / 7.0 + 0.3 * _noise(rng, 4))
    worn = np.tanh(_noise(rng, 14))
    return _material(
        1.0 + 0.15 * twill + 0.05 * _noise(rng, 0.8) + 0.06 * worn,
        0.12 * np.clip(twill, 0, 1) * (1 + 0.5 * worn),
        -0.1,
        0.9,
        thread=True,
    )


def _silk(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> Material:
    """Broad bands of soft light that flow."""
    wave = 2 * np.pi * (x + 0.45 * y) / 42 + 1.5 * _noise(rng, 26)
    light = (0.5 + 0.5 * np.sin(wave)) ** 3
    return _material(0.84 + 0.3 * light, 0.6 * light**2, 0.0, 1.1)


def _cotton(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> Material:
    """Flat and even; its seams are topstitched."""
    return _material(1.0 + 0.012 * _noise(rng, 0.8), None, 0.0, 0.75)


def _wool(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> Material:
    """Knitted: columns of V-shaped stitches, and hairs along the outline."""
    column = x / 8.0
    within = np.abs(column - np.floor(column) - 0.5) * 2
    stitch = np.sin(2 * np.pi * (y / 6.4 + 0.55 * within))
    groove = -np.exp(-(((within - 1) / 0.24) ** 2))
    return _material(
        1.0 + 0.17 * stitch + 0.3 * groove + 0.03 * _noise(rng, 1.0),
        0.12 * np.clip(stitch, 0, 1) * (1 + groove),
        -0.06,
        0.9,
        fuzz=0.4,
    )


def _linen(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> Material:
    """A coarse weave of uneven threads, flecks of thicker yarn, and creases."""
    over = np.sin(2 * np.pi * x / 5.6 + 0.5 * _noise(rng, 1, 9)) * np.sin(
        2 * np.pi * y / 5.6 + 0.5 * _noise(rng, 9, 1)
    )
    crease = np.abs(_noise(rng, 7, 10))
    lines = np.exp(-((crease / 0.12) ** 2))
    flecks = np.clip(_noise(rng, 0.7, 2.6) - 1.9, 0, 1) + np.clip(_noise(rng, 2.6, 0.7) - 1.9, 0, 1)
    shade = 0.98 + 0.14 * over - 0.12 * lines - 0.3 * np.clip(_noise(rng, 0.7, 2.2) - 2.0, 0, 1)
    return _material(shade, 0.1 * np.roll(lines, 2, axis=0) + 0.45 * np.clip(flecks, 0, 1), 0.0, 0.85)


def _velvet(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> Material:
    """Deep inside, bright where it turns away; the pile lies in patches."""
    pile = np.tanh(_noise(rng, 15, 6))
    return _material(0.73 + 0.08 * pile + 0.03 * _noise(rng, 0.8), None, 0.9, 1.3)


def _viscose(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> Material:
    """Falls in soft folds from both sides to the middle."""
    slant = np.sqrt((x - TILE / 2) ** 2 + 150)
    drape = np.sin(2 * np.pi * (y - slant + 3 * _noise(rng, 20)) / 17)
    return _material(0.95 + 0.17 * drape, 0.22 * np.clip(drape, 0, 1) ** 2, 0.0, 1.0)


_WEAVERS = {
    "leather": _leather,
    "denim": _denim,
    "silk": _silk,
    "cotton": _cotton,
    "wool": _wool,
    "linen": _linen,
    "velvet": _velvet,
    "viscose": _viscose,
}
