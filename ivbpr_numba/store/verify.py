"""Does a file still hold what was written, and what does it hold?"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ivbpr_numba.errors import CheckFailed
from ivbpr_numba.store.atomic import PathLike
from ivbpr_numba.store.blocks import MATRIX, Rows, as_digested
from ivbpr_numba.store.digest import Entry, digest_objects
from ivbpr_numba.store.files import EXTRA, OURS, PAYLOAD_NAMES, Sealed, check_format, read_sealed
from ivbpr_numba.store.hdf5 import opened, read_attributes
from ivbpr_numba.store.matrix import MappedMatrix
from ivbpr_numba.store.sparse_file import open_rows
from ivbpr_numba.store.tree import Value, as_bytes, as_text, entries_of
from ivbpr_numba.wording import first_of

__all__ = ["Report", "inspect", "verify"]

_WITH_ROWS = ("ivbpr-features",)
_DEEPEST = 100  # levels of a document; JSON writers stop at some hundred


@dataclass
class Report:
    """What `verify` found.

    Attributes
    ----------
    file, format, format_version : str
    payload_sha256, content_sha256 : str
        As recorded in the file.
    values, blocks : int
        Objects and attributes checked; 8 MiB blocks of rows of features checked.
    mismatches : list of str
        What differs from its digest, in words; empty when all is well.
    """

    file: str
    format: str
    format_version: str
    payload_sha256: str
    content_sha256: str
    values: int
    blocks: int
    mismatches: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether every digest is right."""
        return not self.mismatches

    def as_dict(self) -> dict[str, Any]:
        """The report as plain data."""
        return {"ok": self.ok, **self.__dict__}

    def raise_for_mismatch(self) -> None:
        """Raise CheckFailed (exit code 5) unless every digest is right."""
        if self.mismatches:
            raise CheckFailed(
                f"'{self.file}' changed since it was written: {first_of(self.mismatches)}.",
                "Make the file again or restore a copy.",
            )


def _read(path: PathLike) -> tuple[Sealed, Rows | None]:
    with opened(path) as file:
        attrs = read_attributes(file, path)
        check_format(attrs, path, None)
    found = str(attrs["format"])
    return open_rows(path, found) if found in _WITH_ROWS else (read_sealed(path, found), None)


def verify(path: PathLike) -> Report:
    """Recompute every digest of a file: each value, each matrix block, payload and content.

    Returns
    -------
    Report
        Check `ok` or call `raise_for_mismatch`.

    Raises
    ------
    UsageError
        The file does not exist.
    DataError
        It can't be read: not HDF5, cut short, its structure damaged, not ours, or of a newer major version.
    """
    sealed, rows = _read(path)
    mismatches = [
        f"{_shown(name[1:])} was added" if name.startswith("+") else f"{_shown(name)} differs"
        for name in sealed.changed
    ]
    entries: dict[str, Entry] = dict(entries_of(sealed.objects, sealed.attrs))
    blocks = 0
    if rows is not None:
        entries[MATRIX] = as_digested(rows.shape, rows.dtype, rows.digests)
        blocks = len(rows.digests)
        fault = rows.fault()
        if fault and not mismatches:
            mismatches.append(fault)
        if not fault:  # else no row can be taken
            mismatches += [f"{MATRIX} differs in {rows.rows_of(block)}" for block in rows.wrong_blocks()]
    if not _payload_agrees(sealed, entries):
        mismatches.append("payload_sha256 differs")
    return Report(
        file=os.fspath(path),
        format=_shown(str(sealed.attrs["format"])),
        format_version=_shown(str(sealed.attrs["format_version"])),
        payload_sha256=_shown(str(sealed.attrs.get("payload_sha256", ""))),
        content_sha256=_shown(str(sealed.attrs.get("content_sha256", ""))),
        values=len(entries),
        blocks=blocks,
        mismatches=mismatches,
    )


def _payload_agrees(sealed: Sealed, entries: dict[str, Entry]) -> bool:
    """Recompute the payload digest from the names that the file lists."""
    names = sealed.objects.get(PAYLOAD_NAMES)
    if not isinstance(names, np.ndarray) or names.dtype.kind != "S":
        return False
    chosen: dict[str, Entry] = {}
    for name in map(as_text, names.tolist()):
        value = entries.get(EXTRA + name.lstrip("/"), entries.get(name))
        if value is None:
            return False
        chosen[name] = value
    return digest_objects(chosen) == sealed.attrs.get("payload_sha256")


def inspect(path: PathLike) -> dict[str, Any]:
    """Tell what a file holds (``ivbpr inspect``); digests are compared, matrix blocks are not read.

    Returns
    -------
    dict
        ``file bytes format format_version`` and the digests; ``attrs`` (root attributes); ``objects``: rows
        ``path shape dtype bytes``; ``documents``: every JSON text of the file parsed, by path
        (``/config``, ``/provenance``, ``/source``, …); ``changed``: names that differ from their digest.
    """
    sealed, rows = _read(path)
    objects = [_row(name, value) for name, value in sealed.objects.items() if not name.startswith(OURS)]
    if isinstance(rows, MappedMatrix):
        objects.append(_row(MATRIX, rows.values))
    attrs = {_shown(name): _fit(value) for name, value in sealed.attrs.items()}
    return {
        "file": os.fspath(path),
        "bytes": os.path.getsize(path),
        **{
            name: attrs.pop(name, None)
            for name in ("format", "format_version", "payload_sha256", "content_sha256")
        },
        "attrs": attrs,
        "objects": sorted(objects, key=lambda row: row["path"]),
        "documents": {
            _shown(name): document
            for name, value in sorted(sealed.objects.items())
            if not name.startswith(OURS) and (document := _document(value)) is not None
        },
        "changed": [_shown(name) for name in sealed.changed],
    }


def _row(name: str, value: Value) -> dict[str, Any]:
    if isinstance(value, str):
        return {"path": _shown(name), "shape": [], "dtype": "text", "bytes": len(as_bytes(value))}
    return {"path": _shown(name), "shape": list(value.shape), "dtype": value.dtype.str, "bytes": value.nbytes}


def _document(value: Value) -> dict[str, Any] | list[Any] | None:
    if not isinstance(value, str):
        return None
    try:
        document = _fit(json.loads(value))
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, (dict, list)) else None


def _shown(text: str) -> str:
    """Text of a file that may be damaged: bytes that are no UTF-8 as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


def _fit(value: Any, depth: int = 0) -> Any:
    """The same value as any JSON writer takes it: valid text, 64-bit numbers, no endless nesting."""
    if depth > _DEEPEST:
        raise ValueError("too deeply nested")
    if isinstance(value, str):
        return _shown(value)
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return f"a whole number of {value.bit_length()} bits"
    if isinstance(value, dict):
        return {_shown(key): _fit(inner, depth + 1) for key, inner in value.items()}
    if isinstance(value, list):
        return [_fit(inner, depth + 1) for inner in value]
    return value
