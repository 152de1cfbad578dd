"""Which files are photos: by their ending where it says so, else by their first bytes."""

from __future__ import annotations

import posixpath
import re

__all__ = ["ENDINGS", "START", "ending_of", "foreign_format", "image_format", "is_never_photo", "stem_of"]

ENDINGS = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff"),
    *(".jp2", ".j2k", ".ppm", ".pgm", ".pbm", ".pnm", ".avif", ".heic", ".heif"),
)
START = 64  # bytes of a file that tell what it is

# Files beside photos, copies of photos, and raw files (in which TIFF readers find a thumbnail): no further
# photos, whatever their first bytes are.
_NEVER = (
    *(".txt", ".json", ".csv", ".tsv", ".xml", ".xmp", ".md", ".html", ".db", ".ini", ".log"),
    *(".bak", ".old", ".orig", ".tmp", ".part", ".crdownload", "~"),
    *(".cr2", ".cr3", ".nef", ".arw", ".dng", ".orf", ".pef", ".raf", ".rw2", ".srw"),
)
_HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"heif")
_AVIF = (b"avif", b"avis")
_BMP_HEADERS = (12, 16, 40, 52, 56, 64, 108, 124)  # sizes of the header that follows
_FOREIGN = (
    (b"%!PS", "PostScript (EPS)"),
    (b"\xc5\xd0\xd3\xc6", "PostScript (EPS)"),
    (b"%PDF", "a PDF document"),
    (b"8BPS", "a Photoshop file"),
    (b"<svg", "an SVG drawing"),
    (b"<?xml", "an XML document"),
    (b"<!doctype html", "a web page"),
    (b"<html", "a web page"),
)


def image_format(start: bytes) -> str | None:
    """Pillow's name of the format of an image that begins so (`START` bytes); None where it is none."""
    if start.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if start.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "WEBP"
    if start[:2] == b"BM" and int.from_bytes(start[14:18], "little") in _BMP_HEADERS:
        return "BMP"
    if start.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return "TIFF"
    if start.startswith((b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51")):
        return "JPEG2000"
    if re.match(rb"P[1-6]\s+(#|\d)", start):
        return "PPM"
    if start[4:8] == b"ftyp":
        # The first brand may be a general one; which codec it is stands among the compatible ones.
        brands = [start[8:12], *(start[k : k + 4] for k in range(16, min(_length(start), len(start)), 4))]
        if any(brand in _AVIF for brand in brands):
            return "AVIF"
        if any(brand in _HEIC for brand in brands):
            return "HEIF"
    return None


def _length(start: bytes) -> int:
    return int.from_bytes(start[:4], "big")


def foreign_format(start: bytes) -> str | None:
    """What a file is that is no image which is read, in words; None where nobody knows."""
    text = start[:START].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return next((what for mark, what in _FOREIGN if text.startswith(mark.lower())), None)


def is_never_photo(name: str) -> bool:
    """Whether a name tells that a file is something beside photos, a copy of one, or a camera's raw file."""
    return name.lower().endswith(_NEVER)


def ending_of(name: str) -> str:
    """A file name's ending with its dot; empty where there is none (``a``, ``12.5``)."""
    ending = posixpath.splitext(_last(name))[1]
    return ending if ending[1:2].isalpha() else ""


def stem_of(name: str) -> str:
    """A file's name without folders, of whatever system wrote them, and ending."""
    last = _last(name)
    return last[: len(last) - len(ending_of(last))]


def _last(name: str) -> str:
    return re.split(r"[/\\]", name.rstrip("/\\"))[-1]
