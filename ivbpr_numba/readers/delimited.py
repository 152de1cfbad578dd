"""Delimited text (CSV, TSV and relatives) as records with the numbers of their lines."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from io import StringIO
from itertools import chain

import numpy as np

from ivbpr_numba.readers.badlines import NOT_UTF8, BadLines
from ivbpr_numba.readers.streams import ByteStream, Uncuttable, line_blocks

__all__ = ["DELIMITERS", "columns", "decode_lines", "delimiter_of", "first_records"]

DELIMITERS = {"\t": "TSV", ",": "CSV", ";": "CSV with semicolons", "|": "CSV with bars"}
# A line of its own: an open quote swallows it, so its absence betrays one.
_SENTINEL = "\x1e\n"

Record = list[str]


def first_records(head: bytes, delimiter: str, count: int = 200) -> list[Record]:
    """The first records of a file, for a look at them; the last one of a cut head is left out."""
    text = head.decode("utf-8", "replace").replace("\r\n", "\n")
    lines = text.split("\n")[: 10 * count]
    whole = lines[:-1] if len(lines) > 1 and not text.endswith("\n") else lines
    found: list[Record] = []
    try:
        for record in csv.reader((line + "\n" for line in whole), delimiter=delimiter):
            if record:
                found.append(record)
            if len(found) == count:
                break
    except csv.Error:
        pass  # what was read so far is enough to look at
    return found


def delimiter_of(head: bytes) -> str | None:
    """The delimiter that cuts the first records into equally many fields, two or more."""
    best, best_rank = None, (0.0, 0)
    for delimiter in DELIMITERS:
        widths = [len(record) for record in first_records(head, delimiter)]
        if widths and widths[0] > 1:
            agreeing = sum(width == widths[0] for width in widths) / len(widths)
            rank = (round(agreeing, 1), widths[0])
            if rank > best_rank:
                best, best_rank = delimiter, rank
    return best


def columns(
    stream: ByteStream, delimiter: str, width: int, positions: Sequence[int], bad: BadLines, skip: int = 0
) -> Iterator[tuple[np.ndarray, list[list[str]]]]:
    """Some fields of all records of `width` fields, block by block.

    Quotes work as in the standard ``csv`` module: a quoted field may hold delimiters, line ends and doubled
    quotes. A quote that is never closed costs its own line only.

    Parameters
    ----------
    stream : ByteStream
    delimiter : str
    width : int
        Records with another number of fields are bad lines; empty lines are passed over.
    positions : sequence of int
        Of the fields wanted, from 0.
    bad : BadLines
    skip : int
        Records at the beginning to leave out (a header).

    Yields
    ------
    lines : (n,) int64
        Number of the line on which each record starts.
    values : list of lists of n texts
        One list a position.
    """
    if not stream.begins:
        skip = 0  # the header lies before
    waiting = ""  # lines of a record whose end has not come yet
    start = 1
    too_long: list[int] = []
    for first, block in line_blocks(stream, too_long):
        bad.add_all(too_long, "too long")
        too_long.clear()
        text = decode_lines(first, block, bad)
        if not waiting and not skip and _is_plain(text, delimiter, width):
            fields = text.replace("\n", delimiter).split(delimiter)
            yield (
                np.arange(first, first + len(fields) // width),
                [fields[position::width] for position in positions],
            )
            continue
        if waiting:
            text, first = waiting + text, start
        numbers, rows, waiting = _parse(first, text, delimiter, bad, final=False)
        start = first + text.count("\n") + 1 - waiting.count("\n")
        numbers, rows, skip = _checked(numbers, rows, width, bad, skip)
        if rows:
            yield numbers, [[row[position] for row in rows] for position in positions]
    if (waiting or skip) and not stream.ends:
        raise Uncuttable("a record, or the header, goes on behind the end of the span")
    if waiting:
        numbers, rows, _ = _parse(start, waiting.removesuffix("\n"), delimiter, bad, final=True)
        numbers, rows, _ = _checked(numbers, rows, width, bad, skip)
        if rows:
            yield numbers, [[row[position] for row in rows] for position in positions]
    bad.add_all(too_long, "too long")


def _is_plain(text: str, delimiter: str, width: int) -> bool:
    """Whether there is no quote, no lone carriage return, and every line has `width` fields."""
    if '"' in text or "\r" in text:
        return False
    data = np.frombuffer(text.encode(), np.uint8)  # the marks are ASCII, in UTF-8 too
    marks = data[(data == ord("\n")) | (data == ord(delimiter))]
    if width < 2 or (len(marks) + 1) % width:
        return False
    ends = np.arange(len(marks)) % width == width - 1
    return bool(np.array_equal(marks == ord("\n"), ends))


def decode_lines(first: int, block: bytes, bad: BadLines) -> str:
    """Text of a block of lines; lines that are not UTF-8 are bad and become empty."""
    try:
        return block.decode()
    except UnicodeDecodeError:
        lines = []
        for number, line in enumerate(block.split(b"\n"), start=first):
            try:
                lines.append(line.decode())
            except UnicodeDecodeError:
                bad.add(number, NOT_UTF8)
                lines.append("")
        return "\n".join(lines)


def _checked(
    numbers: np.ndarray, rows: list[Record], width: int, bad: BadLines, skip: int
) -> tuple[np.ndarray, list[Record], int]:
    """Leave out records of another width and those to be skipped; how many are still to be skipped."""
    if set(map(len, rows)) - {width}:
        good = []
        for k, row in enumerate(rows):
            if len(row) == width:
                good.append(k)
            elif row not in ([], [""]):
                bad.add(int(numbers[k]), f"not {width} fields")
        numbers, rows = numbers[good], [rows[k] for k in good]
    cut = min(skip, len(rows))
    return numbers[cut:], rows[cut:], skip - cut


def _parse(
    first: int, text: str, delimiter: str, bad: BadLines, final: bool
) -> tuple[np.ndarray, list[Record], str]:
    """Cut the lines of `text`; returns line numbers, records, and the lines of an unfinished record."""
    if '"' not in text and "\r" not in text:
        rows = [line.split(delimiter) for line in text.split("\n")]
        return np.arange(first, first + len(rows)), rows, ""
    text += "\n"
    n_lines = text.count("\n")
    try:
        rows = list(csv.reader(chain(StringIO(text, newline="\n"), (_SENTINEL,)), delimiter=delimiter))
        if len(rows) == n_lines + 1:  # every line is a record, and the last one is closed
            return np.arange(first, first + n_lines), rows[:-1], ""
    except csv.Error:
        pass  # some line is bad: find it below
    return _parse_one_by_one(first, text.split("\n")[:-1], delimiter, bad, final)


def _parse_one_by_one(
    first: int, lines: list[str], delimiter: str, bad: BadLines, final: bool
) -> tuple[np.ndarray, list[Record], str]:
    numbers: list[int] = []
    rows: list[Record] = []
    begin = 0
    while begin < len(lines):
        source = chain((line + "\n" for line in lines[begin:]), (_SENTINEL,))
        reader = csv.reader(source, delimiter=delimiter)
        before = 0
        try:
            for row in reader:
                if begin + reader.line_num > len(lines):  # it reached for the sentinel
                    break
                numbers.append(first + begin + before)
                rows.append(row)
                before = reader.line_num
            begin += before
            if begin == len(lines):
                break
            if not final:
                return np.array(numbers, dtype=np.int64), rows, "\n".join(lines[begin:]) + "\n"
            bad.add(first + begin, "a quote is never closed")
        except csv.Error as problem:
            begin += before
            endless = "field limit" in str(problem)
            bad.add(
                first + begin,
                "a quote is never closed, or a field is too long" if endless else "broken quoting",
            )
        begin += 1
    return np.array(numbers, dtype=np.int64), rows, ""
