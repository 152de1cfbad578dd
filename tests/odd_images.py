"""Image files of every odd and broken kind that a shop's folder holds, made in memory."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

RED, BLUE = (200, 30, 30), (20, 40, 180)


@dataclass(frozen=True)
class Odd:
    """A file and what must become of it: a part of the reason, or of the note (None: used, without a note)."""

    data: bytes
    reason: str | None = None
    note: str | None = None


def halves(width: int = 24, height: int = 16) -> Image.Image:
    """Red on the left, blue on the right."""
    image = Image.new("RGB", (width, height), RED)
    image.paste(BLUE, (width // 2, 0, width, height))
    return image


def photo(seed: int, width: int = 24, height: int = 36) -> Image.Image:
    """Smooth random colours."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (3, 2, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def saved(image: Image.Image, format: str, **options: Any) -> bytes:
    """The bytes of a file."""
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def png(width: int, height: int, depth: int, colour: int, rows: bytes) -> bytes:
    """A PNG by hand: also with sizes and depths that Pillow doesn't write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body


def grey16(values: np.ndarray, order: str) -> Image.Image:
    """A 16-bit grey image; `order` is < or >."""
    mode = {"<": "I;16", ">": "I;16B"}[order]
    return Image.frombytes(mode, values.shape[::-1], values.astype(f"{order}u2").tobytes())


def with_orientation(number: int) -> Image.Exif:
    """EXIF that says how a photo is to be turned."""
    exif = Image.Exif()
    exif[0x0112] = number
    return exif


def broken() -> dict[str, Odd]:
    """Files that can't be used."""
    jpeg = saved(photo(1, 64, 64), "JPEG")
    whole = saved(photo(2, 64, 64), "PNG")
    sof = jpeg.index(b"\xff\xc0") + 5
    gif = bytearray(saved(halves(), "GIF"))
    gif[6:10] = b"\xff\xff\xff\xff"
    webp = bytearray(saved(halves(), "WEBP", lossless=True))
    webp[webp.index(b"VP8L") + 9 : webp.index(b"VP8L") + 13] = struct.pack("<I", 0x3FFF | 0x3FFF << 14)
    at = whole.index(b"IDAT") + 20
    spoilt = whole[:at] + bytes(b ^ 0x55 for b in whole[at : at + 40]) + whole[at + 40 :]
    nan = Image.fromarray(np.full((4, 4), np.nan, dtype=np.float32))
    deep = Image.fromarray(np.full((4, 4), 1 << 20, dtype=np.int32))
    tiff = saved(photo(3, 64, 64), "TIFF")
    bmp = saved(photo(3, 64, 64), "BMP")
    return {
        "empty.jpg": Odd(b"", "empty"),
        "cut.jpg": Odd(jpeg[:-60], "cut short"),
        "cut.png": Odd(whole[: len(whole) // 2], "cut short"),
        "cut.gif": Odd(saved(photo(4, 64, 64), "GIF")[:900], "cut short"),
        "cut.webp": Odd(saved(photo(4, 64, 64), "WEBP")[:60], "damaged"),
        "cut.bmp": Odd(bmp[: len(bmp) // 2], "cut short"),
        "cut.ppm": Odd(saved(photo(4, 64, 64), "PPM")[:900], "cut short"),
        "cut.jp2": Odd(saved(photo(4, 64, 64), "JPEG2000")[:300], "damaged"),
        "cut.avif": Odd(saved(photo(4, 64, 64), "AVIF")[:400], "damaged"),
        "head.avif": Odd(saved(photo(4, 64, 64), "AVIF")[:60], "header is damaged or cut short"),
        "bomb.ppm": Odd(b"P6 30000 30000 255\n", "30,000 × 30,000 pixels"),
        "words.ppm": Odd(b"P6 is a file format.", "not an image"),
        "cut.tif": Odd(tiff[: len(tiff) // 2], "damaged"),
        "head.jpg": Odd(jpeg[:10], "header is damaged or cut short"),
        "head.png": Odd(whole[:12], "header is damaged or cut short"),
        "spoilt.png": Odd(spoilt, "damaged"),
        "noise.jpg": Odd(np.random.default_rng(5).bytes(4000), "not an image"),
        "text.jpg": Odd(b"Please see the attached photo.", "not an image"),
        "page.jpg": Odd(b"\n<!DOCTYPE html><html>404 Not Found</html>", "a web page"),
        "drawing.png": Odd(b'<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        "print.jpg": Odd(saved(halves(), "EPS"), "PostScript"),
        "paper.jpg": Odd(b"%PDF-1.7\n", "PDF"),
        "phone.jpg": Odd(b"\0\0\0\x18ftypheic" + bytes(40), "HEIC"),
        "bomb.png": Odd(png(30_000, 30_000, 8, 2, b""), "30,000 × 30,000 pixels"),
        "bomb.jpg": Odd(jpeg[:sof] + b"\xff\xdc\xff\xdc" + jpeg[sof + 4 :], "gigantic"),
        "bomb.gif": Odd(bytes(gif), "65,535 × 65,535"),
        "bomb.webp": Odd(bytes(webp), "268,435,456 pixels"),
        "flat.png": Odd(png(0, 7, 8, 2, b""), "without pixels"),
        "nan.tif": Odd(saved(nan, "TIFF"), "no grey levels"),
        "deep.tif": Odd(saved(deep, "TIFF"), "no 16-bit grey levels"),
    }


def converted() -> dict[str, Odd]:
    """Files that are used, with a note where something was converted."""
    ramp = np.linspace(0, 65535, 24 * 16).reshape(16, 24).astype(np.uint16)
    clear = halves().convert("RGBA")
    clear.putalpha(Image.new("L", clear.size, 0))
    glassy = halves().convert("L").convert("LA")
    glassy.putalpha(Image.new("L", glassy.size, 128))
    second = Image.new("RGB", (24, 16), (0, 255, 0))
    palette = halves().quantize(2)
    rgb16 = b"".join(b"\0" + struct.pack(">HHH", 65535, 32768, 0) * 8 for _ in range(4))
    several: dict[str, Any] = {"save_all": True, "append_images": [second]}
    plain, turned = "", "turned"
    made = {
        "cmyk.jpg": (saved(halves().convert("CMYK"), "JPEG", quality=95), "CMYK"),
        "cmyk.tif": (saved(halves().convert("CMYK"), "TIFF"), "CMYK"),
        "ycbcr.tif": (saved(halves().convert("YCbCr"), "TIFF"), "YCbCr"),
        "plain.ppm": (saved(halves(), "PPM"), plain),
        "grey.pgm": (saved(halves().convert("L"), "PPM"), plain),
        "plain.jp2": (saved(halves(), "JPEG2000"), plain),
        "plain.avif": (saved(halves(48, 32), "AVIF", quality=95), plain),
        "turned.avif": (saved(halves(48, 32), "AVIF", quality=95, exif=with_orientation(3)), turned),
        "moving.avif": (
            saved(halves(48, 32), "AVIF", save_all=True, append_images=[halves(48, 32)]),
            "several frames",
        ),
        "clear.avif": (saved(clear, "AVIF"), "transparent"),
        "really_jpeg.jfif": (saved(halves(), "JPEG", quality=95), plain),
        "copied.jpg_large": (saved(halves(), "JPEG", quality=95), plain),
        "nameless": (saved(halves(), "PNG"), plain),
        "moving.gif": (saved(halves(), "GIF", **several), "several frames"),
        "moving.webp": (saved(halves(), "WEBP", lossless=True, **several), "several frames"),
        "moving.png": (saved(halves(), "PNG", **several), "several frames"),
        "pages.tif": (saved(halves(), "TIFF", **several), "several frames"),
        "stereo.jpg": (saved(halves(), "MPO", **several), "several frames"),
        "clear.png": (saved(clear, "PNG"), "transparent"),
        "glassy.png": (saved(glassy, "PNG"), "transparent"),
        "clear.webp": (saved(clear, "WEBP", lossless=True, exact=True), "transparent"),
        "hole.gif": (saved(palette, "GIF", transparency=0), "transparent"),
        "hole.png": (saved(palette, "PNG", transparency=0), "transparent"),
        "opaque.png": (saved(halves().convert("RGBA"), "PNG"), plain),
        "grey16.png": (saved(grey16(ramp, "<"), "PNG"), "16 bit"),
        "grey16.tif": (saved(grey16(ramp, ">"), "TIFF"), "16 bit"),
        "rgb16.png": (png(8, 4, 16, 2, rgb16), "16 bit"),
        "float.tif": (saved(Image.fromarray((ramp / 65535).astype(np.float32)), "TIFF"), "floating point"),
        "turned.jpg": (saved(halves(), "JPEG", quality=95, exif=with_orientation(6)), turned),
        "turned.tif": (saved(halves(), "TIFF", exif=with_orientation(8)), turned),
        "turned.png": (saved(halves(), "PNG", exif=with_orientation(3)), turned),
        "bits.png": (saved(halves().convert("1"), "PNG"), plain),
        "palette.png": (saved(palette, "PNG"), plain),
        "grey.jpg": (saved(halves().convert("L"), "JPEG"), plain),
        "progressive.jpg": (saved(halves(), "JPEG", quality=95, progressive=True), plain),
        "really_png.jpg": (saved(halves(), "PNG"), plain),
        "LOUD.JPEG": (saved(halves(), "JPEG", quality=95), plain),
        "tiny.png": (saved(Image.new("RGB", (1, 1), RED), "PNG"), plain),
        "strip.png": (saved(Image.new("RGB", (3000, 1), RED), "PNG"), plain),
    }
    return {name: Odd(data, note=note or None) for name, (data, note) in made.items()}
