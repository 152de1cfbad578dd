"""What an extraction has done so far: batches, appended to a file beside the target.

A record is two lengths, a SHA-256, a JSON document and rows of float32. A killed process leaves whole records
and perhaps the beginning of another one, which is cut off when the file is opened again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import struct
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ivbpr_numba.errors import DataError, UsageError, parameter
from ivbpr_numba.store.atomic import PathLike, os_problem

__all__ = ["Journal", "journal_path"]

MAGIC = b"ivbpr extraction journal 1\n"
SYNC_EVERY = 5.0  # seconds
_HEAD = struct.Struct("<QQ32s")  # bytes of the document, bytes of the rows, SHA-256 of both


def journal_path(out: PathLike) -> Path:
    """Where the unfinished extraction of `out` keeps its batches: ``OUT.partial``."""
    target = Path(out)
    return target.with_name(target.name + ".partial")


def identity_in(path: PathLike) -> dict[str, Any]:
    """The identity of a journal that is there; empty where there is none that can be read."""
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if file.read(len(MAGIC)) != MAGIC:
                return {}
            header = _record_at(file.fileno(), len(MAGIC), size)
    except OSError:
        return {}
    found = {} if header is None else header[0].get("identity", {})
    return found if isinstance(found, dict) else {}


def _record_at(fd: int, start: int, size: int) -> tuple[dict[str, Any], int, int] | None:
    head = os.pread(fd, _HEAD.size, start)
    if len(head) < _HEAD.size:
        return None
    length, rows, digest = _HEAD.unpack(head)
    body = start + _HEAD.size
    end = body + length + rows
    if end > size:
        return None
    text = os.pread(fd, length, body)
    total = hashlib.sha256(text)
    for offset in range(body + length, end, 1 << 20):
        total.update(os.pread(fd, min(1 << 20, end - offset), offset))
    if total.digest() != digest:
        return None
    document: dict[str, Any] = json.loads(text)
    return document, body + length, end


class Journal:
    """Records of finished batches; the caller holds the lock of the target.

    Parameters
    ----------
    path : path
    identity : mapping
        Everything that decides about the rows; a journal of another identity is refused.
    overwrite : bool
        Throw away what is there.

    Attributes
    ----------
    documents : list of dict
        The JSON document of each record.
    offsets : list of int
        Where the rows of each record begin in the file.

    Raises
    ------
    UsageError
        The file belongs to another extraction, or is no journal.
    DataError
        Its first record is damaged.
    EnvironmentProblem
        It can't be written.
    """

    def __init__(self, path: PathLike, identity: Mapping[str, Any], overwrite: bool = False) -> None:
        self.path = path
        self.documents: list[dict[str, Any]] = []
        self.offsets: list[int] = []
        self._synced = time.monotonic()
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | (os.O_TRUNC if overwrite else 0)
        try:
            self._fd = os.open(path, flags, 0o666)
        except OSError as problem:
            raise os_problem(problem, path) from problem
        try:
            self._end = self._read(dict(identity))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()

    def _read(self, identity: dict[str, Any]) -> int:
        """Check what is there, cut off what is not whole, and return the end."""
        try:
            size = os.fstat(self._fd).st_size
            start = os.pread(self._fd, len(MAGIC), 0)
            if not MAGIC.startswith(start):
                raise UsageError(
                    f"'{self.path}' is no journal of an extraction.",
                    f"Remove it, or start anew with {parameter('overwrite', True)}.",
                )
            header = self._record(len(MAGIC), size)
            if header is None:
                if size > len(MAGIC) + (1 << 16):
                    raise DataError(
                        f"The journal '{self.path}' is damaged.",
                        f"Start anew with {parameter('overwrite', True)}.",
                    )
                # Nothing but, at most, the beginning of a first record.
                os.ftruncate(self._fd, 0)
                self._write(MAGIC, 0)
                self._end = len(MAGIC)
                self._append({"identity": identity}, b"")
                os.fsync(self._fd)
                return self._end
            document, _, end = header
            self._compare(document.get("identity", {}), json.loads(json.dumps(identity)))
            while (record := self._record(end, size)) is not None:
                document, offset, after = record
                if document.get("batch") != len(self.documents):
                    break
                self.documents.append(document)
                self.offsets.append(offset)
                end = after
            if end < size:
                os.ftruncate(self._fd, end)
            return end
        except OSError as problem:
            raise os_problem(problem, self.path) from problem

    def _compare(self, found: dict[str, Any], wanted: dict[str, Any]) -> None:
        different = sorted(name for name in {*found, *wanted} if found.get(name) != wanted.get(name))
        if different:
            names = ", ".join(name.replace("_", " ") for name in different)
            raise UsageError(
                f"'{self.path}' belongs to another extraction; different: {names}.",
                "Repeat the first command to go on with it, or start anew with "
                f"{parameter('overwrite', True)}.",
            )

    def _record(self, start: int, size: int) -> tuple[dict[str, Any], int, int] | None:
        """Document, offset of its rows and end of the record at `start`; None where there is no whole one."""
        return _record_at(self._fd, start, size)

    def append(self, document: Mapping[str, Any], rows: np.ndarray) -> None:
        """Add the record of the next batch.

        Parameters
        ----------
        document : mapping
            Anything that JSON can hold; ``batch`` is added.
        rows : ndarray of float32, shape (n, F)
        """
        whole = {"batch": len(self.documents), **document}
        data = np.ascontiguousarray(rows, dtype="<f4").tobytes()
        try:
            offset = self._append(whole, data)
            if time.monotonic() - self._synced > SYNC_EVERY:
                self.sync()
        except OSError as problem:
            raise os_problem(problem, self.path) from problem
        self.documents.append(whole)
        self.offsets.append(offset)

    def sync(self) -> None:
        """Make what was appended survive a power cut."""
        os.fsync(self._fd)
        self._synced = time.monotonic()

    def _append(self, document: Mapping[str, Any], rows: bytes) -> int:
        text = json.dumps(document, ensure_ascii=False).encode("utf-8", "backslashreplace")
        digest = hashlib.sha256(text + rows).digest()
        record = _HEAD.pack(len(text), len(rows), digest) + text + rows
        self._write(record, self._end)
        offset = self._end + _HEAD.size + len(text)
        self._end += len(record)
        return offset

    def _write(self, data: bytes, offset: int) -> None:
        view, done = memoryview(data), 0
        while done < len(view):
            done += os.pwrite(self._fd, view[done : done + (1 << 26)], offset + done)

    def rows_at(self, offsets: np.ndarray, columns: int) -> np.ndarray:
        """Rows that begin at `offsets` in the file, float32 (n, `columns`)."""
        found = np.empty((len(offsets), columns), dtype="<f4")
        step = 4 * columns
        # Neighbours in the file are read at once.
        breaks = np.flatnonzero(np.diff(offsets) != step) + 1
        for first, last in zip([0, *breaks.tolist()], [*breaks.tolist(), len(offsets)]):
            if first == last:
                continue
            view = found[first:last].reshape(-1).view(np.uint8).data
            done = 0
            while done < len(view):
                try:
                    count = os.preadv(self._fd, [view[done:]], int(offsets[first]) + done)
                except OSError as problem:
                    raise os_problem(problem, self.path, "read") from problem
                if count == 0:
                    raise DataError(f"The journal '{self.path}' was cut while in use.", "Run it again.")
                done += count
        return found

    def close(self) -> None:
        """Sync and close."""
        with contextlib.suppress(OSError):
            os.fsync(self._fd)
        with contextlib.suppress(OSError):
            os.close(self._fd)

    def remove(self) -> None:
        """Remove the file."""
        try:
            os.unlink(self.path)
        except OSError as problem:
            raise os_problem(problem, self.path, "remove") from problem
