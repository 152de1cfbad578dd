"""Drawings of bars: contributions side by side, liking by group, shares of a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from ivbpr_numba.report.numbers import group_words, named, percent, plain, shortened, signed
from ivbpr_numba.report.svg import Scale, figure, tag, upright, words

__all__ = ["bars", "limits", "shares"]

WIDTH = 400.0
HEADER, BAR, GAP = 10.0, 13.0, 10.0  # label to first bar, bar to bar, last bar to next label
LETTERS = 48  # of a value and its group
Row = Mapping[str, Any]


def limits(rows: Sequence[Row], key: str) -> tuple[float, float]:
    """Least and largest value, zero among them, for drawings with one scale."""
    every = [row[key] for row in rows]
    return min([*every, 0.0]), max([*every, 0.0])


def bars(
    terms: Sequence[Row],
    name: str,
    title: str,
    keys: Sequence[str] = ("learned", "planted"),
    span: tuple[float, float] | None = None,
    width: float = WIDTH,
    grouped: bool = True,
    signs: bool = True,
) -> Markup:
    """Numbers of each term as bars on one scale, the term above them.

    Parameters
    ----------
    terms : sequence of mappings
        ``term`` and the `keys`.
    name, title : str
    keys : sequence of str
        Whose values are bars, and their classes.
    span : tuple of float, optional
        Ends of the scale; by default those of the values.
    width : float
    grouped : bool
        Whether the group is written beside a term's value.
    signs : bool
        Whether a plus is written before numbers above 0.
    """
    shown = signed if signs else plain
    ends = [limits(terms, key) for key in keys]
    low, high = span or (min(low for low, _ in ends), max(high for _, high in ends))
    if low == high:
        high = 1.0
    axis = Scale(low, high, 48.0 if low < 0 else 2.0, width - 48 if high > 0 else width - 2)
    step, top = HEADER + BAR * len(keys) + GAP, 16.0
    parts: list[Markup] = []
    for n, term in enumerate(terms):
        y = top + step * n
        value, group = named(term["term"])
        label = tag("tspan", shortened(value, 30), class_="label strong")
        beside = (
            f"  {shortened(group_words(group), LETTERS - min(len(value), 30))}" if grouped and group else ""
        )
        parts.append(tag("text", label, beside, x=0, y=y + 4, class_="muted"))
        parts.append(upright(axis(0.0), y + 8, y + 9 + BAR * len(keys), "zero"))
        for place, key in enumerate(keys):
            amount = term[key]
            left, right = sorted((axis(0.0), axis(amount)))
            above = y + HEADER + BAR * place
            parts.append(tag("rect", x=left, y=above, width=right - left, height=10, class_=f"bar {key}"))
            at, anchor = (right + 5, "start") if amount >= 0 else (left - 5, "end")
            parts.append(words(at, above + 9.5, shown(amount), "value", anchor))
    said = "; ".join(
        f"{term['term']}: {', '.join(f'{key} {shown(term[key])}' for key in keys)}" for term in terms
    )
    return figure(name, width, top + step * len(terms), title, said + ".", *parts)


def shares(rows: Sequence[Row], name: str, title: str) -> Markup:
    """Shares of a whole as bars, each labelled above."""
    step, top = 36.0, 14.0
    axis = Scale(0.0, max(row["share"] for row in rows), 0.0, WIDTH - 48)
    parts: list[Markup] = []
    for n, row in enumerate(rows):
        y = top + step * n
        parts.append(words(0, y, row["what"], "label"))
        width = axis(row["share"])
        parts.append(tag("rect", x=0, y=y + 7, width=width, height=10, class_="bar learned"))
        parts.append(words(width + 6, y + 16, percent(row["share"]), "value"))
    said = ", ".join(f"{row['what']} {percent(row['share'])}" for row in rows)
    return figure(name, WIDTH, top + step * len(rows) - 8, title, said + ".", *parts)
