"""Round dates along an axis of seconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

__all__ = ["month_and_year", "time_ticks"]

MONTHS = (1, 2, 3, 6, 12, 24, 60, 120, 240, 600)  # steps of a calendar axis; below that days
DAYS = (1, 2, 7, 14)


def time_ticks(start: int, end: int, most: int) -> list[tuple[int, str]]:
    """Beginnings of days, months or years from `start` to `end` (seconds), at most `most`, with their labels.

    Days have no year, and of months only January where there is one. A span without the beginning of a day
    has its two ends.
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
    return [(moment, f"{_at(moment).day} {_at(moment):%b}") for moment in moments]


def _every_months(start: int, end: int, step: int) -> list[tuple[int, str]]:
    first = _at(start)
    number = first.year * 12 + first.month - 1
    number -= number % step
    found: list[datetime] = []
    while True:
        moment = datetime(number // 12, number % 12 + 1, 1, tzinfo=UTC)
        seconds = int(moment.timestamp())
        if seconds > end or number // 12 >= 9000:
            break
        if seconds >= start:
            found.append(moment)
        number += step
    all_years = not any(moment.month == 1 for moment in found)
    labels = {True: "%b %Y", False: "%b"} if step < 12 else {True: "%Y"}
    return [(int(one.timestamp()), one.strftime(labels[all_years or one.month == 1])) for one in found]


def _at(seconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
