"""The figure of ``ivbpr trends``: steps over real dates, how the liking of features changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ivbpr_numba.questions.seasons import seasons
from ivbpr_numba.report.drawing import Drawing, Line, Picture, Words, width_of
from ivbpr_numba.report.numbers import group_words, named, shortened, signed
from ivbpr_numba.report.trend_axes import (
    COLOURS,
    INK,
    MUTED,
    Part,
    axes,
    curve,
    dim,
    end_value,
    events_row,
    few_events,
    season_bands,
    settled,
)
from ivbpr_numba.report.trend_words import (
    also_words,
    counted,
    headline,
    period,
    season_words,
    source_words,
    wrapped,
    year_words,
)

if TYPE_CHECKING:
    from ivbpr_numba.questions.seasons import Seasons
    from ivbpr_numba.questions.trends import Trends
    from ivbpr_numba.report.item_pictures import ItemPicture

__all__ = ["NARROW", "WIDE", "embedded", "trend_figure"]

WIDE, NARROW = 960.0, 390.0  # units; texts are readable where a unit is a pixel
LINE = 16.0  # between lines of notes
HEIGHT, BESIDE = 80.0, 62.0  # of a panel's axes, and of pictures beside them in two columns
MOST_STEPS = 12  # epochs of curves that share axes
ASPECT, SPACE = 2 / 3, 3.0  # of a picture's cell, and between two

Pictures = Mapping[str, Sequence["ItemPicture"]]


def trend_figure(
    found: Trends,
    pictures: Pictures | None = None,
    z_score: bool = False,
    source: str = "",
    narrow: bool = False,
) -> Drawing:
    """Draw the changes: few features over few epochs on one pair of axes, else a panel for each.

    At most seven features, and twelve epochs, share a pair of axes; with pictures, or narrow, none do.

    Parameters
    ----------
    found : Trends
    pictures : mapping, optional
        Of each feature the items to show beside its curve.
    z_score : bool
        In standard deviations of each feature over the epochs instead of units of the score.
    source : str
        Name of the model's file, for the source line.
    narrow : bool
        390 units wide, for a phone or a column of text, with no text below 11 units; else 960.
    """
    told = seasons(found)
    shown = found.scaled() if z_score else found
    width, margin = (NARROW, 12.0) if narrow else (WIDE, 28.0)
    room = width - 2 * margin
    title = headline(found, told)
    unit = "standard deviations over the epochs" if z_score else "units of the score"
    said = (
        f"{shown.model}: mean response of {shown.speakers} to each feature, minus its mean over the "
        f"{counted(len(shown.events), 'learned epoch')}, {period(shown.edges)}, in {unit}."
    )
    notes = _notes(shown, told)
    drawing = Drawing(width, 0.0, title, " ".join([said, *notes, source_words(shown, source)]))
    parts, y = drawing.parts, 14.0
    for size, texts, colour, bold in (
        (17.0 if narrow else 21.0, [title], INK, True),
        (12.0, [said], MUTED, False),
    ):
        for line in (line for text in texts for line in wrapped(text, size, room, bold)):
            y += size * 1.3
            parts.append(Words(margin, y, line, colour, size, bold=bold))
        y += 5
    few = len(shown.features) <= len(COLOURS) and len(shown.events) <= MOST_STEPS
    if few and pictures is None and not narrow:
        bottom, counts = _together(parts, shown, told, y + 15)
    else:
        bottom, counts = _apart(parts, shown, told, pictures or {}, width, margin, y + 13)
    if not counts:
        events = " · ".join(f"{n:,}" for n in shown.events.tolist())
        notes.append(f"Events in epochs 0 to {len(shown.events) - 1}: {events}.")
    for note in [*notes, source_words(shown, source)]:
        for line in wrapped(note, 11.5, room):
            parts.append(Words(margin, bottom, line, MUTED, 11.5))
            bottom += LINE
    drawing.height = bottom + 4
    return drawing


def embedded(found: Trends, source: str = "") -> dict[str, str]:
    """The figure as parts of a page: ``wide`` for screens and paper, ``narrow`` for phones."""
    drawn = {
        name: trend_figure(found, source=source, narrow=narrow).svg()
        for name, narrow in (("wide", False), ("narrow", True))
    }
    # Parts of a page need no namespace of their own.
    return {name: svg.replace(' xmlns="http://www.w3.org/2000/svg"', "", 1) for name, svg in drawn.items()}


def _notes(found: Trends, told: Seasons) -> list[str]:
    notes = ["Up: liked more than over the whole time; down: less. Numbers at the right end: the last epoch."]
    if np.isfinite(found.change_low).any():
        notes.append(str(found.spread))
    if season_bands(found.edges):
        notes.append("Faint blue: December to February; faint yellow: June to August.")
    if told.told:
        notes.append(
            "Trend and season: a straight line and a yearly wave, fitted together to the epochs; certain "
            "where noise would do as much in less than 5 of 100 cases, and beyond the band of refits."
        )
    elif told.why is not None:
        notes.append(f"Seasons are not told from trends here: {told.why}.")
    if few_events(found.events).any():
        notes.append("Grey: epochs with few events.")
    return notes


def _together(parts: list[Part], found: Trends, told: Seasons, y: float) -> tuple[float, bool]:
    """All features on one pair of axes, each labelled at its end; the end, and whether events are shown."""
    left, right, top = 62.0, 670.0, y + 24
    told_height = 27.0 if told.told else 0.0
    gap = 33.0 + told_height
    bottom = top + max(340.0, gap * len(found.features))
    plot = axes(parts, found, left, right, top, bottom, 9)
    counts = events_row(parts, found, plot, top - 12)
    ends = []
    for k in range(len(found.features)):
        curve(parts, found, k, plot, COLOURS[k % len(COLOURS)], 3.4, 0.2)
        ends.append(plot.up(end_value(found, k) or 0.0))
    dim(parts, found, plot)
    room = WIDE - 8 - (right + 32)
    for k, (end, place) in enumerate(zip(ends, settled(ends, gap, top + 6, bottom - 12 - told_height))):
        value, group = named(found.features[k])
        label = [(shortened(_valued(value, end_value(found, k)), 30), 13.5, INK, True)]
        also = also_words(found, k)
        small = f"{group_words(group)}; {also}" if also else group_words(group)
        label.append((_fitting(small, 11, room), 11, MUTED, False))
        if told.told:
            for text in (season_words(told, k), year_words(told, k)):
                label.append((_fitting(text, 11, room), 11, MUTED, False))
        line = place + 4
        parts.append(
            Line([(right + 3, end), (right + 18, place), (right + 28, place)], COLOURS[k % len(COLOURS)], 1.2)
        )
        for text, size, colour, bold in label:
            parts.append(Words(right + 32, line, text, colour, size, bold=bold))
            line += 13.5
    return bottom + 44, counts


def _apart(
    parts: list[Part],
    found: Trends,
    told: Seasons,
    pictures: Pictures,
    width: float,
    margin: float,
    first: float,
) -> tuple[float, bool]:
    """A panel for each feature, row by row, all with the same axes and dates; pictures beside or above."""
    narrow = width == NARROW
    columns = 1 if len(found.features) <= 3 or narrow else 2
    gap = 32.0
    room = (width - 2 * margin - gap * (columns - 1)) / columns
    shown = max((len(kept) for kept in pictures.values()), default=0)
    tall = HEIGHT if narrow or columns == 1 else BESIDE  # of a picture
    above = tall + 8 if narrow and shown else 0.0
    beside = shown * (tall * ASPECT + SPACE) + 8 if shown and not narrow else 0.0
    counts, y = True, first
    for row in range(0, len(found.features), columns):
        inside = range(row, min(row + columns, len(found.features)))
        lines = max(len(_sayings(found, told, k, room)) for k in inside)
        header = 22 + 14.0 * lines
        top = y + header + above
        for column, k in enumerate(inside):
            x = margin + column * (room + gap)
            _header(parts, found, told, k, x, y, room)
            kept = pictures.get(found.features[k], ())
            _pictures(parts, kept, x, y + header + (0 if narrow else (HEIGHT - tall) / 2), tall)
            plot = axes(parts, found, x + beside + 36, x + room - 40, top, top + HEIGHT, 4)
            curve(parts, found, k, plot, COLOURS[0], 3, 0.25)
            dim(parts, found, plot)
            value = end_value(found, k)
            if value is not None:
                place = plot.up(value) + 4
                parts.append(Words(x + room - 36, place, signed(value), COLOURS[0], 12, bold=True))
            if k + columns >= len(found.features):  # the last of its column
                counts = events_row(parts, found, plot, plot.bottom + 31) and counts
        y = top + HEIGHT + 36
    return y + (18 if counts else 6), counts


def _header(parts: list[Part], found: Trends, told: Seasons, k: int, x: float, y: float, room: float) -> None:
    """Name and group of a feature, what it shows, and what overlaps with it."""
    value, group = named(found.features[k])
    value = _fitting(value, 14, room - 60, bold=True)
    after = x + width_of(value, 14, bold=True) + 8
    parts.append(Words(x, y + 14, value, INK, 14, bold=True))
    parts.append(Words(after, y + 14, _fitting(group_words(group), 11.5, x + room - after), MUTED, 11.5))
    y += 14
    for text in _sayings(found, told, k, room):
        y += 14
        parts.append(Words(x, y, text, MUTED, 11))


def _sayings(found: Trends, told: Seasons, k: int, room: float) -> list[str]:
    """The lines below a feature's name."""
    change = "; ".join(text for text in (season_words(told, k), year_words(told, k)) if text)
    return [line for text in (change, also_words(found, k)) for line in wrapped(text, 11, room)]


def _pictures(parts: list[Part], kept: Sequence[ItemPicture], x: float, y: float, height: float) -> None:
    """Pictures side by side, each as large as its cell of two by three allows."""
    width = height * ASPECT
    for n, picture in enumerate(kept):
        scale = min(width / picture.width, height / picture.height)
        w, h = picture.width * scale, picture.height * scale
        left = x + n * (width + SPACE) + (width - w) / 2
        parts.append(Picture(left, y + (height - h) / 2, w, h, picture.jpeg, picture.item))


def _valued(name: str, value: float | None) -> str:
    return name if value is None else f"{name} {signed(value)}"


def _fitting(text: str, size: float, room: float, bold: bool = False) -> str:
    """A text cut where it would be wider than there is room."""
    while width_of(text, size, bold) > room and len(text) > 2:
        text = text[:-2].rstrip() + "…"
    return text
