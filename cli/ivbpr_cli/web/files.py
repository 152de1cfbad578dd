"""The files of the page, all read at the start: no request ever opens one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["PageFile", "page_files"]

FOLDER = Path(__file__).parent / "static"
MEDIA = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".txt": "text/plain; charset=utf-8",
}


@dataclass(frozen=True)
class PageFile:
    """A file's content and its type."""

    body: bytes
    media: str


def page_files(folder: Path = FOLDER) -> dict[str, PageFile]:
    """The files by their path below `folder`, with slashes; those of other kinds are left out."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix in MEDIA:
            found[path.relative_to(folder).as_posix()] = PageFile(path.read_bytes(), MEDIA[path.suffix])
    return found
