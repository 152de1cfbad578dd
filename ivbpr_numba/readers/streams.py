"""Bytes of one input file: plain, gzip or zstd by content, read once, decompressed in the background."""

from __future__ import annotations

import codecs
import hashlib
import os
import stat
import threading
import zlib
from collections.abc import Iterator
from queue import Full, Queue

from ivbpr_numba import expected
from ivbpr_numba.errors import DataError, IvbprError, parameter
from ivbpr_numba.readers.badlines import RECODE
from ivbpr_numba.store.atomic import PathLike, os_problem
from ivbpr_numba.store.writers import unreadable

__all__ = ["ByteStream", "Span", "Uncuttable", "is_utf8", "line_blocks"]

HEAD = 1 << 20  # bytes that are looked at to recognise the format
PIECE = 1 << 22  # bytes that the reading thread hands over at once
BLOCK = 1 << 17  # bytes of lines parsed at once: what becomes of them should fit into the CPU's cache
LONGEST_LINE = 1 << 24
_RAW = 1 << 20
# Four bytes of zstd may stand for 128 KiB: the size of a bite bounds what one call can return. Bites grow
# while the data are dense, and shrink when they are not.
_ZSTD_BITES = (1 << 8, 1 << 12)
_ZSTD_DENSE = 64
# Bytes that no text holds, whatever its encoding of one or two bytes a letter.
_CONTROLS = frozenset(range(32)) - frozenset(b"\t\n\v\f\r\x1b")
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_FOREIGN = {
    b"\x89HDF\r\n\x1a\n": (
        "HDF5",
        f"Purchases are text tables; feature files go to {parameter('features')}.",
    ),
    b"PK\x03\x04": ("a zip archive", "Unpack it first."),
    b"BZh": ("bzip2", "Unpack it, or compress with gzip or zstd."),
    b"\xfd7zXZ\x00": ("xz", "Unpack it, or compress with gzip or zstd."),
    codecs.BOM_UTF16_LE: ("UTF-16 text", "Convert it: iconv -f utf-16 -t utf-8."),
    codecs.BOM_UTF16_BE: ("UTF-16 text", "Convert it: iconv -f utf-16 -t utf-8."),
}


Span = tuple[int, int]  # bytes of a file, from the beginning of a line to the end of one


class Uncuttable(Exception):
    """A span of a file can't be read by itself, or not surely as it would be with what comes before it."""


class ByteStream:
    """An input file as decompressed bytes; a pipe will do, it is read once from front to end.

    Attributes
    ----------
    path : path
    name : str
        Its last part, for messages and records.
    size : int or None
        Bytes on disk; None for a pipe.
    done : int
        Bytes on disk that were read so far.
    lines : int
        Lines (in Parquet: rows) that were read so far.
    codec : str
        ``plain``, ``gzip`` or ``zstd``.
    head : bytes
        The first `HEAD` decompressed bytes (fewer at the end of the file), without byte-order mark.
    start : int
        Where the first line begins: behind a byte-order mark.
    span : (int, int) or None
        The bytes on disk that alone are read; see `only`.
    crc : int
        CRC-32 of a span, once it was read.

    Raises
    ------
    UsageError
        There is no such file, or its compression ends early because another process is writing it.
    EnvironmentProblem
        It may not be read.
    DataError
        Its compression is damaged or of another kind; on opening or while reading.
    """

    def __init__(self, path: PathLike) -> None:
        expected.path(path)
        self.path = path
        self.name = os.path.basename(os.fspath(path))
        self.done = 0
        self.lines = 0
        self.span: Span | None = None
        self.crc = 0
        self._sha = hashlib.sha256()
        try:
            self._file = open(path, "rb", buffering=0)
        except OSError as problem:
            raise os_problem(problem, path, "read") from problem
        try:
            self._begin()
        except BaseException:
            self.close()
            raise

    def _begin(self) -> None:
        """Find out about size and compression, and take the head."""
        try:
            status = os.fstat(self._file.fileno())
            self.size = status.st_size if stat.S_ISREG(status.st_mode) else None
            first = self._read()
        except OSError as problem:
            raise os_problem(problem, self.path, "read") from problem
        self.codec = "gzip" if first[:2] == _GZIP else "zstd" if first[:4] == _ZSTD else "plain"
        raw = self._raw(first)
        self._pieces = raw
        if self.codec != "plain":
            self._pieces = self._gunzip(raw) if self.codec == "gzip" else self._unzstd(raw)
        head = bytearray()
        for piece in self._pieces:
            head += piece
            if len(head) >= HEAD:
                break
        whole = bytes(head.removeprefix(codecs.BOM_UTF8))
        self.start = len(head) - len(whole)
        self.head, self._behind_head = whole[:HEAD], whole[HEAD:]
        for magic, (what, hint) in _FOREIGN.items():
            if self.head.startswith(magic):
                raise DataError(f"'{self.path}' is {what}.", hint)
        _refuse_other_encoding(self.head, self.path)

    @property
    def sha256(self) -> str:
        """Digest of the file as it lies on disk, once it was read to its end."""
        return self._sha.hexdigest()

    def blocks(self) -> Iterator[bytes]:
        """All decompressed bytes in pieces of about `PIECE`; a second thread reads and decompresses."""
        if self.span is None:
            yield self.head
            yield self._behind_head
        queue: Queue[bytes | BaseException | None] = Queue(maxsize=3)
        stop = threading.Event()
        worker = threading.Thread(target=self._fill, args=(queue, stop), daemon=True)
        worker.start()
        try:
            while (piece := queue.get()) is not None:
                if isinstance(piece, BaseException):
                    raise piece
                yield piece
        finally:
            stop.set()
            worker.join(timeout=2)  # a pipe may keep it waiting; it is a daemon
            self.close()

    def spans(self, about: int) -> Iterator[Span]:
        """Cut a plain file behind the first end of a line after every so many bytes; nothing is consumed."""
        begin, size = self.start, self.size or 0
        while begin < size:
            end = begin + about
            while end < size:
                data = self._at(end)
                ends = data.find(b"\n")
                end += ends + 1 if ends >= 0 else len(data) or size
                if ends >= 0:
                    break
            end = min(end, size)
            yield begin, end
            begin = end

    def _at(self, place: int) -> bytes:
        try:
            return os.pread(self._file.fileno(), 1 << 12, place)
        except OSError as problem:
            raise os_problem(problem, self.path, "read") from problem

    def only(self, span: Span) -> None:
        """Read nothing but a span of a plain file from now on; `head` stays that of the file."""
        self.span, self.done = span, 0
        self._pieces = self._spanned(*span)

    @property
    def begins(self) -> bool:
        """Whether what is read begins with the file."""
        return self.span is None or self.span[0] == self.start

    @property
    def ends(self) -> bool:
        """Whether what is read ends with the file."""
        return self.span is None or self.span[1] == self.size

    def _spanned(self, begin: int, end: int) -> Iterator[bytes]:
        self._file.seek(begin)
        while self.done < end - begin:
            try:
                data = self._file.read(min(_RAW, end - begin - self.done))
            except OSError as problem:
                raise os_problem(problem, self.path, "read") from problem
            if not data:
                raise Uncuttable(f"'{self.path}' became shorter")
            self.done += len(data)
            self.crc = zlib.crc32(data, self.crc)
            yield data

    def drain(self) -> None:
        """Read to the end for the digest's sake, where another library reads the content."""
        for _ in self._pieces:
            pass
        self.close()

    def close(self) -> None:
        """Close the file; `blocks` and `drain` do it at their end."""
        self._file.close()

    def __del__(self) -> None:
        # An input that was opened, but not read because another one was refused.
        if hasattr(self, "_file"):
            self._file.close()

    def _fill(self, queue: Queue[bytes | BaseException | None], stop: threading.Event) -> None:
        def put(piece: bytes | BaseException | None) -> None:
            while not stop.is_set():
                try:
                    return queue.put(piece, timeout=0.1)
                except Full:
                    continue

        waiting: list[bytes] = []
        try:
            for piece in self._pieces:
                waiting.append(piece)
                if sum(map(len, waiting)) >= PIECE:
                    put(b"".join(waiting))
                    waiting.clear()
                if stop.is_set():
                    return
            put(b"".join(waiting))
            put(None)
        except BaseException as problem:  # handed to the thread that reads the blocks
            put(problem)

    def _read(self) -> bytes:
        data = self._file.read(_RAW)
        self.done += len(data)
        self._sha.update(data)
        return data

    def _raw(self, first: bytes) -> Iterator[bytes]:
        data = first
        while data:
            yield data
            try:
                data = self._read()
            except OSError as problem:
                raise os_problem(problem, self.path, "read") from problem

    def _damaged(self, what: str) -> IvbprError:
        damaged = DataError(
            f"The {self.codec} data of '{self.path}' {what}.", "Fetch or make the file again."
        )
        return unreadable(self.path, damaged)

    def _gunzip(self, raw: Iterator[bytes]) -> Iterator[bytes]:
        member = zlib.decompressobj(wbits=31)
        fresh = True  # between members
        for data in raw:
            while data:
                if member.eof:
                    data = data.lstrip(b"\0")  # padding is allowed after a member
                    if not data:
                        break
                    member, fresh = zlib.decompressobj(wbits=31), True
                try:
                    piece = member.decompress(data, PIECE)
                except zlib.error as problem:
                    raise self._damaged(f"are damaged ({problem})") from None
                fresh = False
                data = member.unused_data if member.eof else member.unconsumed_tail
                yield piece
                # Output that did not fit may wait inside although all input is taken.
                while not data and not member.eof and len(piece) == PIECE:
                    piece = member.decompress(b"", PIECE)
                    yield piece
        if not member.eof and not fresh:
            raise self._damaged("end too early")

    def _unzstd(self, raw: Iterator[bytes]) -> Iterator[bytes]:
        import zstandard

        make = zstandard.ZstdDecompressor().decompressobj
        frame = make()
        size = _ZSTD_BITES[0]
        for data in raw:
            begin = 0
            while begin < len(data):
                if frame.eof:
                    frame = make()
                bite = data[begin : begin + size]
                try:
                    piece = frame.decompress(bite)
                except zstandard.ZstdError as problem:
                    raise self._damaged(f"are damaged ({problem})") from None
                begin += len(bite) - (len(frame.unused_data) if frame.eof else 0)
                size = min(2 * size, _ZSTD_BITES[1]) if len(piece) < _ZSTD_DENSE * size else _ZSTD_BITES[0]
                yield piece
        if not frame.eof:
            raise self._damaged("end too early")


def _refuse_other_encoding(head: bytes, path: PathLike) -> None:
    """Text of which most lines are not UTF-8 is not damaged, it is in another encoding."""
    try:
        head.decode()
        return
    except UnicodeDecodeError:
        pass
    if not _CONTROLS.isdisjoint(head):
        return  # no text at all: the readers say what it is not
    lines = head.split(b"\n")
    wrong = [
        number
        for number, line in enumerate(lines[:-1] if len(head) >= HEAD else lines, start=1)
        if not is_utf8(line)
    ]
    if 2 * len(wrong) > sum(1 for line in lines if line.strip()):
        raise DataError(
            f"'{path}', line {wrong[0]} is not UTF-8, nor are most of its lines: it has another encoding.",
            RECODE,
        )


def is_utf8(line: bytes) -> bool:
    """Whether these bytes are UTF-8."""
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def line_blocks(stream: ByteStream, too_long: list[int]) -> Iterator[tuple[int, bytes]]:
    r"""Whole lines of a stream, many at a time.

    Parameters
    ----------
    stream : ByteStream
    too_long : list of int
        Receives the numbers of lines above `LONGEST_LINE` bytes, which are left out (as empty lines).

    Yields
    ------
    first : int
        Number of the first line, from 1.
    block : bytes
        Lines separated by ``\n`` (also where the file has ``\r\n``), without the last ``\n``.
    """
    first, rest, skipping = 1, b"", False
    for piece in stream.blocks():
        if skipping:
            end = piece.find(b"\n")
            if end < 0:
                continue
            piece, skipping = piece[end:], False
        begin = 0
        while (end := _cut(piece, begin)) >= 0:
            block = rest + piece[begin:end]
            begin, rest = end + 1, b""
            if stream.span is not None and len(block) > LONGEST_LINE:
                raise Uncuttable("whether such a line is too long depends on where reading begins")
            after = first + block.count(b"\n") + 1
            stream.lines = after - 1
            yield first, _unix(block)
            first = after
        rest += piece[begin:]
        if len(rest) > LONGEST_LINE:
            if stream.span is not None:
                raise Uncuttable("a line that is too long")
            too_long.append(first)
            rest, skipping = b"", True
    if rest:
        stream.lines = first
        yield first, _unix(rest)


def _cut(piece: bytes, begin: int) -> int:
    """Position of the line end that closes a block of about `BLOCK` bytes, −1 where there is none."""
    end = piece.rfind(b"\n", begin, begin + BLOCK)
    return end if end >= 0 else piece.find(b"\n", begin + BLOCK)


def _unix(block: bytes) -> bytes:
    if b"\r" not in block:
        return block
    return block.replace(b"\r\n", b"\n").removesuffix(b"\r")
