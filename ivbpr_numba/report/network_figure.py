"""The figure of ``ivbpr network evaluate``: how far probabilities can be believed, and what is mixed up."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ivbpr_numba.report.drawing import Area, Drawing, Line, Words, width_of
from ivbpr_numba.report.numbers import figure3, percent, shortened
from ivbpr_numba.report.svg import Scale
from ivbpr_numba.report.trend_words import wrapped

__all__ = ["FEWEST", "network_figure"]

BLUE, ORANGE = "#0072b2", "#d55e00"
INK, MUTED, RULE, EDGE, WHITE = "#1d1c1a", "#66615a", "#e4e1db", "#c4bfb6", "#ffffff"
FEWEST = 10  # answers of a bin that is drawn as a point
SQUARE, STRIP = 208.0, 40.0  # of the reliability diagram, and of the histogram below it
LEFT = 40.0  # of the diagram, for its numbers
ROW, SMALL = 23.0, 11.0  # height of a row; the smallest text
SLANT = 45.0  # degrees of the names above columns

Part = Line | Area | Words
Judged = Mapping[str, Any]


@dataclass(frozen=True)
class _Page:
    """Where things lie: side by side on a wide page, one below the other on a narrow one."""

    width: float
    margin: float
    most: int  # values shown of a group
    names: float  # room of the names of rows
    heads: float  # room of the names of columns, along the slant
    count: float  # width of a column of counts
    beside: bool

    @property
    def room(self) -> float:
        return self.width - 2 * self.margin

    @property
    def right(self) -> float:
        return self.width - self.margin


WIDE = _Page(960.0, 28.0, 12, 190.0, 120.0, 66.0, True)
NARROW = _Page(390.0, 12.0, 8, 134.0, 130.0, 46.0, False)
MATRIX = 318.0  # where the right half of a wide page begins


def network_figure(found: Judged, title: str, said: str, narrow: bool = False) -> Drawing:
    """Draw what `attributes.assessment.assess` found, two diagrams for each group.

    Parameters
    ----------
    found : mapping
    title : str
        The heading.
    said : str
        One sentence below it: what was judged.
    narrow : bool
        390 units wide, for a phone or a column of text; else 960. No text is below 11 units.
    """
    page = NARROW if narrow else WIDE
    drawing = Drawing(page.width, 0.0, title, said)
    parts: list[Part] = []
    y = 16.0
    for text, size, colour, bold in (
        (title, 17.0 if narrow else 21.0, INK, True),
        (said, 12.5, MUTED, False),
    ):
        for line in wrapped(text, size, page.room, bold):
            y += size * 1.3
            parts.append(Words(page.margin, y, line, colour, size, bold=bold))
        y += 4
    y = _legend(parts, found, page, y + 8)
    for name, group in found["groups"].items():
        y = _group(parts, name, group, page, y + 34)
    drawing.parts += parts
    drawing.height = y + 16
    return drawing


def _legend(parts: list[Part], found: Judged, page: _Page, y: float) -> float:
    """What the marks mean, above the first group."""
    groups = [group for group in found["groups"].values() if group["images"]]
    lines: list[tuple[str, str]] = []
    if groups:
        right = "of the answers given with so much confidence, the share that is right; on the dashed line a"
        lines.append((BLUE, f"{right} probability means what it says"))
        lines.append((ORANGE, "how far it is from that; grey bars: how many answers"))
    if any(group["exclusive"] for group in groups):
        cells = "in a row: what the images are; in a column: what the network says, in percent of the row;"
        lines.append((BLUE, f"{cells} orange where it is wrong"))
    hidden = sum(one["count"] < FEWEST for group in groups for one in group["reliability"])
    if hidden:
        lines.append(("", f"{hidden:,} bins with fewer than {FEWEST} answers are not drawn as points"))
    if any(not group["exclusive"] for group in groups):
        lines.append(("", "tags: the most frequent ones; said from a probability of one half on"))
    for colour, text in lines:
        if colour:
            top = y + 1
            box = [
                (page.margin, top),
                (page.margin + 11, top),
                (page.margin + 11, top + 11),
                (page.margin, top + 11),
            ]
            parts.append(Area(box, colour))
        for line in wrapped(text, 11.5, page.room - 18):
            y += 11.5
            parts.append(Words(page.margin + 18, y, line, MUTED, 11.5))
            y += 4.5
    return y


def _group(parts: list[Part], name: str, group: Judged, page: _Page, y: float) -> float:
    """One group from `y` on; returns where it ends."""
    parts.append(Line([(page.margin, y - 18), (page.right, y - 18)], RULE, 1))
    facts = f"{group['images']:,} labelled images"
    if group["images"]:
        usual = "the most frequent value" if group["exclusive"] else "the more frequent answers"
        facts = (
            f"accuracy {figure3(group['accuracy'])} · {usual} {figure3(group['majority'])} · mean average "
            f"precision {figure3(group['mean_ap'])} · calibration error {figure3(group['calibration_error'])}"
            f" · {facts}"
        )
    for line in wrapped(name.replace("_", " "), 15, page.room, True):
        parts.append(Words(page.margin, y + 4, line, INK, 15, bold=True))
        y += 19
    for line in wrapped(facts, 11.5, page.room):
        parts.append(Words(page.margin, y + 2, line, MUTED, 11.5))
        y += 16
    if not group["images"]:
        return y
    chosen = sorted(
        (k for k, value in enumerate(group["values"]) if value["positives"]),
        key=lambda k: -group["values"][k]["positives"],
    )[: page.most]
    table = _confusion if group["exclusive"] else _tags
    top = y + 22
    low = _reliability(parts, group, page.margin + LEFT, top)
    if page.beside:
        return max(low, table(parts, group, chosen, page, MATRIX, y + 6))
    return table(parts, group, chosen, page, page.margin, low + 16)


def _reliability(parts: list[Part], group: Judged, left: float, top: float) -> float:
    """Confidence across, share right upward; below it how many answers each bin holds."""
    right, bottom = left + SQUARE, top + SQUARE
    across, up = Scale(0, 1, left, right), Scale(0, 1, bottom, top)
    for tick in (0, 0.25, 0.5, 0.75, 1):
        parts.append(Line([(left, up(tick)), (right, up(tick))], RULE, 1))
        parts.append(Line([(across(tick), top), (across(tick), bottom)], RULE, 1))
        parts.append(Words(left - 6, up(tick) + 4, percent(tick), MUTED, SMALL, "end"))
        parts.append(Words(across(tick), bottom + STRIP + 17, percent(tick), MUTED, SMALL, "middle"))
    parts.append(Line([(left, bottom), (right, top)], MUTED, 1, (4, 3)))
    bins = group["reliability"]
    most = max(one["count"] for one in bins)
    drawn = [one for one in bins if one["count"] >= FEWEST]
    for one in drawn:  # the distance from the diagonal is the error
        x = across(one["confidence"])
        parts.append(Line([(x, up(one["confidence"])), (x, up(one["accuracy"]))], ORANGE, 2))
    points = [(across(one["confidence"]), up(one["accuracy"])) for one in drawn]
    if len(points) > 1:
        parts.append(Line(points, BLUE, 1.4, name="reliability"))
    for (x, y), one in zip(points, drawn):
        parts.append(Area(_disc(x, y, 2.2 + 4.8 * math.sqrt(one["count"] / most)), BLUE))
    if not drawn:
        few = f"fewer than {FEWEST} answers in every bin"
        parts.append(Words((left + right) / 2, (top + bottom) / 2, few, MUTED, SMALL, "middle"))
    foot = bottom + STRIP + 2
    for one in bins:
        height = max(1.0, (STRIP - 6) * one["count"] / most)
        a, b = across(one["from"]) + 1, across(one["to"]) - 1
        parts.append(Area(_box(a, foot - height, b - a, height), EDGE))
    parts.append(Line([(left, foot), (right, foot)], MUTED, 1))
    what = "probability of the answer" if group["exclusive"] else "probability of a tag"
    parts.append(Words((left + right) / 2, foot + 31, what, MUTED, SMALL, "middle"))
    parts.append(Words(left, top - 8, "right" if group["exclusive"] else "has the tag", MUTED, SMALL))
    return foot + 35


def _confusion(
    parts: list[Part], group: Judged, chosen: Sequence[int], page: _Page, begin: float, top: float
) -> float:
    """Rows in percent of the most frequent values; the last column is every other value."""
    names = [group["values"][k]["value"] for k in chosen]
    place = {name: n for n, name in enumerate(names)}
    others = len(group["values"]) > len(chosen)
    columns = len(chosen) + others
    counts = [[0] * columns for _ in chosen]
    for cell in group["confusion"]:
        if cell["value"] in place:
            counts[place[cell["value"]]][place.get(cell["predicted"], len(chosen))] += cell["images"]
    left = begin + page.names
    heads = [_fitting(name, SMALL, page.heads) for name in [*names, *["other"] * others]]
    # The last slanted name leans over the counts and must not leave the page.
    lean = math.cos(math.radians(SLANT))
    reach = max(width_of(text, SMALL) for text in heads) * lean
    width = min(
        46.0, (page.right - left - page.count) / columns, (page.right - left - reach) / (columns - 0.5)
    )
    top += reach + 14
    for n, text in enumerate(heads):
        parts.append(Words(left + (n + 0.5) * width, top - 6, text, MUTED, SMALL, angle=-SLANT))
    for row, (name, cells) in enumerate(zip(names, counts)):
        y, total = top + row * ROW, sum(cells)
        parts.append(Words(left - 8, y + 15.5, _fitting(name, 11.5, page.names - 10), INK, 11.5, "end"))
        images = f"{total:,}" + (" images" if row == 0 and page.beside else "")
        parts.append(Words(left + columns * width + 8, y + 15.5, images, MUTED, SMALL))
        for column, count in enumerate(cells):
            share, x = count / total, left + column * width
            box = _box(x + 0.75, y + 0.75, width - 1.5, ROW - 1.5)
            parts.append(Area(box, _shade(BLUE if column == row else ORANGE, share)))
            if share >= 0.005:
                colour = WHITE if share > 0.55 else INK
                text = f"{100 * share:.0f}"
                parts.append(Words(x + width / 2, y + 15.5, text, colour, SMALL, "middle", column == row))
    low = top + len(chosen) * ROW
    hidden = sum(1 for value in group["values"] if value["positives"]) - len(chosen)
    if hidden:
        parts.append(Words(left, low + 16, f"and {hidden:,} rarer values", MUTED, SMALL))
        low += 20
    return low


def _tags(
    parts: list[Part], group: Judged, chosen: Sequence[int], page: _Page, begin: float, top: float
) -> float:
    """A bar of average precision for each of the most frequent tags, precision and recall beside it."""
    left, right = begin + page.names, page.right - 3 * page.count - 8
    across = Scale(0, 1, left, right)
    top += 24
    heads = ("precision", "recall", "images") if page.beside else ("prec.", "recall", "images")
    average = "average precision" if page.beside else "av. prec."
    parts.append(Words(left, top - 8, average, MUTED, SMALL))
    for n, text in enumerate(heads):
        parts.append(Words(page.right - (2 - n) * page.count, top - 8, text, MUTED, SMALL, "end"))
    for row, k in enumerate(chosen):
        value, y = group["values"][k], top + row * ROW
        name = _fitting(value["value"], 11.5, page.names - 10)
        parts.append(Words(left - 8, y + 15.5, name, INK, 11.5, "end"))
        parts.append(Area(_box(left, y + 3, right - left, ROW - 6), RULE))
        reached = value["average_precision"]
        if reached is not None:
            parts.append(Area(_box(left, y + 3, across(reached) - left, ROW - 6), BLUE))
        texts = (figure3(value["precision"]), figure3(value["recall"]), f"{value['positives']:,}")
        for n, text in enumerate(texts):
            parts.append(Words(page.right - (2 - n) * page.count, y + 15.5, text, MUTED, SMALL, "end"))
    return top + len(chosen) * ROW


def _fitting(text: str, size: float, room: float) -> str:
    """A name, cut where it would be wider than its room."""
    for length in range(len(text), 1, -1):
        if width_of(shortened(text, length), size) <= room:
            return shortened(text, length)
    return shortened(text, 1)


def _box(x: float, y: float, width: float, height: float) -> list[tuple[float, float]]:
    return [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]


def _disc(x: float, y: float, radius: float) -> list[tuple[float, float]]:
    turns = [2 * math.pi * n / 20 for n in range(20)]
    return [(x + radius * math.cos(turn), y + radius * math.sin(turn)) for turn in turns]


def _shade(colour: str, share: float) -> str:
    """From nearly white to the colour; the root lets small shares be seen."""
    depth = math.sqrt(share)
    mixed = (round(247 + (int(colour[k : k + 2], 16) - 247) * depth) for k in (1, 3, 5))
    return "#" + "".join(f"{part:02x}" for part in mixed)
