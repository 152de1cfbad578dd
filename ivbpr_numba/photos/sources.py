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
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Protocol

from ivbpr_numba.errors import DataError, UsageError
from ivbpr_numba.photos.decoding import LARGEST_FILE
from ivbpr_numba.store.atomic import PathLike, os_problem

__all__ = ["Source", "open_source", "visible"]

_NO_UTF8 = "its name is not valid UTF-8"
_BROKEN = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError),
    *(EOFError, OSError, ValueError, KeyError, OverflowError),
)


class Source(Protocol):
    """A place with files; names are relative, with slashes."""

    kind: str
    sequential: bool  # files can be read fast only in the order of `position`

    def listing(self) -> tuple[list[str], list[tuple[str, str]]]:
        """Names of all visible files; and (name, reason) of what can't be read."""

    def size(self, name: str) -> int | str:
        """Bytes of a file, or the reason why it can't be read."""

    def position(self, name: str) -> int:
        """Where it lies, for sequential sources."""

    def read(self, names: Sequence[str]) -> Iterator[bytes | str]:
        """The content of each file, or the reason why it can't be read."""


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
        with open(path, "rb") as file:
            head = file.read(512)
    except FileNotFoundError:
        raise UsageError(f"The images '{path}' do not exist.", "Check the path.") from None
    except OSError as problem:
        raise os_problem(problem, path, "read") from problem
    if head[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return _Zip(path)
    for codec, mark in _MARKS.items():
        if head.startswith(mark):
            return _Tar(path, codec)
    if head[257:262] == b"ustar" or (head and tarfile.is_tarfile(path)):
        return _Tar(path, "plain")
    raise DataError(
        f"'{path}' is neither a folder of images nor a tar or zip archive.", "Name a folder, tar or zip."
    )


def visible(name: str) -> bool:
    """Whether no part of a path is hidden or made by a system for itself."""
    return not any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


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

    def listing(self) -> tuple[list[str], list[tuple[str, str]]]:
        # Links to folders aren't followed: they may lead in circles or to the whole disk.
        names, bad, folders = [], [], [""]
        while folders:
            inner = folders.pop()
            try:
                entries = list(os.scandir(self._path / inner))
            except OSError as problem:
                bad.append((f"{inner}/", f"the folder can't be read ({problem.strerror})"))
                continue
            for entry in entries:
                name = f"{inner}/{entry.name}" if inner else entry.name
                if not visible(entry.name):
                    continue
                odd = _printable_name(name)
                if odd is not None:
                    bad.append((odd, _NO_UTF8))
                elif entry.is_dir(follow_symlinks=False):
                    folders.append(name)
                elif entry.is_symlink() or entry.is_file():
                    names.append(name)
        return names, bad

    def size(self, name: str) -> int | str:
        try:
            found = os.stat(self._path / name)
        except (OSError, ValueError) as problem:
            return _why(problem)
        return found.st_size if stat.S_ISREG(found.st_mode) else "not a regular file"

    def position(self, name: str) -> int:
        return 0

    def read(self, names: Sequence[str]) -> Iterator[bytes | str]:
        for name in names:
            yield _read_file(self._path / name)


def _why(problem: Exception) -> str:
    number = getattr(problem, "errno", None)
    return {
        errno.ENOENT: "there is no such file",
        errno.ENOTDIR: "there is no such file",
        errno.EACCES: "it may not be read (permissions)",
        errno.ELOOP: "a symbolic link that leads in a circle",
    }.get(number or 0, f"it can't be read ({getattr(problem, 'strerror', None) or problem})")


def _read_file(path: Path) -> bytes | str:
    try:
        # Without O_NONBLOCK a pipe that has taken the place of a file would wait for a writer for ever.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(fd, "rb", buffering=0) as file:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode):
                return "not a regular file"
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
        try:
            with zipfile.ZipFile(path) as archive:
                # Of two members of one name the later one counts, as when they are unpacked.
                self._members = {
                    posixpath.normpath(info.filename): info
                    for info in archive.infolist()
                    if not info.is_dir()
                }
        except (*_BROKEN, NotImplementedError) as problem:
            raise _broken(path, problem) from None

    def listing(self) -> tuple[list[str], list[tuple[str, str]]]:
        return [name for name in self._members if visible(name)], []

    def size(self, name: str) -> int | str:
        info = self._members.get(name)
        if info is None:
            return "there is no such file in the archive"
        if stat.S_ISLNK(info.external_attr >> 16):
            return "a link inside the archive"
        return info.file_size

    def position(self, name: str) -> int:
        return 0

    def read(self, names: Sequence[str]) -> Iterator[bytes | str]:
        try:
            archive = zipfile.ZipFile(self._path)
        except _BROKEN as problem:
            raise _broken(self._path, problem) from None
        with archive:
            for name in names:
                yield self._one(archive, self._members[name])

    @staticmethod
    def _one(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes | str:
        if info.flag_bits & 1:
            return "encrypted in the archive"
        if info.file_size > LARGEST_FILE:
            return _too_large(info.file_size)
        try:
            with archive.open(info) as member:
                return member.read()
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
        self._members: dict[str, tuple[int, int] | str] = {}  # where its bytes are, or a reason
        self._bad: list[tuple[str, str]] = []
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
            name = posixpath.normpath(member.name).lstrip("/")
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
        # tarfile takes a damaged header, and the end of a file that was cut, for the end of the archive.
        if len(watched.last) < tarfile.BLOCKSIZE or watched.last.strip(b"\0"):
            raise tarfile.ReadError(f"it ends without an end mark after {len(self._members):,} files")

    def listing(self) -> tuple[list[str], list[tuple[str, str]]]:
        return [name for name in self._members if visible(name)], self._bad

    def size(self, name: str) -> int | str:
        found = self._members.get(name, "there is no such file in the archive")
        return found if isinstance(found, str) else found[1]

    def position(self, name: str) -> int:
        found = self._members[name]
        return 0 if isinstance(found, str) else found[0]

    def read(self, names: Sequence[str]) -> Iterator[bytes | str]:
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
