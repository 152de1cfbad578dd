"""Reviews and ratings of the three Amazon releases (2014, 2018, 2023)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Any

from ivbpr_numba.errors import DataError, parameter
from ivbpr_numba.readers import delimited, jsonl
from ivbpr_numba.readers.badlines import BadLines
from ivbpr_numba.readers.rows import Reader, Rows, matching
from ivbpr_numba.readers.streams import ByteStream
from ivbpr_numba.readers.times import parse_times, settle_times

__all__ = ["LOOKS_LIKE_ITEM", "LOOKS_LIKE_USER", "ratings", "reviews"]

# Ten characters: B and nine more, or an ISBN. Users begin with A and have longer names.
LOOKS_LIKE_ITEM = re.compile(r"B[0-9A-Z]{9}|[0-9]{9}[0-9X]", re.ASCII).fullmatch
LOOKS_LIKE_USER = re.compile(r"A[0-9A-Z]{10,35}", re.ASCII).fullmatch
_MOSTLY = 0.8
_OLD = {"user": "reviewerID", "item": "asin", "time": "unixReviewTime"}
_NEW = {"user": "user_id", "item": "parent_asin", "time": "timestamp"}
_ONLY_2018 = ("verified", "style", "vote", "image")
_ORDER = {
    "amazon-2014": {"user": "1", "item": "2", "time": "4"},
    "amazon-2018": {"user": "2", "item": "1", "time": "4"},
    "amazon-2023": {"user": "1", "item": "2", "time": "4"},
}
_HEADER_2023 = ["user_id", "parent_asin", "rating", "timestamp"]


def reviews(stream: ByteStream, declared: str | None) -> Reader | None:
    """Recognise reviews, one object a line; None when the first lines are something else.

    Raises
    ------
    DataError
        They are reviews of another release than `declared`, or metadata.
    """
    objects = jsonl.first_objects(stream.head)
    if not objects:
        return None

    def share(*keys: str) -> float:
        return sum(all(key in record for key in keys) for record in objects) / len(objects)

    if share("user_id", "parent_asin", "timestamp") > 0.5:
        source, columns = "amazon-2023", _NEW
        why = "objects with user_id, parent_asin and timestamp"
    elif share("reviewerID", "asin") > 0.5:
        columns = _OLD
        extra = next((key for key in _ONLY_2018 if any(key in record for record in objects)), None)
        source = "amazon-2018" if extra else "amazon-2014"
        why = "objects with reviewerID and asin" + (f", and {extra}, which 2014 has not" if extra else "")
        if declared in ("amazon-2014", "amazon-2018"):  # the same keys
            source = declared
    elif share("asin") > 0.5 or share("parent_asin") > 0.5:
        raise DataError(
            f"'{stream.path}' describes items (metadata), it holds no reviews.",
            f"Give it with {parameter('meta')}, and the reviews as input.",
        )
    else:
        return None
    _agree(stream, declared, source, "reviews", why)
    times = [record.get(columns["time"]) for record in objects]
    if declared in ("amazon-2014", "amazon-2018"):
        _refuse_finer_units(stream, declared, times)
    read = partial(_read_reviews, stream, columns)
    return Reader(stream, source, "reviews", why, columns, read)


def _read_reviews(stream: ByteStream, columns: dict[str, str], bad: BadLines) -> Iterator[Rows]:
    user, item, time = columns["user"], columns["item"], columns["time"]
    for lines, records in jsonl.json_records(stream, bad, literal=columns is _OLD):
        yield Rows(
            lines,
            jsonl.column(records, user),
            jsonl.column(records, item),
            jsonl.column(records, time),
        )


def ratings(stream: ByteStream, declared: str | None) -> Reader | None:
    """Recognise a ratings CSV: four columns, without header in 2014 and 2018.

    2014 has the user first, 2018 the item; 2023 has a header and milliseconds.

    Raises
    ------
    DataError
        The columns are those of another release than `declared`.
    """
    records = delimited.first_records(stream.head, ",")
    if not records:
        return None
    if [name.strip() for name in records[0]][:4] == _HEADER_2023:
        why = "a header with user_id, parent_asin, rating, timestamp"
        _agree(stream, declared, "amazon-2023", "ratings", why)
        return _ratings_reader(stream, "amazon-2023", why, len(records[0]), header=True)
    records = [record for record in records if len(record) == 4]
    if not records:
        return None
    columns: list[list[Any]] = [list(values) for values in zip(*records)]
    if not (_are_stars(columns[2]) and _are_times(columns[3])):
        return None
    source, why = _order_of(columns)
    if source is None:
        if declared not in _ORDER:
            return None
        source, why = declared, "as named; four columns, the third of stars, the fourth of times"
    _agree(stream, declared, source, "ratings", why)
    if declared in ("amazon-2014", "amazon-2018"):
        _refuse_finer_units(stream, declared, columns[3])
    return _ratings_reader(stream, source, why, 4, header=False)


def _order_of(columns: list[list[Any]]) -> tuple[str | None, str]:
    """Release whose order of columns the first lines have, None when ids tell nothing."""
    item_like = [matching(column, LOOKS_LIKE_ITEM) for column in columns[:2]]
    user_like = [matching(column, LOOKS_LIKE_USER) for column in columns[:2]]
    for source, item, user in (("amazon-2014", 1, 0), ("amazon-2018", 0, 1)):
        if item_like[item] >= _MOSTLY and user_like[user] >= _MOSTLY:
            place = ("first", "second")[item]
            return source, f"no header, and the {place} column holds item ids of ten characters"
    return None, ""


def _ratings_reader(stream: ByteStream, source: str, why: str, width: int, header: bool) -> Reader:
    columns = _ORDER[source]
    positions = [int(columns[role]) - 1 for role in ("user", "item", "time")]
    read = partial(_read_ratings, stream, width, positions, int(header))
    return Reader(stream, source, "ratings", why, columns, read)


def _read_ratings(
    stream: ByteStream, width: int, positions: list[int], skip: int, bad: BadLines
) -> Iterator[Rows]:
    for lines, (users, items, times) in delimited.columns(stream, ",", width, positions, bad, skip):
        yield Rows(lines, users, items, times)


def _are_stars(values: list[str]) -> bool:
    def is_star(text: str) -> bool:
        try:
            return 0 <= float(text) <= 10
        except ValueError:
            return False

    return matching(values, is_star) >= _MOSTLY


def _are_times(values: list[Any]) -> bool:
    seconds, good, _ = settle_times(parse_times(values))
    return bool((good & (seconds > 100_000_000)).mean() >= _MOSTLY)


def _refuse_finer_units(stream: ByteStream, declared: str, times: list[Any]) -> None:
    _, _, units = settle_times(parse_times(times))
    if sum(units.values()) > len(times) / 2:
        unit = max(units, key=lambda unit: units[unit])
        raise DataError(
            f"'{stream.path}' has times in {unit}, {declared} has seconds.",
            f"Leave out {parameter('source')}, or name the release it comes from.",
        )


def _agree(stream: ByteStream, declared: str | None, found: str, kind: str, why: str) -> None:
    if declared is not None and declared != found:
        raise DataError(
            f"'{stream.path}' is not {declared}: its content is that of {found} {kind} ({why}).",
            f"Use {parameter('source', found)}, or leave it out.",
        )
