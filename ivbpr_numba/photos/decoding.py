"""From the bytes of an image file to RGB pixels, or the reason why not; whatever the bytes are."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import re
import threading
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba.photos.kinds import START, foreign_format, image_format

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["LARGEST_FILE", "LARGEST_IMAGE", "Decoded", "decode", "heif_package"]

LARGEST_IMAGE = 64_000_000  # pixels; more is a mistake or a trap
LARGEST_FILE = 256 << 20  # bytes
# A closed list: Pillow knows formats that start other programs (EPS) or that nobody has tested with damage.
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")
_NO_FORMAT = (
    "not an image in a format that is read (JPEG, PNG, GIF, WebP, BMP, TIFF, PPM, JPEG 2000, AVIF, and HEIC "
    "with the package pillow-heif)"
)
_HEIF_PACKAGES = ("pillow_heif", "pi_heif")  # the second one only reads
_LARGE = 8_000_000  # pixels; above it one image at a time is decoded
_one_large = threading.Lock()
_ORIENTATION = 0x0112
# EXIF: how the stored rows and columns become upright, as names of Pillow's transpositions.
_TURNS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}


@dataclass(frozen=True)
class Decoded:
    """What became of one image file.

    Attributes
    ----------
    image : PIL.Image.Image or None
        RGB, upright.
    reason : str or None
        Why there is no image.
    note : str or None
        What had to be converted on the way.
    """

    image: Image | None
    reason: str | None = None
    note: str | None = None


class _Unusable(Exception):
    """Carries a reason."""


class _Quiet:
    """Pillow's warnings are silent while any thread is inside: what is wrong with an image is reported."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._kept: warnings.catch_warnings[Any] | None = None

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._kept = warnings.catch_warnings()
                self._kept.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL\.")
            self._inside += 1

    def __exit__(self, *problem: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0 and self._kept is not None:
                self._kept.__exit__(None, None, None)


_quiet = _Quiet()


def decode(data: bytes, target: tuple[int, int] | None = None) -> Decoded:
    """Decode an image file; never raises, whatever the bytes are.

    Parameters
    ----------
    data : bytes
        The whole file.
    target : (int, int), optional
        Height and width that the image will be scaled to: a JPEG that is more than twice as large is decoded
        at a half, a quarter or an eighth, which is much faster.

    Returns
    -------
    Decoded
        CMYK, palettes and 16-bit values become 8-bit RGB, transparency is put on white, the first of several
        frames is taken, and EXIF's orientation is applied. Refused are images of more than 64 megapixels
        (by their header, before any pixel is decoded), damaged and cut files, and everything that isn't
        JPEG, PNG, GIF, WebP, BMP, TIFF, PPM, JPEG 2000 or AVIF; HEIC needs the package pillow-heif.
    """
    if not data:
        return Decoded(None, "the file is empty")
    notes: list[str] = []
    try:
        with _quiet:
            opened = _open(data)
            width, height = opened.size
            if width < 1 or height < 1:
                raise _Unusable(f"it has no pixels ({width} × {height})")
            if width * height > LARGEST_IMAGE:
                raise _Unusable(_gigantic(f"{width:,} × {height:,} pixels"))
            if width * height > _LARGE:
                with _one_large:
                    image = _upright(opened, target, notes)
            else:
                image = _upright(opened, target, notes)
    except _Unusable as problem:
        return Decoded(None, str(problem))
    except MemoryError:
        return Decoded(None, "decoding it needs more memory than there is")
    except Exception as problem:  # damaged bytes make decoders raise whatever they like
        text = " ".join(str(problem).split())[:120] or type(problem).__name__
        return Decoded(None, f"damaged or cut short ({text})")
    return Decoded(image, note="; ".join(notes) or None)


def _open(data: bytes) -> Any:
    """Read the header. `PIL.Image.open` would warn about, or refuse, large images by limits of its own."""
    from PIL import BmpImagePlugin, GifImagePlugin, JpegImagePlugin, PngImagePlugin, TiffImagePlugin  # noqa: F401
    from PIL import Image as pillow

    for plugin in (
        "MpoImagePlugin",
        "WebPImagePlugin",
        "PpmImagePlugin",
        "Jpeg2KImagePlugin",
        "AvifImagePlugin",
    ):
        with contextlib.suppress(ImportError):  # a Pillow that is older, or built without them
            importlib.import_module(f"PIL.{plugin}")
    if image_format(data[:START]) == "HEIF":
        return _open_heif(data)
    start = data[:16]
    for name in FORMATS:
        if name not in pillow.OPEN:
            continue
        factory, accept = pillow.OPEN[name]
        accepted = accept is None or accept(start)
        if name == "PPM" and image_format(data[:START]) != "PPM":
            continue  # Pillow takes every text that begins like "Py" for one
        if isinstance(accepted, str):
            raise _Unusable(f"a {name} image, which this Pillow can't read")
        if accepted:
            try:
                return factory(io.BytesIO(data), "")
            except pillow.DecompressionBombError as problem:  # some formats ask for Pillow's limit as well
                count = re.search(r"(\d+) pixels", str(problem))
                size = f"{int(count[1]):,} pixels" if count else "its pixels"
                raise _Unusable(_gigantic(size)) from None
            except (SyntaxError, IndexError, TypeError, KeyError, EOFError, OSError) as problem:
                if "not identified" in str(problem):
                    raise _Unusable(f"a {name} image without pixels, or of an unknown kind") from None
                raise _Unusable(f"a {name} image whose header is damaged or cut short ({problem})") from None
    raise _Unusable(_foreign(data))


def _open_heif(data: bytes) -> Any:
    """HEIC is read by a package of its own; it is asked directly, so that Pillow stays as it was."""
    package = heif_package()
    if package is None:
        raise _Unusable('HEIC, which needs the package pillow-heif: pip install "pillow-heif"')
    opener: Any = importlib.import_module(package).HeifImageFile
    try:
        return opener(io.BytesIO(data), "")
    except Exception as problem:  # libheif's errors come as whatever the package likes
        raise _Unusable(f"a HEIC image whose header is damaged or cut short ({problem})") from None


def heif_package() -> str | None:
    """The installed package that reads HEIC; None where there is none."""
    return next((name for name in _HEIF_PACKAGES if importlib.util.find_spec(name) is not None), None)


def _gigantic(size: str) -> str:
    return f"gigantic: {size}, over the limit of {LARGEST_IMAGE // 1_000_000} megapixels"


def _foreign(data: bytes) -> str:
    start = data[:START]
    if image_format(start) == "AVIF":
        return f"AVIF, which this Pillow can't read; {_NO_FORMAT}"
    what = foreign_format(start)
    return f"{what}; {_NO_FORMAT}" if what else _NO_FORMAT


def _upright(opened: Any, target: tuple[int, int] | None, notes: list[str]) -> Image:
    """Decode the pixels of an opened file; says in `notes` what was converted."""
    from PIL import Image as pillow

    if getattr(opened, "is_animated", False):
        notes.append("several frames: the first is used")
    if any("16" in str(tile[3]) for tile in getattr(opened, "tile", ())):
        notes.append("16 bit: scaled to 8 bit")
    turn = 1 if opened.format == "PNG" else _orientation(opened)  # Pillow decodes a PNG to find it
    if target is not None and opened.format in ("JPEG", "MPO"):
        height, width = target if turn < 5 else target[::-1]
        opened.draft(None, (2 * width, 2 * height))
    opened.load()
    left = _orientation(opened)  # newer versions of Pillow turn a TIFF themselves
    image = _rgb(opened, notes)
    if left in _TURNS:
        image = image.transpose(pillow.Transpose[_TURNS[left]])
    if left in _TURNS or turn in _TURNS:
        notes.append("turned as its EXIF orientation says")
    return image


def _orientation(opened: Any) -> int:
    """1 to 8, 1 where nothing is said or the metadata is damaged."""
    try:
        found = opened.getexif().get(_ORIENTATION, 1)
        return int(found) if 1 <= int(found) <= 8 else 1
    except Exception:
        return 1


def _rgb(image: Any, notes: list[str]) -> Image:
    from PIL import Image as pillow

    mode = image.mode
    if mode in ("I", "F") or mode.startswith("I;"):
        return pillow.fromarray(_grey(np.asarray(image), mode, notes)).convert("RGB")
    try:
        if mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
            layered = image.convert("LA").convert("RGBA") if mode == "La" else image.convert("RGBA")
            alpha = layered.getchannel("A")
            if alpha.getextrema()[0] == 255:
                return layered.convert("RGB")
            notes.append("transparent: put on white")
            page = pillow.new("RGB", layered.size, (255, 255, 255))
            page.paste(layered, mask=alpha)
            return page
        converted: Image = image.convert("RGB")
    except ValueError:
        raise _Unusable(f"its colour mode {mode} can't be converted to RGB") from None
    if mode in ("CMYK", "YCbCr", "LAB", "HSV") and not (mode == "YCbCr" and image.format == "JPEG"):
        notes.append(f"{mode}: converted to RGB")
    return converted


def _grey(values: np.ndarray, mode: str, notes: list[str]) -> np.ndarray:
    """Grey values of more than 8 bits as uint8 (H, W); Pillow's own conversion would clip them at 255."""
    low, high = float(values.min()), float(values.max())
    if mode == "F":
        if not (low >= 0 and high <= 255):  # also for NaN
            raise _Unusable(f"its values from {low:g} to {high:g} are no grey levels")
        notes.append("floating point: scaled to 8 bit")
        return np.rint(values * (255.0 if high <= 1 else 1.0)).astype(np.uint8)
    if low < 0 or high > 65535:
        raise _Unusable(f"its values from {low:.0f} to {high:.0f} are no 16-bit grey levels")
    if "16 bit: scaled to 8 bit" not in notes:
        notes.append("16 bit: scaled to 8 bit")
    return ((values.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
