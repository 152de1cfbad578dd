"""JSON lines, and the Python-literal lines of the 2014 Amazon files, as records with their line numbers."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import orjson

from ivbpr_numba.readers.badlines import NOT_UTF8, BadLines
from ivbpr_numba.readers.streams import ByteStream, is_utf8, line_blocks

__all__ = ["column", "first_objects", "json_records", "looks_like_json", "parse_literal"]

Record = dict[str, Any]
_LONGEST_LITERAL = 1 << 20  # the parser of Python literals takes some hundred times this
BROKEN = "broken JSON"


def parse_literal(line: bytes) -> Any:
    """Read a Python literal without evaluating it.

    Lines without double quotes and backslashes use single quotes as delimiters only, so they become JSON by
    exchanging the quotes, which is many times faster to read; everything else takes ``ast.literal_eval``.

    Raises
    ------
    ValueError
        When the line is no literal.
    """
    if b'"' not in line and b"\\" not in line:
        try:
            return orjson.loads(line.replace(b"'", b'"'))
        except orjson.JSONDecodeError:
            pass  # True, None, tuples: only the slower parser knows them
    if len(line) > _LONGEST_LITERAL:
        raise ValueError("too long")
    try:
        return ast.literal_eval(line.decode().strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as problem:
        raise ValueError("no literal") from problem


def looks_like_json(head: bytes) -> bool:
    """Whether most of the first lines begin like an object (or the file like an array)."""
    lines = [line.lstrip() for line in head.split(b"\n")[:200]]
    lines = [line for line in lines if line]
    objects = sum(line.startswith(b"{") for line in lines)
    return head.lstrip().startswith(b"[") or 2 * objects > len(lines)


def first_objects(head: bytes, literal: bool = True, count: int = 200) -> list[Record]:
    """The objects among the first lines of a file, for a look at them; the end of a cut head is left out."""
    lines = head.split(b"\n")[: 2 * count]
    found: list[Record] = []
    with _quiet():
        for line in lines:
            try:
                record = _parse(line, literal)
            except ValueError:
                continue
            if isinstance(record, dict):
                found.append(record)
            if len(found) == count:
                break
    return found


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the warnings that Python's parser prints about odd literals."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def _parse(line: bytes, literal: bool) -> Any:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        if not literal:
            raise
        return parse_literal(line)


def json_records(
    stream: ByteStream, bad: BadLines, literal: bool = False
) -> Iterator[tuple[np.ndarray, list[Record]]]:
    """Objects of a file with one object a line, block by block; empty lines are passed over.

    Parameters
    ----------
    stream : ByteStream
    bad : BadLines
    literal : bool
        Lines that are no JSON may be Python literals.

    Yields
    ------
    lines : (n,) int64
    records : list of n dicts
    """
    too_long: list[int] = []
    for first, block in line_blocks(stream, too_long):
        lines = block.split(b"\n")
        numbers = np.arange(first, first + len(lines))
        try:
            records = list(map(orjson.loads, lines))
        except orjson.JSONDecodeError:
            with _quiet():
                numbers, records = _parse_one_by_one(first, lines, literal, bad)
        if set(map(type, records)) - {dict}:
            for k, record in enumerate(records):
                if not isinstance(record, dict):
                    bad.add(int(numbers[k]), "not a JSON object")
            good = [k for k, record in enumerate(records) if isinstance(record, dict)]
            numbers, records = numbers[good], [records[k] for k in good]
        bad.add_all(too_long, "too long")
        too_long.clear()
        if records:
            yield numbers, records
    bad.add_all(too_long, "too long")


def _parse_one_by_one(
    first: int, lines: list[bytes], literal: bool, bad: BadLines
) -> tuple[np.ndarray, list[Any]]:
    numbers, records = [], []
    for number, line in enumerate(lines, start=first):
        try:
            record = _parse(line, literal)
        except ValueError:
            if line.strip():
                bad.add(number, BROKEN if is_utf8(line) else NOT_UTF8)
            continue
        numbers.append(number)
        records.append(record)
    return np.array(numbers, dtype=np.int64), records


def column(records: list[Record], key: str) -> list[Any]:
    """One value a record, None where it has no such key."""
    try:
        return [record[key] for record in records]
    except KeyError:
        return [record.get(key) for record in records]
