"""Product photos of the built-in world: every item drawn as its attributes say.

The world only has names of attributes. Here they become small pictures that a network can learn the names
from: a silhouette for each garment and fit, cloth in its colour, pattern and material, and trimmings for the
tags; pose, light, background and noise differ from picture to picture and mean nothing.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ivbpr_numba.errors import UsageError, parameter
from ivbpr_numba.store.atomic import os_problem, write_many
from ivbpr_numba.worlds.catalogue import TAGS
from ivbpr_numba.worlds.wardrobe import fabrics
from ivbpr_numba.worlds.wardrobe.canvas import PIXELS, Canvas
from ivbpr_numba.worlds.wardrobe.cut import FITS, LARGEST, LEFT, RIGHT
from ivbpr_numba.worlds.wardrobe.cuts import CUTS
from ivbpr_numba.worlds.wardrobe.outfit import outfit_of

if TYPE_CHECKING:
    from PIL import Image

    from ivbpr_numba.worlds.world import World

__all__ = ["PIXELS", "check_drawn", "draw_product", "picture_of", "write_pictures"]

RGB = tuple[int, int, int]
Progress = Callable[[int, int], None]

TAG_NAMES = ("distressed", "flared", "hooded", "pleated", "embroidered", "ruffled")
VALUES = {
    "garment": tuple(CUTS),
    "material": fabrics.MATERIALS,
    "pattern": fabrics.PATTERNS,
    "colour": tuple(fabrics.COLOURS),
    "fit": tuple(FITS),
    TAGS: TAG_NAMES,
}
AT_ONCE = 50  # pictures between two calls of `progress`
NOISE = np.float32(2.2)
AROUND = (
    40,
    88,
)  # where a tile of cloth begins: its middle, where its folds hang, stays near that of the garment
USUAL = {"garment": "t-shirt", "material": "cotton", "pattern": "plain", "colour": "white", "fit": "regular"}


def draw_product(look: Mapping[str, str], tags: Iterable[str], rng: np.random.Generator) -> Image.Image:
    """Draw one product.

    Parameters
    ----------
    look : mapping of str to str
        Value of each exclusive group, such as ``{"garment": "coat", "colour": "red"}``; groups that are
        missing take a usual value.
    tags : iterable of str
    rng : numpy Generator
        Decides what doesn't matter: pose, light, background, the place of a pattern.

    Returns
    -------
    PIL.Image.Image
        RGB, `PIXELS` square.

    Raises
    ------
    UsageError
        For a group or value that nobody has drawn yet.
    """
    from PIL import Image, ImageFilter

    look, tags = {**USUAL, **look}, frozenset(tags)
    for group, value in [*look.items(), *((TAGS, tag) for tag in sorted(tags))]:
        _check(group, value)
    material = fabrics.material_of(look["material"], int(rng.integers(fabrics.VARIANTS)))
    canvas = _drawn(look, tags, material, rng)
    cover = canvas.cover()
    alpha = np.asarray(cover, dtype=np.float32) * np.float32(1 / 255)
    soft = np.asarray(cover.filter(ImageFilter.GaussianBlur(5)), dtype=np.float32) * np.float32(1 / 255)
    lean = int(rng.choice([-1, 1]))  # the light comes from above on one side
    cloth = _lit(_cloth(look, canvas, rng), look, material, canvas, soft, lean, rng)
    if material.fuzz:
        rim = 4 * alpha * (1 - alpha)
        alpha = np.clip(alpha + material.fuzz * rim * rng.standard_normal(alpha.shape, np.float32), 0, 1)
    ground = _ground(rng)
    shift = (int(rng.integers(2, 5)), -lean * int(rng.integers(1, 4)))
    ground *= 1 - np.float32(rng.uniform(0.2, 0.34)) * np.roll(soft, shift, axis=(0, 1))
    cloth -= ground
    cloth *= alpha
    cloth += ground
    gain = rng.uniform(0.95, 1.04) * (1 + rng.normal(0, 0.008, 3))
    cloth *= gain.astype(np.float32)[:, None, None]
    cloth += NOISE * rng.standard_normal((PIXELS, PIXELS), np.float32)
    np.clip(cloth, 0, 255, out=cloth)
    return Image.fromarray(np.ascontiguousarray(cloth.astype(np.uint8).transpose(1, 2, 0)))


def _check(group: str, value: str) -> None:
    if value not in VALUES.get(group, ()):
        raise UsageError(
            f"There is no drawing of {group} '{value}'.",
            f"Pictures exist for the values of the built-in worlds only; leave {parameter('images')} away.",
        )


def _drawn(
    look: Mapping[str, str], tags: frozenset[str], material: fabrics.Material, rng: np.random.Generator
) -> Canvas:
    """Draw all that has an outline, in a random pose."""
    outfit = outfit_of(look["garment"], look["fit"], "flared" in tags)
    low, high = outfit.box(tags)
    fitting = min(1.0, 2 * LARGEST / float((high - low).max()))
    scale = fitting * rng.uniform(0.95, 1.02) * (1 + rng.normal(0, 0.012, 2))
    turn = np.deg2rad(rng.normal(0, 2.2))
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) * scale
    canvas = Canvas(matrix, -matrix @ ((low + high) / 2) + rng.normal(0, 0.018, 2))
    inks = _inks(look, material)
    for sketch in outfit.sketches(tags, material.thread, look["material"] == "cotton", rng):
        canvas.paint(sketch, inks)
    return canvas


def _inks(look: Mapping[str, str], material: fabrics.Material) -> dict[str, RGB]:
    """Colours of what lies on the cloth: they stand out from it."""
    brightness = sum(fabrics.COLOURS[look["colour"]].base)
    dark, light = brightness < 330, brightness > 520 or look["colour"] == "orange"
    metal = material.thread or look["material"] == "leather"
    warm = look["colour"] in ("orange", "yellow", "beige", "brown")
    return {
        "edge": (40, 37, 36),
        "button": (206, 186, 140) if metal else (214, 206, 196) if dark else (74, 62, 54),
        "seam": (250, 246, 236) if warm else (232, 170, 84),
        "thread": (176, 30, 70) if light else (246, 206, 96),
        "outline": (250, 244, 226) if light else (70, 26, 40),
        "behind": (196, 176, 160) if dark else (96, 76, 66),
        "frayed": (246, 244, 238),
        "trim": (92, 30, 44) if light else (246, 240, 226),
        "cord": (240, 236, 226) if brightness < 600 else (84, 80, 78),
        "brass": (196, 176, 120),
    }


def _cloth(look: Mapping[str, str], canvas: Canvas, rng: np.random.Generator) -> np.ndarray:
    """The colour of every pixel, float32 (3, n, n), as if all were evenly lit cloth."""
    colour, pattern = fabrics.COLOURS[look["colour"]], look["pattern"]
    base = np.clip(np.array(colour.base) * rng.uniform(0.96, 1.04) + rng.normal(0, 2.5, 3), 0, 255)
    variant = int(rng.integers(fabrics.VARIANTS))
    ink = np.array(colour.prints[int(rng.integers(len(colour.prints)))])
    leaf = np.array(fabrics.LEAVES[int(rng.integers(len(fabrics.LEAVES)))])
    heart = np.array(fabrics.HEARTS[int(rng.integers(len(fabrics.HEARTS)))])
    x, y = rng.integers(0, fabrics.TILE - PIXELS, 2).tolist()
    cloth = np.empty((3, PIXELS, PIXELS), dtype=np.float32)
    cloth[:] = base.astype(np.float32)[:, None, None]
    if pattern == "plain":
        return cloth
    window = (slice(None), slice(y, y + PIXELS), slice(x, x + PIXELS))
    shares = fabrics.pattern_of(pattern, variant, 0)[window]
    sides = canvas.sides()
    if sides is not None:
        shares = shares.copy()
        for side, turn in ((LEFT, 16), (RIGHT, -16)):
            there = sides == side
            shares[:, there] = fabrics.pattern_of(pattern, variant, turn)[window][:, there]
    inks = (ink, leaf, heart) if pattern == "floral" else (ink, ink, (ink + heart) / 2)
    for share, printed in zip(shares, inks):
        cloth += (printed - base).astype(np.float32)[:, None, None] * share
    return cloth


def _lit(
    cloth: np.ndarray,
    look: Mapping[str, str],
    material: fabrics.Material,
    canvas: Canvas,
    soft: np.ndarray,
    lean: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Give the cloth (3, n, n) its light, and lay on it what lies on it; `soft` is its blurred cover."""
    tone = canvas.tone()
    x, y = int(rng.integers(*AROUND)), int(rng.integers(0, fabrics.TILE - PIXELS))
    window = (slice(y, y + PIXELS), slice(x, x + PIXELS))
    slope = np.zeros_like(soft)
    slope[2:-2, 2:-2] = 0.5 * (soft[4:, 2:-2] - soft[:-4, 2:-2]) + lean * (soft[2:-2, 4:] - soft[2:-2, :-4])
    edge = np.clip(2 - 2 * soft, 0, 1)  # 0 inside, 1 at the outline
    light = 1 + (tone - 1) * np.float32(material.relief)
    light *= 1 + (0.45 * material.relief) * slope + material.rim * edge**2 - 0.1 * edge
    light *= material.shade[window]
    cloth *= light
    if look["colour"] == "black":  # else no fold would show on it
        cloth += 64 * np.clip(light - 0.78, 0, 1)
    if material.gloss is not None:
        gloss = 0.9 * material.gloss[window] * (1.1 - 0.5 * edge) * np.clip(tone, 0.4, 1)
        cloth *= 1 - gloss
        cloth += 255 * gloss
    top = canvas.on_top()
    if top is not None:
        colours, shares = top
        cloth *= 1 - shares
        colours *= 0.86 + 0.14 * np.clip(light, 0, 1.3)
        cloth += colours
    return cloth


def _ground(rng: np.random.Generator) -> np.ndarray:
    """A studio's background, float32 (3, n, n): light grey, warm or cold, darker at one end."""
    tint = rng.uniform(210, 234) + rng.normal(0, 3.5) * np.array([1, 0.1, -1]) + rng.normal(0, 1, 3)
    ramp = np.linspace(-1, 1, PIXELS, dtype=np.float32)
    down, across = np.float32(rng.uniform(-7, 7)) * ramp, np.float32(rng.uniform(-5, 5)) * ramp
    return tint.astype(np.float32)[:, None, None] + (down[:, None] + across)


def picture_of(world: World, row: int) -> bytes:
    """JPEG of one item, the same for the same world seed and item whatever else is drawn."""
    table = world.attributes
    words = [table.values[c] for c in table.columns[table.indptr[row] : table.indptr[row + 1]].tolist()]
    look = {name: word for (name, _), word in zip(table.groups, words)}
    rng = np.random.default_rng([world.seed, *world.items[row].encode()])
    image = draw_product(look, words[len(table.groups) :], rng)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=int(rng.integers(82, 94)))
    return out.getvalue()


def check_drawn(names: Iterable[str]) -> None:
    """Refuse attributes ``group=value`` that nobody has drawn.

    Raises
    ------
    UsageError
    """
    for name in names:
        _check(*name.split("=", 1))


def write_pictures(world: World, folder: str | os.PathLike[str], progress: Progress | None = None) -> Path:
    """Write ``ITEM.jpg`` for every item of a world; each file appears only complete.

    Parameters
    ----------
    world : World
    folder : path
        Made when missing; its parent must exist.
    progress : callable, optional
        Called with (pictures written, pictures).

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    UsageError
        The folder is a file, or the world has values that nobody has drawn.
    """
    folder = Path(folder)
    check_drawn(world.attributes.names)
    try:
        folder.mkdir(exist_ok=True)
    except FileExistsError:
        raise UsageError(f"'{folder}' is a file.", "Name a folder.") from None
    except OSError as problem:
        raise os_problem(problem, folder) from problem
    n = len(world.items)

    def one(row: int) -> None:
        write_many(folder / f"{world.items[row]}.jpg", picture_of(world, row))

    # Pillow and NumPy let other threads run while they work.
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        for start in range(0, n, AT_ONCE):
            end = min(start + AT_ONCE, n)
            for _ in pool.map(one, range(start, end)):
                pass
            if progress is not None:
                progress(end, n)
    return folder
