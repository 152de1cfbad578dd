"""HDF5 in memory on one side, guarded reading of a possibly damaged file on the other."""

from __future__ import annotations

import contextlib
import io
import os
import stat
from collections.abc import Iterator, Mapping
from typing import Any

import h5py
import numpy as np

from ivbpr_numba import expected
from ivbpr_numba.errors import DataError, IvbprError, UsageError
from ivbpr_numba.store.atomic import PathLike, os_problem
from ivbpr_numba.store.kinds import kind_of
from ivbpr_numba.store.tree import Value, as_bytes, as_entry, as_text
from ivbpr_numba.store.writers import unreadable

__all__ = [
    "LIBVER",
    "SparseFile",
    "check_contiguous",
    "fill",
    "has_our_layout",
    "image_of",
    "opened",
    "read_attributes",
    "read_entries",
]

# The layout of HDF5 1.10: object headers and superblock carry checksums (the default of h5py, readable by
# 1.6, has none: single flipped bytes there can hang the library). "latest" would write the same layout but
# let the library at hand decide, and HDF5 2.0 writes types that 1.14 can't read.
LIBVER = ("v110", "v110")
_MOST_NODES = 100_000
_START = 1 << 12  # bytes that tell what a file is
_JOURNAL = b"ivbpr ext"  # how the journal of an unfinished extraction begins
_DEEPEST = 32


def _utf8(length: int) -> np.dtype:
    return h5py.string_dtype("utf-8", length)


def _storable(value: Value) -> np.ndarray:
    if isinstance(value, str):
        data = as_bytes(value)
        return np.array(data, dtype=_utf8(max(1, len(data))))
    # Relabelling "S" as UTF-8 costs no copy: the two types differ in metadata only.
    return value.view(_utf8(value.dtype.itemsize)) if value.dtype.kind == "S" else value


def fill(file: h5py.File, objects: Mapping[str, Value], attrs: Mapping[str, str | int | float]) -> None:
    """Create every object (in sorted order) and attribute, text as fixed-length UTF-8.

    Attributes named ``PATH@NAME`` belong to that node, the others to the root.
    """
    for path in sorted(objects):
        file.create_dataset(path, data=_storable(objects[path]))
    for key in sorted(attrs):
        value = attrs[key]
        path, _, name = key.rpartition("@") if key.startswith("/") else ("/", "", key)
        stored = _storable(value) if isinstance(value, str) else as_entry(value)
        node = file[path] if path in file else file.create_group(path)
        node.attrs.create(name, stored)


def image_of(objects: Mapping[str, Value], attrs: Mapping[str, str | int | float]) -> bytes:
    """Build a file in memory and return its bytes; equal content gives equal bytes."""
    total = sum(v.nbytes if isinstance(v, np.ndarray) else len(v) for v in objects.values())
    block = min(max(total // 8, 1 << 16), 1 << 26)  # growth steps of the image
    name = "image"  # of no file: backing_store=False
    with h5py.File(name, "w", driver="core", backing_store=False, block_size=block, libver=LIBVER) as file:
        fill(file, objects, attrs)
        file.flush()
        return file.id.get_file_image()


def has_our_layout(path: PathLike) -> bool:
    """Whether the file is HDF5 in a layout with checksums, as all our files are.

    Only such files are opened here: in the older one a single damaged byte can make the HDF5 library loop
    for ever or end the process.

    Raises
    ------
    UsageError
        The file does not exist, or another process is writing it.
    EnvironmentProblem
        No permission.
    DataError
        Not an HDF5 file.
    """
    expected.path(path)
    try:
        if not stat.S_ISREG(os.stat(path).st_mode) and not os.path.isdir(path):
            raise UsageError(f"'{path}' is not a regular file.", "Name a file that ivbpr wrote.")
        with open(path, "rb") as plain:
            start = plain.read(_START)
    except OSError as problem:
        raise unreadable(path, os_problem(problem, path, "read")) from problem
    if start[:8] != b"\x89HDF\r\n\x1a\n":
        raise unreadable(path, _not_ours(path, start))
    return len(start) > 8 and start[8] in (2, 3)  # version of the superblock


def _not_ours(path: PathLike, start: bytes) -> DataError:
    """What to do about a file that is not HDF5 and begins with `start`."""
    if start.startswith(_JOURNAL):
        return DataError(
            f"'{path}' is the unfinished work of `ivbpr features extract`.",
            "Run that command again: it goes on.",
        )
    kind, what, hint = kind_of(start) if start else "", "not an HDF5 file", "Name a file that ivbpr wrote."
    if kind in ("a table of text", "JSON"):
        what += f"; it seems to be {kind}"
        hint += " Of purchases, `prepare` makes a dataset."
    elif kind == "an ONNX network":
        what += "; it seems to be a network"
        hint += " Networks keep no digests of what they hold."
    return DataError(f"'{path}' is {what}.", hint)


@contextlib.contextmanager
def opened(path: PathLike) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading and turn whatever damage shows up into a DataError.

    Raises
    ------
    UsageError
        The file does not exist, or it can't be read because another process is writing it.
    EnvironmentProblem
        No permission.
    DataError
        Not an HDF5 file, cut short, or damaged.
    """
    if not has_our_layout(path):
        raise DataError(
            f"'{path}' is an HDF5 file, but has no ivbpr format.", "Name a file that ivbpr wrote."
        )
    try:
        # No lock: our files are replaced, never changed in place.
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except IvbprError:
        raise
    except MemoryError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, OverflowError) as problem:
        reason = " ".join(str(problem).split())
        damaged = DataError(
            f"'{path}' is damaged or cut short ({reason}).", "Make the file again or restore a copy."
        )
        raise unreadable(path, damaged) from problem


def check_contiguous(dataset: h5py.Dataset, file_size: int, path: PathLike) -> int:
    """Return the byte offset of a dataset's values after checking that they lie inside the file.

    Returns
    -------
    int
        Offset from the start of the file, −1 for a dataset without values in the file (empty or compact).

    Raises
    ------
    DataError
        Chunked, compressed, external or virtual storage, or values beyond the end of the file.
    """
    where = f"'{path}', {dataset.name}:"
    properties = dataset.id.get_create_plist()
    layout = properties.get_layout()
    size = dataset.size * dataset.dtype.itemsize
    if layout == h5py.h5d.COMPACT and size <= 1 << 16:
        return -1
    if layout != h5py.h5d.CONTIGUOUS or properties.get_external_count() > 0:
        raise DataError(
            f"{where} values are not stored contiguously in this file.", "Write the file with ivbpr."
        )
    if size == 0:
        return -1
    offset = dataset.id.get_offset()
    if offset is None:
        raise DataError(f"{where} its values were never written.", "Make the file again.")
    if offset + size > file_size:
        raise DataError(
            f"{where} values end at byte {offset + size:,}, but the cut file has {file_size:,} bytes.",
            "Make the file again or restore a copy.",
        )
    return int(offset)


def _attribute(raw: Any, where: str) -> str | int | float:
    if isinstance(raw, bytes):
        return as_text(raw)
    if isinstance(raw, str):
        return raw
    if isinstance(raw, np.ndarray) and raw.ndim == 0:
        raw = raw[()]
    if isinstance(raw, np.integer):
        return int(raw)
    if isinstance(raw, np.floating):
        return float(raw)
    raise DataError(f"{where} is neither a text nor a number.", "Only such attributes are understood.")


def read_attributes(node: h5py.HLObject, path: PathLike) -> dict[str, str | int | float]:
    """Read the attributes of one node."""
    return {
        name: _attribute(node.attrs[name], f"'{path}', attribute {name} of {node.name}")
        for name in node.attrs
    }


def _read_dataset(dataset: h5py.Dataset, file_size: int, path: PathLike) -> Value:
    if dataset.dtype.kind not in "biufS":
        raise DataError(
            f"'{path}', {dataset.name}: values of type {dataset.dtype} are not understood.",
            "Text must have fixed length.",
        )
    check_contiguous(dataset, file_size, path)
    value = dataset[()]
    if isinstance(value, bytes):
        return as_text(value)
    array = np.asarray(value)
    return array.astype(f"S{array.dtype.itemsize}", copy=False) if array.dtype.kind == "S" else array


def read_entries(
    file: h5py.File, path: PathLike, skip: tuple[str, ...] = ()
) -> tuple[dict[str, Value], dict[str, str | int | float]]:
    """Read every dataset (but those in `skip`) and every attribute.

    Returns
    -------
    objects : dict
        Path to value.
    attrs : dict
        Root attributes by name, attributes of other nodes by ``PATH@NAME``.
    """
    objects: dict[str, Value] = {}
    attrs: dict[str, str | int | float] = dict(read_attributes(file, path))
    file_size = os.path.getsize(path)
    waiting: list[tuple[h5py.Group, int]] = [(file, 0)]
    nodes = 0
    while waiting:
        group, depth = waiting.pop()
        for name in group:
            nodes += 1
            # Cycles and bombs: a damaged link table must not keep us busy for ever.
            if nodes > _MOST_NODES or depth > _DEEPEST:
                raise DataError(f"'{path}' has too many or too deeply nested groups.", "Make the file again.")
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise DataError(
                    f"'{path}' has a link to elsewhere at {group.name}/{name}.", "Remove the link."
                )
            node = group[name]
            where = f"{group.name.rstrip('/')}/{name}"
            attrs.update({f"{where}@{k}": v for k, v in read_attributes(node, path).items()})
            if isinstance(node, h5py.Group):
                waiting.append((node, depth + 1))
            elif not isinstance(node, h5py.Dataset):
                raise DataError(f"'{path}', {where}: neither a group nor a dataset.", "Make the file again.")
            elif where not in skip:
                objects[where] = _read_dataset(node, file_size, path)
    return objects, attrs


class SparseFile(io.RawIOBase):
    """A file in memory that keeps only what is written: HDF5's metadata around a huge, unwritten matrix."""

    def __init__(self) -> None:
        super().__init__()
        self.segments: list[tuple[int, bytes]] = []
        self.length = 0
        self._position = 0

    def seek(self, offset: int, whence: int = 0) -> int:
        self._position = offset + (0, self._position, self.length)[whence]
        return self._position

    def tell(self) -> int:
        return self._position

    def write(self, data: Any) -> int:
        piece = bytes(data)
        self.segments.append((self._position, piece))
        self._position += len(piece)
        self.length = max(self.length, self._position)
        return len(piece)

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        start, size = self._position, max(0, min(len(view), self.length - self._position))
        view[:size] = bytes(size)
        for offset, piece in self.segments:
            low, high = max(start, offset), min(start + size, offset + len(piece))
            if low < high:
                view[low - start : high - start] = piece[low - offset : high - offset]
        self._position += size
        return size

    def truncate(self, size: int | None = None) -> int:
        self.length = self._position if size is None else size
        return self.length
