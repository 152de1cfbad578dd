"""The name of a zip's member as that of a file: letters and slashes, whichever system wrote the archive."""

from __future__ import annotations

import contextlib
import re
import struct
import zipfile
import zlib

__all__ = ["zip_name"]

_UTF8_FLAG = 0x800
_UNICODE_PATH = 0x7075


def zip_name(info: zipfile.ZipInfo) -> tuple[str, bool]:
    """A member's path with slashes, without a drive, and whether its letters are certain."""
    if info.flag_bits & _UTF8_FLAG:
        return _with_slashes(info.filename), True
    # Python has read it as code page 437, which has a letter for each byte.
    raw = info.orig_filename.encode("cp437", "replace").split(b"\0")[0]
    said = _unicode_path(info.extra, raw)
    if said is not None:
        return _with_slashes(said), True
    try:  # Macs and many programs write UTF-8 without saying so; other text is hardly ever valid UTF-8
        return _with_slashes(raw.decode("utf-8")), True
    except UnicodeDecodeError:
        return _with_slashes(raw.decode("cp437")), False


def _unicode_path(extra: bytes, raw: bytes) -> str | None:
    """The name in Info-ZIP's extra field, valid only for the name beside which it was written."""
    place = 0
    while place + 4 <= len(extra):
        number, size = struct.unpack_from("<HH", extra, place)
        body = extra[place + 4 : place + 4 + size]
        if number == _UNICODE_PATH and len(body) > 5 and body[0] == 1:
            if struct.unpack_from("<I", body, 1)[0] == zlib.crc32(raw):
                with contextlib.suppress(UnicodeDecodeError):
                    return body[5:].decode("utf-8")
        place += 4 + size
    return None


def _with_slashes(name: str) -> str:
    """Zip asks for slashes; programs on Windows write backslashes all the same."""
    return re.sub(r"^[A-Za-z]:/", "/", name.replace("\\", "/"))
