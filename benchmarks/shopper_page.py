"""What `benchmarks.shopper` found: a table in Markdown, and a figure."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from typing import Any

from benchmarks.plotting import INK, MUTED, RULE, Logarithmic
from ivbpr_numba.report.drawing import Drawing, Line, Words

__all__ = ["figure", "in_amounts", "pooled", "table"]

Row = dict[str, Any]
COLOURS = {"model": "#0072b2", "knn": "#d55e00", "knn, literal": "#cc79a7"}
LABELS = {
    "model": "the model’s ranking",
    "knn": "nearness",
    "knn, literal": "nearness, equation 6 as printed",
}
TITLES = {"more": "More of an attribute", "toward": "Toward products that have it"}
CHOSEN = 1.0
WIDE, HIGH, LEFT, RIGHT, HEAD, GAP = 360.0, 200.0, 44.0, 14.0, 98.0, 46.0
COURSES = (("having", 1), ("all", 3), ("alike", 3), ("utility", 2))  # columns and their digits
HEADER = (
    "| amount | new | felt | swamped | 8 of 10 | 10 of 10 | have it | AUC, all | AUC, alike | utility |\n"
    "|---:|---:|---:|---:|---:|---:|---|---|---|---|"
)


def in_amounts(row: Row) -> float:
    """The amount as `Session` counts it: of nearness in mean shares 1/F."""
    return float(row["amount"] if row["way"] == "model" else row["shares"])


def pooled(rows: Iterable[Row]) -> list[Row]:
    """The mean over seeds of every shop, way, wish and amount."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        amount = round(in_amounts(row), 4)
        groups.setdefault((row["shop"], row["way"], row["wish"], amount), []).append(row)
    found = []
    for (shop, way, wish, amount), own in groups.items():
        made: Row = {"shop": shop, "way": way, "wish": wish, "amount": amount, "seeds": len(own)}
        for name in ("new", "felt", "swamped", "steps8", "steps10", "within_8", "within_10"):
            made[name] = _mean(row[name] for row in own)
        for when in ("start", "first", "then"):
            made[when] = {name: _mean(row[when][name] for row in own) for name in own[0][when]}
        found.append(made)
    return found


def _mean(values: Iterable[float | None]) -> float | None:
    listed = list(values)
    there = [value for value in listed if value is not None]
    return statistics.fmean(there) if len(there) == len(listed) else None


def table(rows: Iterable[Row]) -> str:
    """A table for every shop, way and wish."""
    parts: list[str] = []
    before = None
    for row in pooled(rows):
        head = (row["shop"], row["way"], row["wish"])
        if head != before:
            parts += [
                "",
                f"**{row['shop']}, {LABELS[row['way']]}: {TITLES[row['wish']].lower()}**",
                "",
                HEADER,
            ]
            before = head
        mark = "**" if row["amount"] == CHOSEN else ""
        cells = [
            f"{mark}{row['amount']:g}{mark}", _figure(row["new"], 1), _percent(row["felt"]),
            _percent(row["swamped"]), _figure(row["steps8"], 0), _figure(row["steps10"], 0),
            *(_course(row, name, digits) for name, digits in COURSES),
        ]  # fmt: skip
        parts.append(f"| {' | '.join(cells)} |")
    return "\n".join(parts).strip() + "\n"


def _figure(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}".replace("%", " %")


def _course(row: Row, name: str, digits: int) -> str:
    if name not in row["start"]:
        return "–"
    return " → ".join(_figure(row[when][name], digits) for when in ("start", "first", "then"))


def figure(rows: Iterable[Row], shop: str) -> Drawing:
    """How many of ten have what was asked for, and what is left of the own taste, by amount."""
    own = [row for row in pooled(rows) if row["shop"] == shop]
    wishes = [wish for wish in TITLES if any(row["wish"] == wish for row in own)]
    drawing = Drawing(
        WIDE * len(wishes), HEAD + 2 * (HIGH + GAP), "How far a step of steering goes",
        "Products among the first ten that have the wanted attribute after one step and after three, and AUC "
        "of the held-out product among those alike after three, by the amount of a step.",
    )  # fmt: skip
    drawing.parts.append(Words(LEFT, 24, "How far a step of steering goes", INK, 16, bold=True))
    x = LEFT
    for way in COLOURS:
        if any(row["way"] == way for row in own):
            drawing.parts += [
                Line([(x, 44), (x + 18, 44)], COLOURS[way], 2.5),
                Words(x + 24, 48, LABELS[way], MUTED, 12),
            ]
            x += 50 + 6.3 * len(LABELS[way])
    drawing.parts.append(
        Words(LEFT, 68, "dashed: after one step; full: after three; the vertical line: amount 1", MUTED, 12)
    )
    amounts = [row["amount"] for row in own]
    least = min(row["then"]["alike"] for row in own)
    low = int(least * 20) / 20
    for column, wish in enumerate(wishes):
        some = [row for row in own if row["wish"] == wish]
        across = Logarithmic(amounts, WIDE * column + LEFT, WIDE * (column + 1) - RIGHT)
        having = _Scale(0, 10, HEAD + HIGH, HEAD + 34)
        alike = _Scale(low, 0.95, HEAD + 2 * HIGH + GAP, HEAD + HIGH + GAP + 34)
        drawing.parts.append(Words(WIDE * column + LEFT, HEAD, TITLES[wish], INK, 13, bold=True))
        drawing.parts += _panel(
            some, across, having, "Of the first ten, how many have it", "having", ("first", "then")
        )
        drawing.parts += _panel(
            some, across, alike, "AUC of the held-out product among those alike", "alike", ("then",)
        )
    return drawing


class _Scale:
    """A map of numbers to heights."""

    def __init__(self, low: float, high: float, bottom: float, top: float) -> None:
        self.low, self.high, self.bottom, self.top = low, high, bottom, top

    def __call__(self, value: float) -> float:
        return self.bottom + (value - self.low) / (self.high - self.low) * (self.top - self.bottom)

    def ticks(self) -> list[float]:
        step = 0.1 if self.high <= 1 else 2.0
        return [round(self.high - k * step, 6) for k in range(6) if self.high - k * step >= self.low - 1e-9]


def _panel(
    rows: list[Row], across: Logarithmic, up: _Scale, title: str, name: str, when: tuple[str, ...]
) -> list[Line | Words]:
    left, right = across.start, across.end
    parts: list[Line | Words] = []
    for tick in up.ticks():
        parts.append(Line([(left, up(tick)), (right, up(tick))], RULE))
        parts.append(Words(left - 6, up(tick) + 4, f"{tick:g}", MUTED, 11, "end"))
    for mark in (0.1, 0.25, 0.5, 1, 2, 4, 8, 24):
        if across.start <= across(mark) <= across.end:
            parts.append(Words(across(mark), up.bottom + 16, f"{mark:g}", MUTED, 11, "middle"))
    parts.append(Line([(across(CHOSEN), up.bottom), (across(CHOSEN), up.top)], MUTED, 1.0))
    parts.append(Words(left, up.top - 8, title, MUTED, 12))
    parts.append(Words(right, up.bottom + 32, "amount of a step", MUTED, 11, "end"))
    for way, colour in COLOURS.items():
        for moment in when:
            points = sorted((row["amount"], row[moment][name]) for row in rows if row["way"] == way)
            if points:
                drawn = [(across(amount), up(value)) for amount, value in points]
                dash = (5.0, 4.0) if moment == "first" else None
                parts.append(Line(drawn, colour, 2.0, dash, f"{way}, {name}, {moment}"))
    return parts
