"""Small text files of users, whole: lists of ids, configurations, documents."""

from __future__ import annotations

import re

from ivbpr_numba.errors import DataError
from ivbpr_numba.readers.streams import ByteStream
from ivbpr_numba.store.atomic import PathLike

__all__ = ["read_lines", "read_text"]


def read_text(path: PathLike) -> str:
    """The text of a UTF-8 file, plain, gzip or zstd, without byte-order mark.

    Raises
    ------
    UsageError
        There is no such file.
    EnvironmentProblem
        It may not be read.
    DataError
        It is not UTF-8 (the line is named), or its compression is damaged.
    """
    data = b"".join(ByteStream(path).blocks())
    try:
        return data.decode()
    except UnicodeDecodeError as problem:
        line = data.count(b"\n", 0, problem.start) + 1
        raise DataError(
            f"'{path}', line {line:,} is not UTF-8 ({problem.reason}).",
            "Save the file as UTF-8, or mend that line.",
        ) from None


def read_lines(path: PathLike) -> list[str]:
    r"""The lines of such a file without their ends (``\n``, ``\r\n`` or ``\r``); see `read_text`."""
    lines = re.split("\r\n|\n|\r", read_text(path))
    return lines if lines[-1] else lines[:-1]
