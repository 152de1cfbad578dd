"""What the figure of ``ivbpr trends`` says: what is seen, what a feature shows, from what it is made."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from ivbpr_numba.questions.refits import chance_of
from ivbpr_numba.report.drawing import width_of
from ivbpr_numba.report.numbers import group_words, named, signed
from ivbpr_numba.report.time_axis import month_and_year

if TYPE_CHECKING:
    from ivbpr_numba.questions.seasons import Seasons
    from ivbpr_numba.questions.trends import Trends

__all__ = [
    "also_words",
    "counted",
    "headline",
    "period",
    "season_words",
    "source_words",
    "wrapped",
    "year_words",
]

IN_A_TITLE = 2  # seasons named there
BEYOND_DOUBT = 0.01  # chance of as much in noise; a title picks the largest of many


def headline(found: Trends, told: Seasons) -> str:
    """What is seen and certain; where nothing is, or seasons can't be told from trends, what is shown.

    Without seasons a first epoch in winter and a last one in summer would make a headline of shorts.
    """
    said = _seen(found, told) if told.told else ""
    return said[:1].upper() + said[1:] if said else f"The liking of {_what(found)}"


def _seen(found: Trends, told: Seasons) -> str:
    names = _names(found.features)
    kinds = [told.kind(k) for k in range(len(names))]
    moving = [k for k, kind in enumerate(kinds) if kind in ("trend", "both")]
    moving = [k for k in moving if told.trend_chance[k] < BEYOND_DOUBT]
    chance = [_season_chance(found, told, k) for k in range(len(names))]
    waves = [k for k, kind in enumerate(kinds) if kind == "season" and chance[k] < BEYOND_DOUBT]
    waves.sort(key=lambda k: (chance[k], -told.season[k]))
    parts = [
        _up_and_down(names, {k: float(told.trend[k]) for k in moving}),
        ", ".join(f"{names[k]} highest in {told.peak_month(k)}" for k in _of_other_months(told, waves)),
    ]
    parts[0] += f" since {month_and_year(int(found.edges[0]))}" if parts[0] else ""
    return "; ".join(part for part in parts if part)


def _season_chance(found: Trends, told: Seasons, k: int) -> float:
    """How likely as large a wave is in noise over the epochs, or by the band of refits; the larger one."""
    chance, half = float(told.season_chance[k]), float(told.season_half[k])
    if not half > 0:
        return chance
    return max(chance, chance_of(float(told.season[k]) / half, found.spread.fits))


def _up_and_down(names: list[str], step: dict[int, float]) -> str:
    """The largest rise and the largest fall."""
    if not step:
        return ""
    most, least = max(step, key=lambda k: step[k]), min(step, key=lambda k: step[k])
    parts = [f"{names[most]} up"] if step[most] > 0 else []
    parts += [f"{names[least]} down"] if step[least] < 0 else []
    return ", ".join(parts)


def _of_other_months(told: Seasons, waves: list[int]) -> list[int]:
    """The first of `waves` and the first that is highest in another half of the year."""
    found = waves[:1]
    for k in waves[1:]:
        apart = abs((told.peak[k] - told.peak[found[0]] + 0.5) % 1 - 0.5)
        if len(found) < IN_A_TITLE and apart > 0.25:
            found.append(k)
    return found


def _what(found: Trends) -> str:
    return f"{counted(len(found.features), 'feature')}, {period(found.edges)}"


def _names(features: list[str]) -> list[str]:
    """Values; with their group where two features have one value."""
    parts = [named(feature) for feature in features]
    count = Counter(value for value, _ in parts)
    return [f"{value} ({group_words(group)})" if count[value] > 1 else value for value, group in parts]


def season_words(told: Seasons, k: int) -> str:
    """What one feature shows, in one line; empty where seasons can't be told from trends."""
    if not told.told:
        return ""
    peak = told.peak_month(k)
    trend = f"trend {signed(float(told.trend[k]))} a year"
    wave = f"season ±{told.season[k]:.2f}, peak {peak}"
    said = {
        "trend": trend,
        "season": wave,
        "both": f"{trend}, {wave}",
        "neither": "no certain trend or season",
    }
    return said[str(told.kind(k))]


def year_words(told: Seasons, k: int) -> str:
    """How one feature's last year differs from the year before; empty where that isn't known."""
    change = float(told.year_over_year[k])
    return f"last year {signed(change)} on the year before" if np.isfinite(change) else ""


def also_words(found: Trends, k: int) -> str:
    """The features that overlap highly with one: "also garment group Shorts, department Shorts"."""
    others = found.also[k] if found.also is not None else []
    parts = [named(other) for other in others]
    return "also " + ", ".join(f"{group_words(group)} {value}" for value, group in parts) if parts else ""


def source_words(found: Trends, source: str) -> str:
    """From what the figure is made."""
    events = int(found.events.sum())
    model = f"{source} ({found.model})" if source else found.model
    return (
        f"Source: {model}, fitted to {counted(events, 'purchase')} of {counted(found.users, 'user')}, "
        f"{_day(int(found.edges[0]))} to {_day(int(found.edges[-1]) - 1)}."
    )


def period(edges: np.ndarray) -> str:
    """First and last month."""
    first, last = month_and_year(int(edges[0])), month_and_year(int(edges[-1]) - 1)
    return first if first == last else f"{first} – {last}"


def counted(number: int, what: str) -> str:
    """1 user, 2 users."""
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def wrapped(text: str, size: float, width: float, bold: bool = False) -> list[str]:
    """Lines of a text that are about as wide as there is room."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and width_of(longer, size, bold) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _day(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()
