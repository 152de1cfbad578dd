"""Where image files lie: a folder, a tar or a zip; listing and reading, nothing about images."""

from __future__ import annotations

import bz2
import errno
import gzip
import lzma
import os
import posixpath
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol

from ivbpr_numba.errors import DataError, UsageError
from ivbpr_numba.photos.decoding import LARGEST_FILE
from ivbpr_numba.photos.kinds import ENDINGS, START
from ivbpr_numba.photos.zip_names import zip_name
from ivbpr_numba.store.atomic import PathLike, os_problem

__all__ = ["Listing", "Source", "archive_kind", "open_source", "visible"]

_NO_UTF8 = "its name is not valid UTF-8"
_BROKEN = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError),
    *(EOFError, OSError, ValueError, KeyError, OverflowError),
)


@dataclass
class Listing:
    """What a place holds.

    Attributes
    ----------
    names : list of str
        All visible files.
    bad : list of (str, str)
        Names of what can't be read, and why.
    others : list of (str, str)
        Names of what is not looked at, and its kind: hidden files (a hidden folder counts once), links to
        folders, pipes and the like.
    """

    names: list[str] = field(default_factory=list)
    bad: list[tuple[str, str]] = field(default_factory=list)
    others: list[tuple[str, str]] = field(default_factory=list)


class Source(Protocol):
    """A place with files; names are relative, with slashes.

    Attributes
    ----------
    kind : str
    sequential : bool
        Files can be read fast only in the order of `position`.
    notes : list of str
        What might surprise about its names, for people.
    """

    kind: str
    sequential: bool
    notes: list[str]

    def listing(self) -> Listing:
        """Everything in it."""

    def starts(self, names: Sequence[str]) -> Iterator[bytes]:
        """The first bytes of each file, as far as they tell what it is; empty where it can't be read.

        Of files whose names end like an image's they may be empty.
        """

    def size(self, name: str) -> int | str:
        """Bytes of a file, or the reason why it can't be read."""

    def position(self, name: str) -> int:
        """Where it lies, for sequential sources."""

    def read(self, names: Sequence[str]) -> Generator[bytes | str, None, None]:
        """The content of each file, or the reason why it can't be read; close it."""

    def hold(self) -> None:
        """Keep open from now on what takes time to open."""


def open_source(path: PathLike) -> Source:
    """Find out what `path` is.

    Raises
    ------
    UsageError
        There is no such file or folder, or it is a special file.
    DataError
        A file that is neither tar nor zip, or is damaged.
    EnvironmentProblem
        It may not be read.
    """
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            os.scandir(path).close()
            return _Folder(Path(path))
        if not stat.S_ISREG(mode):
            raise UsageError(
                f"'{path}' is neither a folder nor a regular file.", "Name a folder, tar or zip."
            )
        kind = archive_kind(path)
    except FileNotFoundError:
        raise UsageError(f"The images '{path}' do not exist.", "Check the path.") from None
    except OSError as problem:
        raise os_problem(problem, path, "read") from problem
    if kind == "zip":
        return _Zip(path)
    if kind is not None:
        return _Tar(path, kind)
    raise DataError(
        f"'{path}' is neither a folder of images nor a tar or zip archive.", "Name a folder, tar or zip."
    )


def archive_kind(path: PathLike) -> str | None:
    """``zip``, or how a tar is compressed (``plain`` where it isn't), by the content; None for other files.

    Raises
    ------
    OSError
        The file can't be read.
    """
    with open(path, "rb") as file:
        head = file.read(512)
    if head[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return "zip"
    for codec, mark in _MARKS.items():
        if head.startswith(mark):
            return codec
    is_tar = head[257:262] == b"ustar" or (bool(head) and tarfile.is_tarfile(path))
    return "plain" if is_tar else None


def visible(name: str) -> bool:
    """Whether no part of a path is hidden or made by a system for itself."""
    return _hidden_part(name) is None


def _hidden_part(name: str) -> str | None:
    """A path up to its first hidden part; None where there is none."""
    parts = name.split("/")
    for k, part in enumerate(parts):
        if part == "__MACOSX" or (part.startswith(".") and part not in (".", "..")):
            return "/".join(parts[: k + 1])
    return None


def _listing(names: Iterable[str], bad: Sequence[tuple[str, str]] = ()) -> Listing:
    """Of the members of an archive."""
    found = Listing(bad=list(bad))
    hidden: dict[str, None] = {}
    for name in names:
        part = _hidden_part(name)
        if part is None:
            found.names.append(name)
        else:
            hidden[part] = None
    found.others = [(name, "hidden") for name in hidden]
    return found


def _inside(name: str) -> str:
    """The path of an archive's member as that of a file in a folder."""
    return posixpath.normpath(name).lstrip("/")


def _printable_name(name: str) -> str | None:
    """A name with what is no UTF-8 escaped; None where it is all right."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return None


class _Folder:
    kind = "folder"
    sequential = False

    def __init__(self, path: Path) -> None:
        self._path = path
        self.notes: list[str] = []

    def listing(self) -> Listing:
        # Links to folders aren't followed: they may lead in circles or to the whole disk.
        found, folders = Listing(), [""]
        while folders:
            inner = folders.pop()
            try:
                entries = list(os.scandir(self._path / inner))
            except OSError as problem:
                found.bad.append((f"{inner}/", f"the folder can't be read ({problem.strerror})"))
                continue
            for entry in entries:
                name = f"{inner}/{entry.name}" if inner else entry.name
                odd = _printable_name(name)
                if not visible(entry.name):
                    found.others.append((odd or name, "hidden"))
                elif odd is not None:
                    found.bad.append((odd, _NO_UTF8))
                elif entry.is_dir(follow_symlinks=False):
                    folders.append(name)
                elif entry.is_symlink() and os.path.isdir(entry.path):
                    found.others.append((name, "link to a folder"))
                elif entry.is_symlink() or entry.is_file():
                    found.names.append(name)
                else:
                    found.others.append((name, "no regular file"))
        return found

    def starts(self, names: Sequence[str]) -> Iterator[bytes]:
        for name in names:
            content = _read_file(self._path / name, START)
            yield content if isinstance(content, bytes) else b""

    def size(self, name: str) -> int | str:
        try:
            found = os.stat(self._path / name)
        except (OSError, ValueError) as problem:
            return _why(problem)
        return found.st_size if stat.S_ISREG(found.st_mode) else "not a regular file"

    def position(self, name: str) -> int:
        return 0

    def read(self, names: Sequence[str]) -> Generator[bytes | str, None, None]:
        for name in names:
            yield _read_file(self._path / name)

    def hold(self) -> None:
        """Nothing takes time to open."""


def _why(problem: Exception) -> str:
    number = getattr(problem, "errno", None)
    return {
        errno.ENOENT: "there is no such file",
        errno.ENOTDIR: "there is no such file",
        errno.EACCES: "it may not be read (permissions)",
        errno.ELOOP: "a symbolic link that leads in a circle",
    }.get(number or 0, f"it can't be read ({getattr(problem, 'strerror', None) or problem})")


def _read_file(path: Path, most: int | None = None) -> bytes | str:
    """A whole file, or its first `most` bytes; or why it can't be read."""
    try:
        # Without O_NONBLOCK a pipe that has taken the place of a file would wait for a writer for ever.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(fd, "rb", buffering=0) as file:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode):
                return "not a regular file"
            if most is not None:
                return file.read(most)
            if found.st_size > LARGEST_FILE:
                return _too_large(found.st_size)
            return file.readall()
    except (OSError, ValueError) as problem:
        return _why(problem)


def _too_large(size: int) -> str:
    return f"a file of {size:,} bytes, over the limit of {LARGEST_FILE >> 20} MiB"


class _Zip:
    kind = "zip"
    sequential = False

    def __init__(self, path: PathLike) -> None:
        self._path = path
        self.notes: list[str] = []
        self._members: dict[str, zipfile.ZipInfo] = {}
        self._held: zipfile.ZipFile | None = None  # its list of members is read at every opening
        guessed = []
        try:
            with zipfile.ZipFile(path) as archive:
                # Of two members of one name the later one counts, as when they are unpacked.
                for info in archive.infolist():
                    written, sure = zip_name(info)
                    if written.endswith("/"):
                        continue
                    name = _inside(written)
                    self._members[name] = info
                    if not sure:
                        guessed.append(name)
        except (*_BROKEN, NotImplementedError) as problem:
            raise _broken(path, problem) from None
        if guessed:
            self.notes.append(
                f"{len(guessed):,} names in '{path}' don't say which letters they are written in and were "
                f"read as code page 437, the rule for zip; '{guessed[0]}' for one."
            )

    def listing(self) -> Listing:
        return _listing(self._members)

    def starts(self, names: Sequence[str]) -> Iterator[bytes]:
        with self._opened() as archive:
            for name in names:
                content = self._one(archive, self._members[name], START)
                yield content if isinstance(content, bytes) else b""

    def size(self, name: str) -> int | str:
        info = self._members.get(name)
        if info is None:
            return "there is no such file in the archive"
        if stat.S_ISLNK(info.external_attr >> 16):
            return "a link inside the archive"
        return info.file_size

    def position(self, name: str) -> int:
        return 0

    def read(self, names: Sequence[str]) -> Generator[bytes | str, None, None]:
        if self._held is not None:
            for name in names:
                yield self._one(self._held, self._members[name])
            return
        with self._opened() as archive:
            for name in names:
                yield self._one(archive, self._members[name])

    def hold(self) -> None:
        self._held = self._opened()

    def _opened(self) -> zipfile.ZipFile:
        try:
            return zipfile.ZipFile(self._path)
        except _BROKEN as problem:
            raise _broken(self._path, problem) from None

    @staticmethod
    def _one(archive: zipfile.ZipFile, info: zipfile.ZipInfo, most: int = -1) -> bytes | str:
        if info.flag_bits & 1:
            return "encrypted in the archive"
        if most < 0 and info.file_size > LARGEST_FILE:
            return _too_large(info.file_size)
        try:
            with archive.open(info) as member:
                return member.read(most)
        except NotImplementedError as problem:
            return f"packed in a way that can't be read ({problem})"
        except (*_BROKEN, RuntimeError) as problem:
            return f"damaged in the archive ({problem})"


_MARKS = {"gzip": b"\x1f\x8b", "bzip2": b"BZh", "xz": b"\xfd7zXZ\x00"}


def _unpacked(path: PathLike, codec: str) -> IO[bytes]:
    opener: Any = {"plain": open, "gzip": gzip.open, "bzip2": bz2.open, "xz": lzma.open}[codec]
    file: IO[bytes] = opener(path, "rb")
    return file


def _broken(path: PathLike, problem: Exception) -> DataError:
    text = " ".join(str(problem).split()) or type(problem).__name__
    return DataError(f"The archive '{path}' is damaged: {text}.", "Fetch or pack it again.")


class _Watched:
    """A file that remembers what was read last."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.last = b""
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        self.last = self._file.read(size)
        return self.last


class _Tar:
    def __init__(self, path: PathLike, codec: str) -> None:
        self._path = path
        self._codec = codec
        self.kind = "tar" if codec == "plain" else f"tar, {codec}"
        self.sequential = codec != "plain"
        self.notes: list[str] = []
        self._starts: dict[
            str, bytes
        ] = {}  # of what doesn't end like an image: a compressed file is read once
        self._members: dict[str, tuple[int, int] | str] = {}  # where its bytes are, or a reason
        self._bad: list[tuple[str, str]] = []
        self._held: IO[bytes] | None = None
        try:
            with _unpacked(path, codec) as file:
                self._scan(file)
                while file.read(1 << 20):  # reaches the checksum at the very end
                    pass
        except _BROKEN as problem:
            raise _broken(path, problem) from None

    def _scan(self, file: IO[bytes]) -> None:
        watched: Any = _Watched(file)
        archive: Any = tarfile.TarFile(fileobj=watched, mode="r", encoding="utf-8", errors="surrogateescape")
        while (member := archive.next()) is not None:
            archive.members.clear()  # otherwise all headers are kept
            name = _inside(member.name)
            if member.isdir():
                continue
            odd = _printable_name(name)
            if odd is not None:
                self._bad.append((odd, _NO_UTF8))
            elif member.issym() or member.islnk():
                self._members[name] = "a link inside the archive"
            elif not member.isreg() or member.issparse():
                self._members[name] = "not a regular file"
            else:
                self._members[name] = (member.offset_data, member.size)
                if not name.lower().endswith(ENDINGS):
                    file.seek(member.offset_data)
                    self._starts[name] = file.read(min(START, member.size))
        # tarfile takes a damaged header, and the end of a file that was cut, for the end of the archive.
        if len(watched.last) < tarfile.BLOCKSIZE or watched.last.strip(b"\0"):
            raise tarfile.ReadError(f"it ends without an end mark after {len(self._members):,} files")

    def listing(self) -> Listing:
        return _listing(self._members, self._bad)

    def starts(self, names: Sequence[str]) -> Iterator[bytes]:
        for name in names:
            yield self._starts.get(name, b"")

    def size(self, name: str) -> int | str:
        found = self._members.get(name, "there is no such file in the archive")
        return found if isinstance(found, str) else found[1]

    def position(self, name: str) -> int:
        found = self._members[name]
        return 0 if isinstance(found, str) else found[0]

    def hold(self) -> None:
        """Unpack a compressed tar to a temporary file without a name; a plain one is opened at once."""
        if self._held is not None or not self.sequential:
            return
        held = tempfile.TemporaryFile(prefix="ivbpr-")
        try:
            with _unpacked(self._path, self._codec) as file:
                while piece := file.read(1 << 20):
                    self._write(held, piece)
        except _BROKEN as problem:
            held.close()
            raise _broken(self._path, problem) from None
        except BaseException:
            held.close()
            raise
        self._held, self.sequential = held, False

    @staticmethod
    def _write(held: IO[bytes], piece: bytes) -> None:
        try:
            held.write(piece)
            held.flush()
        except OSError as problem:
            raise os_problem(problem, tempfile.gettempdir(), "write") from problem

    def read(self, names: Sequence[str]) -> Generator[bytes | str, None, None]:
        if self._held is not None:
            for name in names:
                found = self._members[name]
                if isinstance(found, tuple) and found[1] <= LARGEST_FILE:
                    yield os.pread(self._held.fileno(), found[1], found[0])
                else:
                    yield found if isinstance(found, str) else _too_large(found[1])
            return
        before, content = "", b""
        try:
            with _unpacked(self._path, self._codec) as file:
                for name in names:
                    found = self._members[name]
                    if isinstance(found, str):
                        yield found
                        continue
                    if found[1] > LARGEST_FILE:
                        yield _too_large(found[1])
                        continue
                    if name != before:
                        file.seek(found[0])
                        before, content = name, file.read(found[1])
                        if len(content) < found[1]:
                            raise tarfile.ReadError("it has become shorter since it was listed")
                    yield content
        except _BROKEN as problem:
            raise _broken(self._path, problem) from None
