"""The drawings of the page, each a function from plain facts to SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from ivbpr_numba.report.numbers import figure3, named, shortened, signed
from ivbpr_numba.report.svg import Scale, figure, path, round_ticks, spread, tag, words
from ivbpr_numba.report.time_axis import time_ticks

__all__ = ["bars", "curves", "dots", "scatter", "shares", "steps"]

WIDTH = 400.0
PANEL_WIDTH = 320.0
Row = Mapping[str, Any]


def dots(models: Sequence[Row], truth: Row, setting: str, name: str, title: str) -> Markup:
    """AUC of every model as a dot on its 95 % interval; the truth as a diamond and a dashed line.

    Parameters
    ----------
    models : sequence of mappings
        ``label fitted`` and, where fitted, ``all`` and ``cold`` with ``auc ci95``.
    truth : mapping
    setting : str
        ``all`` or ``cold``; the axis spans its figures.
    name, title : str
    """
    fitted = [row for row in models if row["fitted"]]
    lows = [_interval(row[setting])[0] for row in fitted if row[setting]["auc"] is not None]
    ticks = round_ticks(min([*lows, 0.45]), 1.0, 8)
    axis = Scale(ticks[0], 1.0, 74.0, 350.0)
    step, top = 23.0, 44.0
    bottom = top + step * (len(models) + 1) - 8
    parts = [_vertical(axis(tick), top - 14, bottom, "grid") for tick in ticks]
    parts += [words(axis(tick), bottom + 16, f"{tick:.2g}", "tick", "middle") for tick in ticks]
    parts.append(words((axis.start + axis.end) / 2, bottom + 34, "AUC", "tick", "middle"))
    parts.append(_vertical(axis(0.5), top - 14, bottom, "chance"))
    parts.append(words(axis(0.5), top - 20, "chance", "tick", "middle"))
    best = truth[setting]["auc"]
    if best is not None:
        parts.append(_vertical(axis(best), top - 14, bottom, "truth-line"))
        parts.append(words(axis(best), top - 20, "truth", "tick", "middle"))
    said = []
    for n, row in enumerate([truth, *models]):
        y = top + step * n
        here = row.get(setting)
        if here is None or here["auc"] is None:
            text = "not in this demo" if here is None else "no such shopper"
            parts.append(words(66, y + 4, row["label"], "label muted", "end"))
            parts.append(words(axis.start + 8, y + 4, text, "muted halo"))
            continue
        mark = "truth" if row is truth else "mark strong" if row.get("best") else "mark"
        parts.append(words(66, y + 4, row["label"], f"label {mark}", "end"))
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


def _vertical(x: float, top: float, bottom: float, class_: str) -> Markup:
    return tag("line", x1=x, x2=x, y1=top, y2=bottom, class_=class_)


def curves(lines: Sequence[Row], truth: float | None, name: str, title: str) -> Markup:
    """Validation AUC by iteration; each line is labelled at its end and marked where it was best.

    Parameters
    ----------
    lines : sequence of mappings
        ``name label points best``, the points being pairs of iteration and AUC.
    truth : float or None
        Validation AUC of the truth: a dashed line.
    name, title : str
    """
    every = [value for line in lines for _, value in line["points"]] or [0.5, 1.0]
    last = max((x for line in lines for x, _ in line["points"]), default=1)
    ticks = round_ticks(min(every), max([*every, truth or 0.0]), 5)
    steps = round_ticks(0, last, 5)
    top, bottom = 14.0, 232.0
    across, up = Scale(0, max(last, 1), 34.0, 286.0), Scale(ticks[0], ticks[-1], bottom, top)
    parts = [tag("line", x1=34, x2=286, y1=up(tick), y2=up(tick), class_="grid") for tick in ticks]
    parts += [words(28, up(tick) + 4, f"{tick:.2g}", "tick", "end") for tick in ticks]
    parts += [
        words(across(step), bottom + 17, f"{step:.0f}", "tick", "middle") for step in steps if step <= last
    ]
    parts.append(words(160, bottom + 35, "iteration", "tick", "middle"))
    drawn: list[Markup] = []
    ends: list[tuple[float, float, str, str]] = []
    if truth is not None:
        parts.append(tag("line", x1=34, x2=286, y1=up(truth), y2=up(truth), class_="truth-line"))
        ends.append((286.0, up(truth), f"Truth {figure3(truth)}", "tick"))
    for line in lines:
        points = [(across(x), up(value)) for x, value in line["points"]]
        drawn.append(path(points, f"curve {line['name']}"))
        x, value = line["best"]
        drawn.append(tag("circle", cx=across(x), cy=up(value), r=4, class_=f"best {line['name']}"))
        text = f"{line['label']} {figure3(value)}"
        ends.append((*points[-1], text, f"label {line['name']}"))
    places = spread([y for _, y, _, _ in ends], 17, top, bottom)
    for (x, y, text, class_), place in zip(ends, places):
        parts.append(path([(x + 3, y), (max(x + 3, 287), y), (296, place)], "leader"))
        parts.append(words(300, place + 4, text, class_))
    said = ", ".join(f"{r['label']} {figure3(r['best'][1])} at iteration {r['best'][0]}" for r in lines)
    return figure(name, WIDTH, bottom + 42, title, f"Best validation AUC: {said}.", *parts, *drawn)


def bars(terms: Sequence[Row], name: str, title: str) -> Markup:
    """Learned and planted contribution of each term as two bars on one scale.

    Parameters
    ----------
    terms : sequence of mappings
        ``term learned planted``.
    name, title : str
    """
    every = [term[key] for term in terms for key in ("learned", "planted")]
    low, high = min([*every, 0.0]), max([*every, 0.0])
    if low == high:
        high = 1.0
    axis = Scale(low, high, 46.0 if low < 0 else 2.0, WIDTH - 46 if high > 0 else WIDTH - 2)
    step, top = 46.0, 16.0
    bottom = top + step * len(terms) - 6
    parts: list[Markup] = []
    for n, term in enumerate(terms):
        y = top + step * n
        value, group = named(term["term"])
        label = tag("tspan", shortened(value, 30), class_="label strong")
        parts.append(tag("text", label, f"  {shortened(group, 24)}", x=0, y=y + 4, class_="muted"))
        parts.append(_vertical(axis(0.0), y + 8, y + 35, "zero"))
        for offset, key in ((10.0, "learned"), (23.0, "planted")):
            amount = term[key]
            left, right = sorted((axis(0.0), axis(amount)))
            parts.append(
                tag("rect", x=left, y=y + offset, width=right - left, height=10, class_=f"bar {key}")
            )
            at, anchor = (right + 5, "start") if amount >= 0 else (left - 5, "end")
            parts.append(words(at, y + offset + 9.5, signed(amount), "value", anchor))
    said = "; ".join(
        f"{term['term']}: learned {signed(term['learned'])}, planted {signed(term['planted'])}"
        for term in terms
    )
    return figure(name, WIDTH, bottom + 6, title, said + ".", *parts)


def scatter(
    points: Sequence[Sequence[float]], name: str, title: str, text: str, what: str = "contribution"
) -> Markup:
    """Learned over planted contributions, or `what` is compared; the dashed line is where both are equal."""
    across_ticks = round_ticks(min(x for x, _ in points), max(x for x, _ in points), 6)
    up_ticks = round_ticks(min(y for _, y in points), max(y for _, y in points), 5)
    left, right, top, bottom = 40.0, 388.0, 24.0, 250.0
    across = Scale(across_ticks[0], across_ticks[-1], left, right)
    up = Scale(up_ticks[0], up_ticks[-1], bottom, top)
    parts = [tag("line", x1=left, x2=right, y1=up(t), y2=up(t), class_="grid") for t in up_ticks]
    parts += [_vertical(across(t), top, bottom, "grid") for t in across_ticks]
    parts += [words(left - 6, up(t) + 4, signed(t, 0 if t == int(t) else 1), "tick", "end") for t in up_ticks]
    parts += [
        words(across(t), bottom + 17, signed(t, 0 if t == int(t) else 1), "tick", "middle")
        for t in across_ticks
    ]
    marks = "".join(f"M{across(x):.1f} {up(y):.1f}h0" for x, y in points)
    parts.append(tag("path", d=marks, class_="cloud"))
    low, high = max(across.low, up.low), min(across.high, up.high)
    parts.append(path([(across(low), up(low)), (across(high), up(high))], "truth-line"))
    parts.append(words((left + right) / 2, bottom + 36, f"planted {what}", "tick", "middle"))
    parts.append(words(0, 11, f"learned {what}", "tick"))
    return figure(name, WIDTH, bottom + 42, title, text, *parts)


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
        parts.append(words(width + 6, y + 16, f"{100 * row['share']:.0f} %", "value"))
    said = ", ".join(f"{row['what']} {100 * row['share']:.0f} %" for row in rows)
    return figure(name, WIDTH, top + step * len(rows) - 8, title, said + ".", *parts)


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
        parts.append(_vertical(x, bottom, bottom + 4, "zero"))
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
