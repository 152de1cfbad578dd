"""The "simple" text of the visual-BPR authors: ``user item rating unixtime nwords words…``."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from ivbpr_numba.readers.badlines import BadLines
from ivbpr_numba.readers.delimited import decode_lines
from ivbpr_numba.readers.rows import Reader, Rows
from ivbpr_numba.readers.streams import ByteStream, line_blocks

__all__ = ["simple"]

_COLUMNS = {"user": "1", "item": "2", "time": "4"}


def simple(stream: ByteStream) -> Reader | None:
    """Recognise the format by its word counts; None when most of the first lines have none."""
    lines = stream.head.decode("utf-8", "replace").replace("\r\n", "\n").split("\n")[:200]
    if len(lines) > 1:
        lines = lines[:-1]  # perhaps cut
    lines = [line for line in lines if line.strip()]
    fitting = sum(not _wrong(_fields(line)) for line in lines)
    if not lines or fitting / len(lines) < 0.5:
        return None
    why = "lines of user, item, rating, unix time and a word count that is right"
    return Reader(stream, "simple", "reviews", why, _COLUMNS, partial(_read, stream))


def _fields(line: str) -> list[str]:
    """Fields between blanks and tabs; other white space may be part of a word."""
    fields = line.replace("\t", " ").split(" ")
    return [field for field in fields if field] if "" in fields else fields


def _wrong(fields: list[str]) -> str:
    """What keeps a line from being one of these; empty when nothing does."""
    if len(fields) < 5:
        return "fewer than 5 fields"
    try:
        float(fields[2])
    except ValueError:
        return "a rating that is no number"
    if not (fields[4].isascii() and fields[4].isdecimal()):
        return "a word count that is no number"
    if int(fields[4][:9]) != len(fields) - 5:
        return "a wrong number of words"
    return ""


def _read(stream: ByteStream, bad: BadLines) -> Iterator[Rows]:
    too_long: list[int] = []
    for first, block in line_blocks(stream, too_long):
        bad.add_all(too_long, "too long")
        too_long.clear()
        numbers, kept = [], []
        for number, line in enumerate(decode_lines(first, block, bad).split("\n"), start=first):
            fields = _fields(line)
            reason = _wrong(fields)
            if not reason:
                numbers.append(number)
                kept.append(fields[:4])
            elif fields:
                bad.add(number, reason)
        if kept:
            users, items, _, times = map(list, zip(*kept))
            yield Rows(np.array(numbers, dtype=np.int64), users, items, times)
    bad.add_all(too_long, "too long")
