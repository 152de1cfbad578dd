"""The figure of ``ivbpr network evaluate``: how far probabilities can be believed, and what is mixed up."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ivbpr_numba.report.drawing import Area, Drawing, Line, Words, width_of
from ivbpr_numba.report.numbers import figure3, percent, shortened
from ivbpr_numba.report.svg import Scale

__all__ = ["network_figure"]

BLUE, ORANGE = "#0072b2", "#d55e00"
INK, MUTED, RULE, EDGE, WHITE = "#1d1c1a", "#66615a", "#e4e1db", "#c4bfb6", "#ffffff"
WIDTH, MARGIN = 960.0, 28.0
MOST = 12  # values shown of a group
SQUARE, STRIP = 208.0, 40.0  # of the reliability diagram, and of the histogram below it
LEFT = 40.0  # of the diagram, for its numbers
ROW, NAMES = 23.0, 176.0
MATRIX = 330.0  # where the right half begins
COUNT = 62.0

Part = Line | Area | Words
Judged = Mapping[str, Any]


def network_figure(found: Judged, title: str, said: str) -> Drawing:
    """Draw what `attributes.assessment.assess` found, a row of two diagrams for each group.

    Parameters
    ----------
    found : mapping
    title : str
        The heading.
    said : str
        One sentence below it: what was judged.
    """
    drawing = Drawing(WIDTH, 0.0, title, said)
    parts: list[Part] = []
    parts += [
        Words(MARGIN, 38, shortened(title, 80), INK, 21, bold=True),
        Words(MARGIN, 60, said, MUTED, 12.5),
    ]
    y = 92.0
    for name, group in found["groups"].items():
        y = _group(parts, name, group, y)
    notes = [
        "Left: of the answers given with so much confidence, the share that is right; on the diagonal a "
        "probability means what it says. Size and bars: how many.",
        "Right: each row is what an item is, each column what the network says, in percent of the row; the "
        "numbers of the columns are those of the rows.",
    ]
    if any(not group["exclusive"] for group in found["groups"].values()):
        notes.append(
            "Tags: average precision of the most frequent ones; said from a probability of one half on."
        )
    for n, note in enumerate(notes):
        parts.append(Words(MARGIN, y + 17 * n, note, MUTED, 11.5))
    drawing.parts += parts
    drawing.height = y + 17 * len(notes) + 8
    return drawing


def _group(parts: list[Part], name: str, group: Judged, y: float) -> float:
    """One group from `y` on; returns where the next one begins."""
    parts.append(Line([(MARGIN, y - 18), (WIDTH - MARGIN, y - 18)], RULE, 1))
    facts = f"{group['images']:,} labelled images"
    if group["images"]:
        usual = "the most frequent value" if group["exclusive"] else "the more frequent answers"
        facts = (
            f"accuracy {figure3(group['accuracy'])} · {usual} {figure3(group['majority'])} · mean average "
            f"precision {figure3(group['mean_ap'])} · calibration error {figure3(group['calibration_error'])}"
            f" · {facts}"
        )
    heading, room = name.replace("_", " "), WIDTH - 2 * MARGIN - 14 - width_of(facts, 11.5)
    for length in range(len(heading), 1, -1):
        if width_of(shortened(heading, length), 15, bold=True) <= room:
            heading = shortened(heading, length)
            break
    parts.append(Words(MARGIN, y + 4, heading, INK, 15, bold=True))
    after = MARGIN + width_of(heading, 15, bold=True) + 14
    parts.append(Words(after, y + 4, facts, MUTED, 11.5))
    if not group["images"]:
        return y + 44
    top = y + 34
    _reliability(parts, group, MARGIN + LEFT, top)
    chosen = sorted(
        (k for k, value in enumerate(group["values"]) if value["positives"]),
        key=lambda k: -group["values"][k]["positives"],
    )[:MOST]
    low = _confusion(parts, group, chosen, top) if group["exclusive"] else _tags(parts, group, chosen, top)
    return max(low, top + SQUARE + STRIP + 44) + 34


def _reliability(parts: list[Part], group: Judged, left: float, top: float) -> None:
    """Confidence across, share right upward; below it how many answers each bin holds."""
    right, bottom = left + SQUARE, top + SQUARE
    across, up = Scale(0, 1, left, right), Scale(0, 1, bottom, top)
    for tick in (0, 0.25, 0.5, 0.75, 1):
        parts.append(Line([(left, up(tick)), (right, up(tick))], RULE, 1))
        parts.append(Line([(across(tick), top), (across(tick), bottom)], RULE, 1))
        parts.append(Words(left - 6, up(tick) + 4, percent(tick), MUTED, 10.5, "end"))
        parts.append(Words(across(tick), bottom + STRIP + 17, percent(tick), MUTED, 10.5, "middle"))
    parts.append(Line([(left, bottom), (right, top)], MUTED, 1, (4, 3)))
    bins = group["reliability"]
    most = max(one["count"] for one in bins)
    for one in bins:  # the distance from the diagonal is the error
        x = across(one["confidence"])
        parts.append(Line([(x, up(one["confidence"])), (x, up(one["accuracy"]))], ORANGE, 2))
    points = [(across(one["confidence"]), up(one["accuracy"])) for one in bins]
    if len(points) > 1:
        parts.append(Line(points, BLUE, 1.4, name="reliability"))
    for (x, y), one in zip(points, bins):
        parts.append(Area(_disc(x, y, 2.2 + 4.8 * math.sqrt(one["count"] / most)), BLUE))
    foot = bottom + STRIP + 2
    for one in bins:
        height = max(1.0, (STRIP - 6) * one["count"] / most)
        a, b = across(one["from"]) + 1, across(one["to"]) - 1
        parts.append(Area([(a, foot), (b, foot), (b, foot - height), (a, foot - height)], EDGE))
    parts.append(Line([(left, foot), (right, foot)], MUTED, 1))
    what = "probability of the answer" if group["exclusive"] else "probability of a tag"
    parts.append(Words((left + right) / 2, foot + 31, what, MUTED, 10.5, "middle"))
    parts.append(Words(left, top - 8, "right" if group["exclusive"] else "has the tag", MUTED, 10.5))


def _confusion(parts: list[Part], group: Judged, chosen: Sequence[int], top: float) -> float:
    """Rows in percent of the most frequent values; the last column is every other value."""
    names = [group["values"][k]["value"] for k in chosen]
    place = {name: n for n, name in enumerate(names)}
    others = len(group["values"]) > len(chosen)
    columns = len(chosen) + others
    counts = [[0] * columns for _ in chosen]
    for cell in group["confusion"]:
        if cell["value"] in place:
            counts[place[cell["value"]]][place.get(cell["predicted"], len(chosen))] += cell["images"]
    left = MATRIX + NAMES
    width = min(46.0, (WIDTH - MARGIN - COUNT - left) / columns)
    head = [str(n + 1) for n in range(len(chosen))] + ["other"] * others
    for n, text in enumerate(head):
        parts.append(Words(left + (n + 0.5) * width, top - 8, text, MUTED, 10.5, "middle"))
    end = left + columns * width + COUNT
    parts.append(Words(end, top - 8, "images", MUTED, 10.5, "end"))
    for row, (name, cells) in enumerate(zip(names, counts)):
        y, total = top + row * ROW, sum(cells)
        parts.append(Words(left - 30, y + 15.5, shortened(name, 24), INK, 11.5, "end"))
        parts.append(Words(left - 8, y + 15.5, str(row + 1), MUTED, 10.5, "end"))
        parts.append(Words(end, y + 15.5, f"{total:,}", MUTED, 10.5, "end"))
        for column, count in enumerate(cells):
            share, x = count / total, left + column * width
            box = [(x + 0.75, y + 0.75), (x + width - 0.75, y + 0.75)]
            box += [(x + width - 0.75, y + ROW - 0.75), (x + 0.75, y + ROW - 0.75)]
            parts.append(Area(box, _shade(BLUE if column == row else ORANGE, share)))
            if share >= 0.005:
                colour = WHITE if share > 0.55 else INK
                text = f"{100 * share:.0f}"
                parts.append(Words(x + width / 2, y + 15.5, text, colour, 10.5, "middle", column == row))
    low = top + len(chosen) * ROW
    hidden = sum(1 for value in group["values"] if value["positives"]) - len(chosen)
    if hidden:
        parts.append(Words(left, low + 16, f"and {hidden:,} rarer values", MUTED, 10.5))
        low += 16
    return low


def _tags(parts: list[Part], group: Judged, chosen: Sequence[int], top: float) -> float:
    """A bar of average precision for each of the most frequent tags, precision and recall beside it."""
    left, right = MATRIX + NAMES, WIDTH - MARGIN - 3 * COUNT - 10
    across = Scale(0, 1, left, right)
    heads = ("precision", "recall", "images")
    parts.append(Words(left, top - 8, "average precision", MUTED, 10.5))
    for n, text in enumerate(heads):
        parts.append(Words(WIDTH - MARGIN - (2 - n) * COUNT, top - 8, text, MUTED, 10.5, "end"))
    for row, k in enumerate(chosen):
        value, y = group["values"][k], top + row * ROW
        parts.append(Words(left - 8, y + 15.5, shortened(value["value"], 26), INK, 11.5, "end"))
        box = [(left, y + 3), (right, y + 3), (right, y + ROW - 3), (left, y + ROW - 3)]
        parts.append(Area(box, RULE))
        reached = value["average_precision"]
        if reached is not None:
            end = across(reached)
            parts.append(Area([(left, y + 3), (end, y + 3), (end, y + ROW - 3), (left, y + ROW - 3)], BLUE))
        texts = (figure3(value["precision"]), figure3(value["recall"]), f"{value['positives']:,}")
        for n, text in enumerate(texts):
            parts.append(Words(WIDTH - MARGIN - (2 - n) * COUNT, y + 15.5, text, MUTED, 10.5, "end"))
    return top + len(chosen) * ROW


def _disc(x: float, y: float, radius: float) -> list[tuple[float, float]]:
    turns = [2 * math.pi * n / 20 for n in range(20)]
    return [(x + radius * math.cos(turn), y + radius * math.sin(turn)) for turn in turns]


def _shade(colour: str, share: float) -> str:
    """From nearly white to the colour; the root lets small shares be seen."""
    depth = math.sqrt(share)
    mixed = (round(247 + (int(colour[k : k + 2], 16) - 247) * depth) for k in (1, 3, 5))
    return "#" + "".join(f"{part:02x}" for part in mixed)
