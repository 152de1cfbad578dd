"""What a file holds, in memory: objects by path and attributes of the root."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

__all__ = [
    "DIGEST_ATTRIBUTES",
    "FORMAT_VERSION",
    "NEWEST_VERSION",
    "Tree",
    "Value",
    "as_bytes",
    "as_canonical",
    "as_entry",
    "as_text",
    "entries_of",
]

# Each file says the least version that tells what it holds, so that older programs read whatever they can.
FORMAT_VERSION = "1.0"
NEWEST_VERSION = "1.1"  # feature files of the sparse layout
DIGEST_ATTRIBUTES = ("payload_sha256", "content_sha256")

# What an object or an attribute may be: an array (bool, integers, floats, fixed-length UTF-8) or one text.
Value = np.ndarray | str


@dataclass
class Tree:
    """The content of one file.

    Attributes
    ----------
    format : str
        ``ivbpr-model``, ``ivbpr-dataset``, ``ivbpr-features``, ``ivbpr-checkpoint``, ``ivbpr-truth`` or
        ``ivbpr-tuning``.
    objects : dict of str to ndarray or str
        Absolute path (``"/params/item_bias"``) to an array (any shape, also 0-d; dtype ``S`` holds UTF-8
        text of fixed length) or to one text.
    attrs : dict of str to str, int or float
        Attributes of the root besides ``format``. A tree that was read also carries ``format_version``,
        ``payload_sha256`` and ``content_sha256``; the writer replaces those.
    version : str
        ``format_version`` to write.
    """

    format: str
    objects: dict[str, np.ndarray | str] = field(default_factory=dict)
    attrs: dict[str, str | int | float] = field(default_factory=dict)
    version: str = FORMAT_VERSION

    def text(self, path: str) -> str:
        """Return the text at `path`."""
        value = self.objects[path]
        if not isinstance(value, str):
            raise TypeError(f"{path} holds an array, not a text")
        return value

    def array(self, path: str) -> np.ndarray:
        """Return the array at `path`."""
        value = self.objects[path]
        if not isinstance(value, np.ndarray):
            raise TypeError(f"{path} holds a text, not an array")
        return value


def as_text(data: bytes) -> str:
    """Decode UTF-8; bytes of a damaged file that are none survive the way back (`as_bytes`)."""
    return data.decode("utf-8", "surrogateescape")


def as_bytes(text: str) -> bytes:
    """Encode to UTF-8, the inverse of `as_text`."""
    return text.encode("utf-8", "surrogateescape")


def as_canonical(value: object) -> Value:
    """Bring a value to the one form that is stored and digested.

    Arrays become little-endian, C-ordered and, for text, as narrow as the longest value allows (so the
    digest of ids does not depend on the array they were cut from). A 0-d text array becomes ``str``.

    Raises
    ------
    TypeError
        For a value that these files don't hold (objects, unicode arrays, complex numbers, dates).
    """
    if isinstance(value, bytes):
        value = as_text(value)
    if isinstance(value, str):
        return value
    array = np.asarray(value)
    if array.dtype.kind == "S":
        if array.ndim == 0:
            return as_canonical(array.item())
        lengths = np.strings.str_len(array)
        return np.ascontiguousarray(array, dtype=f"S{max(1, int(lengths.max(initial=1)))}")
    if array.dtype.kind not in "biuf":
        raise TypeError(f"cannot store values of type {array.dtype}")
    little = array.dtype.newbyteorder("<") if sys.byteorder == "big" else array.dtype.newbyteorder("=")
    # ascontiguousarray would turn a 0-d array into one of shape (1,).
    return np.array(array, dtype=little, order="C", copy=None)


def as_entry(value: str | int | float) -> Value:
    """Bring an attribute to the form in which it is digested: text, int64 or float64."""
    if isinstance(value, str):
        return as_canonical(value)
    if isinstance(value, (bool, np.bool_)):
        raise TypeError("attributes are text, int or float, not bool")
    if isinstance(value, (int, np.integer)):
        return np.array(int(value), dtype=np.int64)
    if isinstance(value, (float, np.floating)):
        return np.array(float(value), dtype=np.float64)
    raise TypeError(f"attributes are text, int or float, not {type(value).__name__}")


def entries_of(objects: Mapping[str, Value], attrs: Mapping[str, str | int | float]) -> dict[str, Value]:
    """Name every object by its path and every attribute by ``PATH@NAME`` (``/@NAME`` for the root).

    These names are what digests speak of; the two digests themselves are left out.
    """
    entries = {path: as_canonical(value) for path, value in objects.items()}
    for name, value in attrs.items():
        if name not in DIGEST_ATTRIBUTES:
            entries[name if name.startswith("/") else f"/@{name}"] = as_entry(value)
    return entries
