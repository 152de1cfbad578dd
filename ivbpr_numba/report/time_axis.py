"""Round dates along an axis of seconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

__all__ = ["month_and_year", "time_ticks"]

MONTHS = (1, 2, 3, 6, 12, 24, 60, 120, 240, 600)  # steps of a calendar axis; below that days
DAYS = (1, 2, 7, 14)


def time_ticks(start: int, end: int, most: int) -> list[tuple[int, str]]:
    """Beginnings of days, months or years from `start` to `end` (seconds), at most `most`, with their labels.

    A span without the beginning of a day has its two ends.
    """
    for days in DAYS:
        if (end - start) / 86_400 / days <= most:
            found = _every_days(start, end, days)
            if found:
                return found
            break
    else:
        for months in MONTHS:
            found = _every_months(start, end, months)
            if len(found) <= most:
                return found
    return [(moment, f"{_at(moment):%Y-%m-%d %H:%M}") for moment in (start, end)]


def month_and_year(moment: int) -> str:
    """September 2018."""
    return f"{_at(moment):%B %Y}"


def _every_days(start: int, end: int, step: int) -> list[tuple[int, str]]:
    day = -(-start // 86_400)
    moments = range(day * 86_400, end + 1, step * 86_400)
    return [(moment, f"{_at(moment).day} {_at(moment):%b %Y}") for moment in moments]


def _every_months(start: int, end: int, step: int) -> list[tuple[int, str]]:
    first = _at(start)
    number = first.year * 12 + first.month - 1
    number -= number % step
    found: list[tuple[int, str]] = []
    while True:
        moment = datetime(number // 12, number % 12 + 1, 1, tzinfo=UTC)
        seconds = int(moment.timestamp())
        if seconds > end or number // 12 >= 9000:
            return found
        if seconds >= start:
            found.append((seconds, f"{moment:%Y}" if step >= 12 else f"{moment:%b %Y}"))
        number += step


def _at(seconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
