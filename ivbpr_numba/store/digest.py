"""The digest of named values, as `data/FORMAT.md` writes it down."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ivbpr_numba.store.tree import Value, as_bytes, as_canonical

__all__ = ["Digested", "Entry", "canonical_json", "digest_objects"]


@dataclass(frozen=True)
class Digested:
    """A matrix too large to hold: `data`, its block digests, stands for its values."""

    dtype: np.dtype
    shape: tuple[int, ...]
    data: bytes


Entry = Value | bytes | Digested


def _length_prefixed(data: bytes) -> bytes:
    return len(data).to_bytes(8, "little") + data


def digest_objects(objects: Mapping[str, Entry]) -> str:
    """Digest named values.

    Objects are taken in ascending order of their UTF-8 paths; each contributes

    * its path,
    * the name of its type: numpy's ``dtype.str`` (``<f4``, ``|S10``), ``text`` or ``bytes``,
    * its shape: the number of dimensions, then each extent, as unsigned 64-bit little-endian integers,
    * its data: little-endian C-order bytes of an array; text (UTF-8) and bytes with a length prefix; for a
      matrix given by its block digests, those digests (64 hexadecimal digits each) one after the other.

    Path and type name carry a length prefix too (unsigned 64-bit little-endian), so no two different
    collections give the same stream.

    Parameters
    ----------
    objects : mapping of str to ndarray, str, bytes or Digested
        Arrays are brought to canonical form first (little-endian, C order, narrowest text).

    Returns
    -------
    str
        SHA-256, 64 hexadecimal digits.
    """
    sha = hashlib.sha256()
    for path in sorted(objects, key=as_bytes):
        raw = objects[path]
        value = raw if isinstance(raw, (bytes, Digested)) else as_canonical(raw)
        sha.update(_length_prefixed(as_bytes(path)))
        if isinstance(value, (np.ndarray, Digested)):
            sha.update(_length_prefixed(value.dtype.str.encode()))
            sha.update(np.array((len(value.shape), *value.shape), dtype="<u8").tobytes())
            sha.update(value.data if isinstance(value, Digested) else value.reshape(-1).view(np.uint8).data)
        else:
            kind, data = (b"text", as_bytes(value)) if isinstance(value, str) else (b"bytes", value)
            sha.update(_length_prefixed(kind))
            sha.update((0).to_bytes(8, "little"))
            sha.update(_length_prefixed(data))
    return sha.hexdigest()


def canonical_json(document: Any) -> str:
    """One text for equal documents: sorted keys, no blanks, plain UTF-8."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
