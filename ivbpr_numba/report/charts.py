"""The drawings of the page that have axes, each a function from plain facts to SVG.

Widths are in the units of their drawing, which the page scales: to 358 pixels on a phone, which makes text of
12.5 units 11 pixels high.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from ivbpr_numba.report.drawing import width_of
from ivbpr_numba.report.numbers import figure3, named, plain, shortened, signed
from ivbpr_numba.report.svg import Scale, figure, path, round_ticks, spread, tag, upright, words
from ivbpr_numba.report.time_axis import time_ticks

__all__ = ["curves", "dots", "scatter", "steps", "warm"]

WIDTH = 400.0
PANEL_WIDTH = 320.0
TEXT = 13.0
LONGEST = 20  # letters of a label beside a drawing
CROWD = 4  # lines; among more only the one of the page has its intervals
Row = Mapping[str, Any]


def dots(rows: Sequence[Row], truth: Row | None, setting: str, name: str, title: str) -> Markup:
    """AUC of every scorer as a dot on its 95 % interval; the truth as a diamond and a dashed line.

    Parameters
    ----------
    rows : sequence of mappings
        ``label``, ``all`` and ``cold`` with ``auc ci95``; ``best`` of the one that the page speaks of,
        ``beside`` of what was not learned.
    truth : mapping or None
    setting : str
        ``all`` or ``cold``; the axis spans its figures.
    name, title : str
    """
    lows = [_interval(row[setting])[0] for row in rows if row[setting]["auc"] is not None]
    ticks = round_ticks(min([*lows, 0.45]), 1.0, 7)
    every = [*([truth] if truth else []), *rows]
    left = max(width_of(shortened(row["label"], LONGEST), TEXT, bold=True) for row in every) + 6
    axis = Scale(ticks[0], 1.0, left + 10, WIDTH - 46)
    step, top = 23.0, 44.0
    bottom = top + step * len(every) - 8
    parts = [upright(axis(tick), top - 14, bottom, "grid") for tick in ticks]
    parts += [words(axis(tick), bottom + 16, f"{tick:.2g}", "tick", "middle") for tick in ticks]
    parts.append(words((axis.start + axis.end) / 2, bottom + 34, "AUC", "tick", "middle"))
    parts.append(upright(axis(0.5), top - 14, bottom, "chance"))
    parts.append(words(axis(0.5), top - 20, "chance", "tick", "middle"))
    best = truth[setting]["auc"] if truth else None
    if best is not None:
        parts.append(upright(axis(best), top - 14, bottom, "truth-line"))
        parts.append(words(axis(best), top - 20, "truth", "tick", "middle"))
    said = []
    for n, row in enumerate(every):
        y, here = top + step * n, row[setting]
        label = shortened(row["label"], LONGEST)
        if here["auc"] is None:
            parts.append(words(left, y + 4, label, "label muted", "end"))
            parts.append(words(axis.start + 8, y + 4, "no such shopper", "muted halo"))
            continue
        mark = (
            "truth" if row is truth
            else "mark strong" if row.get("best")
            else "mark beside" if row.get("beside")
            else "mark"
        )  # fmt: skip
        parts.append(words(left, y + 4, label, f"label {mark}", "end"))
        low, high = (axis(value) for value in _interval(here))
        x = axis(here["auc"])
        # Caps, so that an interval narrower than its dot can still be seen.
        ends = f"M{low:.2f} {y - 6:.2f}v12M{low:.2f} {y:.2f}H{high:.2f}M{high:.2f} {y - 6:.2f}v12"
        parts.append(tag("path", d=ends, class_=f"interval {mark}"))
        parts.append(
            tag("path", d=f"M{x:.2f} {y - 5:.2f}l5 5l-5 5l-5 -5z", class_="dot truth")
            if row is truth
            else tag("circle", cx=x, cy=y, r=3.6, class_=f"dot {mark}")
        )
        parts.append(words(WIDTH, y + 4, figure3(here["auc"]), f"value {mark}", "end"))
        said.append(f"{row['label']} {figure3(here['auc'])}")
    return figure(name, WIDTH, bottom + 42, title, "AUC: " + ", ".join(said) + ".", *parts)


def _interval(figures: Row) -> tuple[float, float]:
    low, high = figures["ci95"] or (figures["auc"], figures["auc"])
    return max(0.0, low or 0.0), min(1.0, high if high is not None else 1.0)


def curves(lines: Sequence[Row], truth: float | None, name: str, title: str) -> Markup:
    """Validation AUC by iteration; each line is labelled at its end and marked where it was best.

    Parameters
    ----------
    lines : sequence of mappings
        ``name key strong label points best``, the points being pairs of iteration and AUC; ``again``, if
        there are some, the points of repeated fits, drawn faintly.
    truth : float or None
        Validation AUC of the truth: a dashed line.
    name, title : str
    """
    repeated = [points for line in lines for points in line.get("again", ())]
    shown = [*(line["points"] for line in lines), *repeated]
    every = [value for points in shown for _, value in points] or [0.5, 1.0]
    last = max((x for points in shown for x, _ in points), default=1)
    ticks = round_ticks(min(every), max([*every, truth or 0.0]), 5)
    if len(ticks) == 1:  # nothing ever changed
        ticks = [ticks[0], ticks[0] + 0.1]
    steps = round_ticks(0, last, 5)
    texts = [f"{shortened(line['label'], LONGEST)} {figure3(line['best'][1])}" for line in lines]
    right = WIDTH - 14 - max([width_of(text, TEXT, bold=True) for text in texts] + [60.0])
    top, bottom, left = 14.0, 232.0, 40.0
    across, up = Scale(0, max(last, 1), left, right), Scale(ticks[0], ticks[-1], bottom, top)
    parts = [tag("line", x1=left, x2=right, y1=up(tick), y2=up(tick), class_="grid") for tick in ticks]
    parts += [words(left - 6, up(tick) + 4, f"{tick:.3g}", "tick", "end") for tick in ticks]
    parts += [
        words(across(step), bottom + 17, f"{step:.0f}", "tick", "middle") for step in steps if step <= last
    ]
    parts.append(words((left + right) / 2, bottom + 35, "iteration", "tick", "middle"))
    drawn: list[Markup] = []
    ends: list[tuple[float, float, str, str]] = []
    if truth is not None:
        parts.append(tag("line", x1=left, x2=right, y1=up(truth), y2=up(truth), class_="truth-line"))
        ends.append((right, up(truth), f"Truth {figure3(truth)}", "tick"))
    for line, text in zip(lines, texts):
        points = [(across(x), up(value)) for x, value in line["points"]]
        kind = f"{line['name']} {'strong' if line['strong'] else 'line' + str(line['key'] % 6)}"
        for again in line.get("again", ()):
            parts.append(path([(across(x), up(value)) for x, value in again], f"curve again {kind}"))
        drawn.append(path(points, f"curve {kind}"))
        x, value = line["best"]
        drawn.append(tag("circle", cx=across(x), cy=up(value), r=4, class_=f"best {kind}"))
        ends.append((*points[-1], text, "label strong" if line["strong"] else "label"))
    places = spread([y for _, y, _, _ in ends], 17, top, bottom)
    for (x, y, text, class_), place in zip(ends, places):
        parts.append(path([(x + 3, y), (max(x + 3, right + 1), y), (right + 10, place)], "leader"))
        parts.append(words(right + 14, place + 4, text, class_))
    said = ", ".join(f"{r['label']} {figure3(r['best'][1])} at iteration {r['best'][0]}" for r in lines)
    return figure(name, WIDTH, bottom + 42, title, f"Best validation AUC: {said}.", *parts, *drawn)


def warm(warmth: Row, name: str, title: str, of: str = "training purchases") -> Markup:
    """AUC by training purchases, of the held-out product for one: a line a model over bins of equal width.

    Parameters
    ----------
    warmth : mapping
        ``bins`` and ``lines``, see `standing.warmth`.
    name, title : str
    of : str
        What the bins count, below the axis.
    """
    bins, lines = warmth["bins"], warmth["lines"]
    values = [point for line in lines for point in line["points"] if point["auc"] is not None]
    lows = [_interval(point)[0] for point in values]
    ticks = round_ticks(min([*lows, 0.45]), 1.0, 6)
    texts = [shortened(line["label"], LONGEST) for line in lines]
    right = WIDTH - 14 - max(width_of(text, TEXT, bold=True) for text in (*texts, "chance"))
    top, bottom, left = 14.0, 232.0, 36.0
    up, room = Scale(ticks[0], 1.0, bottom, top), (right - left) / len(bins)
    parts = [tag("line", x1=left, x2=right, y1=up(tick), y2=up(tick), class_="grid") for tick in ticks]
    parts += [words(left - 6, up(tick) + 4, f"{tick:.2g}", "tick", "end") for tick in ticks]
    parts.append(tag("line", x1=left, x2=right, y1=up(0.5), y2=up(0.5), class_="chance"))
    longest = max(width_of(one["label"], 12.5) for one in bins) + 12
    for n, one in enumerate(bins):
        x = left + room * (n + 0.5)
        # Labels that would touch stand on two levels in turn.
        level = 0 if longest <= room else n % 2
        parts.append(words(x, bottom + 17 + 15 * level, one["label"], "tick", "middle"))
    down = bottom + (35 if longest <= room else 50)
    parts.append(words((left + right) / 2, down, of, "tick", "middle"))
    ends, said = [(right, up(0.5), "chance", "tick")], []
    rank = ("beside", "model", "best")  # the page's model is painted last, over the others
    for n in sorted(range(len(lines)), key=lambda n: rank.index(lines[n]["kind"])):
        line = lines[n]
        shift = (n - (len(lines) - 1) / 2) * min(5.0, 0.6 * room / len(lines))
        kind = {"best": "strong", "model": f"line{n % 6}", "beside": "beside"}[line["kind"]]
        points = []
        for at, point in enumerate(line["points"]):
            if point["auc"] is None:
                continue
            x, y = left + room * (at + 0.5) + shift, up(point["auc"])
            if len(lines) <= CROWD or kind == "strong":
                low, high = (up(value) for value in _interval(point))
                parts.append(upright(x, low, high, f"interval {kind}"))
            parts.append(tag("circle", cx=x, cy=y, r=3, class_=f"dot {kind}"))
            points.append((x, y))
        parts.append(path(points, f"curve {kind}"))
        ends.append((*points[-1], texts[n], f"label {kind}"))
        figures = ", ".join(
            f"{one['label']}: {figure3(point['auc'])}" for one, point in zip(bins, line["points"])
        )
        said.append(f"{line['label']} {figures}")
    places = spread([y for _, y, _, _ in ends], 17, top, bottom)
    for (x, y, text, class_), place in zip(ends, places):
        parts.append(path([(x + 4, y), (right + 1, y), (right + 10, place)], "leader"))
        parts.append(words(right + 14, place + 4, text, class_))
    return figure(name, WIDTH, down + 8, title, f"AUC by training purchases. {'; '.join(said)}.", *parts)


def scatter(
    points: Sequence[Sequence[float]],
    line: tuple[float, float],
    name: str,
    title: str,
    text: str,
    what: str = "contribution",
) -> Markup:
    """Learned over planted contributions, or `what` is compared, both on one scale, so that slopes are seen.

    Parameters
    ----------
    points : sequence of pairs
        Planted, learned.
    line : tuple of float
        Slope and intercept of the drawn line through them; the dashed one is where both are equal.
    name, title, text, what : str
    """
    spans = [(min(p[n] for p in points), max(p[n] for p in points)) for n in (0, 1)]
    (west, east), (south, north) = ((low - pad, high + pad) for low, high, pad in _padded(spans))
    left, top, most = 40.0, 24.0, WIDTH - 52
    unit = min(most / (east - west), 330 / (north - south))
    right, bottom = left + (east - west) * unit, top + (north - south) * unit
    across, up = Scale(west, east, left, right), Scale(south, north, bottom, top)
    parts: list[Markup] = []
    marked, digits = _ticks(west, east, 6)
    for tick in marked:
        parts.append(upright(across(tick), top, bottom, "grid" if tick else "zero"))
        parts.append(words(across(tick), bottom + 17, signed(tick, digits), "tick", "middle"))
    marked, digits = _ticks(south, north, 3 if bottom - top < 150 else 5)
    for tick in marked:
        class_ = "grid" if tick else "zero"
        parts.append(tag("line", x1=left, x2=right, y1=up(tick), y2=up(tick), class_=class_))
        parts.append(words(left - 6, up(tick) + 4, signed(tick, digits), "tick", "end"))
    marks = "".join(f"M{across(x):.1f} {up(y):.1f}h0" for x, y in points)
    parts.append(tag("path", d=marks, class_="cloud"))
    for slope, start, class_ in ((1.0, 0.0, "truth-line"), (*line, "fit-line")):
        ends = _inside(slope, start, (west, east), (south, north))
        if ends:
            parts.append(path([(across(x), up(slope * x + start)) for x in ends], class_))
    parts.append(words((left + right) / 2, bottom + 36, f"planted {what}", "tick", "middle"))
    parts.append(words(0, 11, f"learned {what}", "tick"))
    parts.append(words(right, 11, f"slope {plain(line[0])}", "label strong", "end"))
    return figure(name, WIDTH, bottom + 42, title, text, *parts)


def _ticks(low: float, high: float, about: int) -> tuple[list[float], int]:
    """Round numbers inside a span, and how many decimals they need."""
    ticks = round_ticks(low, high, about)
    digits = max(0, -math.floor(math.log10(ticks[1] - ticks[0]) + 1e-9))
    return [tick for tick in ticks if low <= tick <= high], digits


def _padded(spans: Sequence[tuple[float, float]]) -> list[tuple[float, float, float]]:
    """Each span with room beside it; none less than a quarter of the wider one."""
    wide = max(high - low for low, high in spans) or 1.0
    return [(low, high, max(0.03 * wide, (0.25 * wide - (high - low)) / 2)) for low, high in spans]


def _inside(
    slope: float, start: float, across: tuple[float, float], up: tuple[float, float]
) -> tuple[float, float] | None:
    """Where a line enters and leaves a rectangle."""
    low, high = across
    if slope:
        crossings = sorted(((up[0] - start) / slope, (up[1] - start) / slope))
        low, high = max(low, crossings[0]), min(high, crossings[1])
    return (low, high) if low < high else None


def steps(change: Row, panel: Row, name: str) -> Markup:
    """One feature's learned and planted style as steps over dates; all panels have one scale.

    Parameters
    ----------
    change : mapping
        ``planted_edges learned_edges`` in seconds, and the ``panels``.
    panel : mapping
        One of them: ``term planted learned``, a value an epoch.
    name : str
    """
    kinds = ("planted", "learned")
    every = [value for one in change["panels"] for kind in kinds for value in one[kind]]
    ticks = round_ticks(min([*every, 0.0]), max([*every, 0.0]), 4)
    start, end = change["planted_edges"][0], change["planted_edges"][-1]
    left, right, top, bottom = 34.0, PANEL_WIDTH - 4, 30.0, 150.0
    across, up = Scale(start, end, left, right), Scale(ticks[0], ticks[-1], bottom, top)
    value, group = named(panel["term"])
    label = tag("tspan", shortened(value, 22), class_="label strong")
    parts = [tag("text", label, f"  {shortened(group, 18)}", x=0, y=13, class_="muted")]
    for tick in ticks:
        class_ = "grid" if tick else "zero"
        parts.append(tag("line", x1=left, x2=right, y1=up(tick), y2=up(tick), class_=class_))
        parts.append(
            words(left - 6, up(tick) + 4, signed(tick, 0 if tick == int(tick) else 1), "tick", "end")
        )
    for moment, date in time_ticks(start, end, int((right - left) / 44)):
        x = across(moment)
        parts.append(upright(x, bottom, bottom + 4, "zero"))
        anchor = "start" if x < left + 24 else "end" if x > right - 24 else "middle"
        parts.append(words(x, bottom + 18, date, "tick", anchor))
    said = []
    for kind, class_ in (("learned", "step"), ("planted", "truth-line")):
        edges = [start, *change[f"{kind}_edges"][1:-1], end]
        line = [
            (across(edge), up(amount))
            for amount, begin, stop in zip(panel[kind], edges, edges[1:])
            for edge in (begin, stop)
        ]
        parts.append(path(line, class_))
        said.append(f"{kind} {', '.join(signed(amount) for amount in panel[kind])}")
    title = f"{panel['term']}: style over time, learned and planted"
    return figure(name, PANEL_WIDTH, bottom + 24, title, "; ".join(said) + ".", *parts)
