"""The bytes of an ONNX file, weights that it keeps in files beside it taken in; one digest over all of them.

onnxruntime finds such files by itself only where it is given a path, and then nobody knows which bytes it
read. Here each file is read once: what the digest covers is what runs. Only the fields of protobuf that lead
to weights are looked at, so that running a network needs no package but onnxruntime.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ivbpr_numba import expected
from ivbpr_numba.errors import DataError, IvbprError
from ivbpr_numba.store.atomic import PathLike, os_problem

__all__ = ["LARGEST", "NetworkBytes", "outside_weights", "read_network"]

LARGEST = (1 << 31) - 1  # bytes; protobuf takes no more
_DEEPEST = 64  # graphs within graphs

# The messages of onnx.proto that lead to tensors: number of a field → the message it holds.
_FIELDS = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
}
_NAME, _RAW_DATA, _EXTERNAL_DATA, _DATA_LOCATION = 8, 9, 13, 14  # of a tensor
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True)
class NetworkBytes:
    """An ONNX file with all its weights inside.

    Attributes
    ----------
    content : bytes
        The file itself, or, where it keeps weights in other files, the same model with them inside.
    sha256 : str
        Of the file; with other files, of the SHA-256 (32 bytes each) of the file and of those files, in
        ascending order of the UTF-8 bytes of their names.
    files : tuple of str
        The other files, as the model names them, in that order.
    """

    content: bytes
    sha256: str
    files: tuple[str, ...]


def read_network(path: PathLike) -> NetworkBytes:
    """Read an ONNX file and the files beside it that hold its weights.

    Raises
    ------
    UsageError
        `path` does not exist.
    DataError
        It is no protobuf; a file of weights is missing, too short, or outside the folder of `path`; or all of
        it is 2 GiB or more.
    EnvironmentProblem
        A file may not be read.
    """
    expected.path(path)
    try:
        content = Path(path).read_bytes()
    except OSError as problem:
        raise os_problem(problem, path, "read") from problem
    data = _Beside(path)
    try:
        parts = _rewritten(memoryview(content), "model", data, 0)
    except IvbprError:
        raise
    except (ValueError, IndexError) as problem:
        raise DataError(
            f"'{path}' is no network that onnxruntime can load: it is no ONNX file ({problem}).",
            "Check the path, or fetch the file again.",
        ) from None
    if parts is None:
        return NetworkBytes(content, hashlib.sha256(content).hexdigest(), ())
    if (size := sum(map(len, parts))) > LARGEST:
        raise DataError(
            f"'{path}' is {size:,} bytes with its weights, and a network can have at most {LARGEST:,}.",
            "Export it with smaller weights, such as float16.",
        )
    total = hashlib.sha256(hashlib.sha256(content).digest())
    for name in (names := tuple(sorted(data.digests, key=str.encode))):
        total.update(data.digests[name])
    return NetworkBytes(b"".join(parts), total.hexdigest(), names)


def outside_weights(content: bytes) -> list[str]:
    """Names of the tensors of a model whose values are in other files.

    Raises
    ------
    ValueError, IndexError
        `content` is no protobuf.
    """
    found = _Names()
    _rewritten(memoryview(content), "model", found, 0)
    return found.names


class _Names:
    """Notes whose values are asked for."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __call__(self, tensor: str, where: dict[str, str]) -> memoryview:
        self.names.append(tensor)
        return memoryview(b"")


class _Beside:
    """The files of weights in the folder of a network, each read once."""

    def __init__(self, path: PathLike) -> None:
        self._path = path
        self._contents: dict[str, bytes] = {}
        self.digests: dict[str, bytes] = {}

    def __call__(self, tensor: str, where: dict[str, str]) -> memoryview:
        """The bytes of one tensor."""
        name = where.get("location", "")
        if name not in self._contents:
            self._contents[name] = self._read(name, tensor)
            self.digests[name] = hashlib.sha256(self._contents[name]).digest()
        content = self._contents[name]
        try:
            start = int(where.get("offset", "0"))
            length = int(where.get("length", str(len(content) - start)))
        except ValueError:
            start = length = -1
        if start < 0 or length < 0:
            raise DataError(
                f"'{self._path}' says nothing that makes sense about where in '{name}' the weights "
                f"'{tensor}' are.",
                "Export it again.",
            )
        if start + length > len(content):
            raise DataError(
                f"The weights '{tensor}' of '{self._path}' end at byte {start + length:,} of '{name}', which "
                f"has {len(content):,}: it is cut short, or another network's.",
                "Fetch both files again.",
            )
        return memoryview(content)[start : start + length]

    def _read(self, name: str, tensor: str) -> bytes:
        parts = name.replace("\\", "/").split("/")  # exporters on Windows write backslashes
        if not name or "\0" in name:
            raise DataError(
                f"'{self._path}' keeps the weights '{tensor}' in another file, which it doesn't name.",
                "Export it again.",
            )
        if parts[0] == "" or ".." in parts or re.match("[A-Za-z]:", name):
            raise DataError(
                f"'{self._path}' keeps weights in '{name}', outside its own folder.",
                "Save it with its weights inside, or in a file beside it.",
            )
        folder = Path(self._path).parent
        place = folder.joinpath(*parts)
        try:
            # Without O_NONBLOCK a pipe would wait for a writer for ever.
            fd = os.open(place, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                found = os.fstat(fd)
                problem = None if stat.S_ISREG(found.st_mode) else "is no regular file"
                if found.st_size > LARGEST:
                    problem = f"has {found.st_size:,} bytes, more than the {LARGEST:,} of the largest network"
                if problem is not None:
                    raise DataError(
                        f"'{place}', where '{self._path}' keeps weights, {problem}.",
                        "Export the network again; smaller weights may do, such as float16.",
                    )
                with open(fd, "rb", closefd=False) as file:
                    return file.read()
            finally:
                os.close(fd)
        except (FileNotFoundError, NotADirectoryError):
            raise DataError(
                f"'{self._path}' keeps its weights in the file '{name}', which is not in '{folder}'.",
                "Put it there: both files belong together.",
            ) from None
        except OSError as cause:
            raise os_problem(cause, place, "read") from cause


def _rewritten(
    message: memoryview, kind: str, load: _Beside | _Names, depth: int
) -> list[bytes | memoryview] | None:
    """A message with the values of its tensors inside, in pieces; None where they are inside already."""
    if depth > _DEEPEST:
        raise ValueError("graphs within graphs without end")
    if kind == "tensor":
        return _whole_tensor(message, load)
    inner = _FIELDS[kind]
    pieces: list[bytes | memoryview] = []
    kept = 0  # what lies before is in `pieces`
    for number, wire, begin, start, end in _fields(message):
        if wire != _BYTES or number not in inner:
            continue
        found = _rewritten(message[start:end], inner[number], load, depth + 1)
        if found is not None:
            head = _varint(number << 3 | _BYTES) + _varint(sum(map(len, found)))
            pieces += [message[kept:begin], head, *found]
            kept = end
    return [*pieces, message[kept:]] if pieces else None


def _whole_tensor(message: memoryview, load: _Beside | _Names) -> list[bytes | memoryview] | None:
    name, outside = "", False
    where: dict[str, str] = {}
    kept: list[bytes | memoryview] = []
    for number, wire, begin, start, end in _fields(message):
        if number == _DATA_LOCATION and wire == _VARINT:
            outside = _read_varint(message, start)[0] & 0xFFFFFFFF == 1  # as protobuf reads an enumeration
        elif number == _EXTERNAL_DATA and wire == _BYTES:
            where.update([_entry(message[start:end])])
        elif number != _RAW_DATA:
            kept.append(message[begin:end])
        if number == _NAME and wire == _BYTES:
            name = str(message[start:end], "utf-8", "replace")
    if not outside:
        return None
    values = load(name, where)
    return [*kept, _varint(_RAW_DATA << 3 | _BYTES) + _varint(len(values)), values]


def _entry(message: memoryview) -> tuple[str, str]:
    """Key and value of a StringStringEntryProto."""
    found = {1: "", 2: ""}
    for number, wire, _, start, end in _fields(message):
        if wire == _BYTES:
            found[number] = str(message[start:end], "utf-8")
    return found[1], found[2]


def _fields(message: memoryview) -> Iterator[tuple[int, int, int, int, int]]:
    """Of each field: number, wire type, where it begins, and where its value starts and ends."""
    place = 0
    while place < len(message):
        begin = place
        key, place = _read_varint(message, place)
        number, wire = key >> 3, key & 7
        start = place
        if wire == _VARINT:
            place = _read_varint(message, place)[1]
        elif wire == _BYTES:
            length, start = _read_varint(message, place)
            place = start + length
        elif wire in (_FIXED64, _FIXED32):
            place += 8 if wire == _FIXED64 else 4
        else:
            raise ValueError(f"unknown wire type {wire} at byte {begin}")
        if number == 0 or place > len(message):
            raise ValueError(f"a broken field at byte {begin}")
        yield number, wire, begin, start, place


def _read_varint(message: memoryview, place: int) -> tuple[int, int]:
    """The number at `place`, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        byte = message[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise ValueError("a number without end")


def _varint(value: int) -> bytes:
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)
