"""The drawings that only the page of a table has; `report.charts` and `report.bars` have the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from ivbpr_numba.report.drawing import width_of
from ivbpr_numba.report.numbers import figure3, percent, plain, signed
from ivbpr_numba.report.svg import Scale, figure, round_ticks, tag, upright, words

__all__ = ["distances", "gaps", "importance", "ridges", "scatters"]

WIDTH = 400.0  # see `report.charts`
TEXT = 13.0
Row = Mapping[str, Any]


def ridges(rows: Sequence[Row], name: str, title: str) -> Markup:
    """How the AUC of single shoppers is distributed: a hill a column, its median as a line.

    Parameters
    ----------
    rows : sequence of mappings
        See `shoppers.distributions`.
    name, title : str
    """
    left = max(width_of(row["label"], TEXT, bold=True) for row in rows) + 8
    axis = Scale(0.0, 1.0, left, WIDTH - 52)
    step, tall, top = 34.0, 42.0, 58.0
    bottom = top + step * (len(rows) - 1) + 6
    # What learned nothing may have a peak that would flatten all others: it is cut.
    most = max(max(row["shares"]) for row in [row for row in rows if not row["beside"]] or rows)
    parts = [
        upright(axis(tick / 4), top - 36, bottom, "grid" if tick != 2 else "chance") for tick in range(5)
    ]
    parts += [words(axis(tick / 4), bottom + 16, f"{tick / 4:g}", "tick", "middle") for tick in range(5)]
    parts.append(words((axis.start + axis.end) / 2, bottom + 34, "AUC of a shopper", "tick", "middle"))
    parts.append(words(WIDTH, 12, "median", "tick", "end"))
    said = []
    for n, row in enumerate(rows):
        base, strong = top + step * n, " strong" if row["best"] else ""
        wide = (axis.end - axis.start) / len(row["shares"])
        outline = [f"M{axis.start:.1f} {base:.1f}"]
        for k, share in enumerate(row["shares"]):
            outline.append(f"V{base - tall * min(share / most, 1.0):.1f}H{axis.start + wide * (k + 1):.1f}")
        parts.append(tag("path", d=f"{''.join(outline)}V{base:.1f}z", class_=f"hill{strong}"))
        middle = row["quantiles"][2]
        parts.append(upright(axis(middle), base - 15, base, f"median{strong}"))
        parts.append(words(left - 8, base, row["label"], f"label{strong}", "end"))
        parts.append(words(WIDTH, base, figure3(middle), f"value{strong}", "end"))
        said.append(f"{row['label']} median {figure3(middle)}, {percent(row['below'])} below one half")
    return figure(name, WIDTH, bottom + 42, title, "; ".join(said) + ".", *parts)


def gaps(pairs: Sequence[Row], setting: str, name: str, title: str) -> Markup:
    """Paired differences with their 95 % intervals around zero; filled where a difference is shown.

    Parameters
    ----------
    pairs : sequence of mappings
        ``label`` and by setting ``difference ci95 shown``.
    setting : str
    name, title : str
    """
    rows = [(pair["label"], pair[setting]) for pair in pairs if setting in pair]
    ends = [end for _, row in rows if row["ci95"] for end in row["ci95"]]
    ticks = round_ticks(min([*ends, -0.01]), max([*ends, 0.01]), 5)
    axis = Scale(ticks[0], ticks[-1], 20.0, WIDTH - 60)
    step, top = 37.0, 14.0
    bottom = top + step * len(rows) - 8
    parts = [upright(axis(tick), 0, bottom, "grid" if abs(tick) > 1e-12 else "zero") for tick in ticks]
    digits = 2 if ticks[1] - ticks[0] >= 0.01 else 3
    for tick in ticks:
        parts.append(words(axis(tick), bottom + 16, signed(tick, digits), "tick", "middle"))
    parts.append(words((axis.start + axis.end) / 2, bottom + 34, "difference of AUC", "tick", "middle"))
    said = []
    for n, (label, row) in enumerate(rows):
        y = top + step * n
        parts.append(words(0, y, label, "label halo"))
        value = row["difference"]
        parts.append(words(WIDTH, y + 15, signed(value, 3), "value", "end"))
        said.append(f"{label} {signed(value, 3)}")
        if value is None:
            continue
        kind = "strong" if row["shown"] else "open"
        if row["ci95"]:
            low, high = (axis(end) for end in row["ci95"])
            parts.append(_whisker(low, high, y + 11, 5, f"interval {kind}"))
        parts.append(tag("circle", cx=axis(value), cy=y + 11, r=3.8, class_=f"dot {kind}"))
    return figure(name, WIDTH, bottom + 42, title, "; ".join(said) + ".", *parts)


def distances(rows: Sequence[Row], name: str, title: str) -> Markup:
    """How far columns are from BPR-MF: here as a dot, in the paper's corpora as rings.

    Parameters
    ----------
    rows : sequence of mappings
        ``label here paper``, see `standing.paper`.
    name, title : str
    """
    every = [value for row in rows for value in (row["here"], *row["paper"])]
    left = max(width_of(row["label"], TEXT) for row in rows) + 8
    ticks = round_ticks(min([*every, 0.0]), max([*every, 0.01]), 4)
    axis = Scale(ticks[0], ticks[-1], left + 6, WIDTH - 60)
    step, top = 26.0, 14.0
    bottom = top + step * (len(rows) - 1) + 12
    parts = [upright(axis(tick), 0, bottom, "grid" if abs(tick) > 1e-12 else "zero") for tick in ticks]
    parts += [words(axis(tick), bottom + 16, signed(tick), "tick", "middle") for tick in ticks]
    parts.append(words((axis.start + axis.end) / 2, bottom + 34, "AUC less that of BPR-MF", "tick", "middle"))
    said = []
    for n, row in enumerate(rows):
        y = top + step * n
        parts.append(words(left - 8, y + 4, row["label"], "label", "end"))
        parts += [tag("circle", cx=axis(value), cy=y, r=4.2, class_="ring") for value in row["paper"]]
        parts.append(tag("circle", cx=axis(row["here"]), cy=y, r=4.2, class_="dot strong"))
        parts.append(words(WIDTH, y + 4, signed(row["here"], 3), "value", "end"))
        own = ", ".join(signed(value, 3) for value in row["paper"])
        said.append(f"{row['label']} here {signed(row['here'], 3)}, in the paper {own}")
    return figure(name, WIDTH, bottom + 42, title, "; ".join(said) + ".", *parts)


def scatters(rows: Sequence[Row], name: str, title: str) -> Markup:
    """The runs of each column around their mean, on the 95 % interval, beside what luck alone would do.

    Parameters
    ----------
    rows : sequence of mappings
        See `runs.runs`.
    name, title : str
    """
    left = max(width_of(row["label"], TEXT, bold=True) for row in rows) + 8
    reach = max(abs(end - row["mean"]) for row in rows for end in (*row["ci95"], *row["each"]))
    reach = max(reach, *(_reach(row) for row in rows))
    ticks = round_ticks(-reach, reach, 4)
    axis = Scale(ticks[0], ticks[-1], left + 6, WIDTH - 20)
    step, top = 30.0, 16.0
    bottom = top + step * (len(rows) - 1) + 16
    digits = 2 if ticks[1] - ticks[0] >= 0.01 else 3
    parts = [upright(axis(tick), 0, bottom, "grid" if abs(tick) > 1e-12 else "zero") for tick in ticks]
    for tick in ticks:
        parts.append(words(axis(tick), bottom + 16, signed(tick, digits), "tick", "middle"))
    parts.append(words(axis(0.0), bottom + 34, "AUC less the mean of the runs", "tick", "middle"))
    said = []
    for n, row in enumerate(rows):
        y, strong = top + step * n, " strong" if row["best"] else ""
        parts.append(words(left - 8, y + 4, row["label"], f"label{strong}", "end"))
        low, high = (axis(end - row["mean"]) for end in row["ci95"])
        parts.append(tag("rect", x=low, y=y - 9, width=high - low, height=18, class_="range"))
        half = _reach(row)
        parts.append(_whisker(axis(-half), axis(half), y, 5, "interval"))
        for value in row["each"]:
            parts.append(tag("circle", cx=axis(value - row["mean"]), cy=y, r=3.8, class_=f"dot{strong}"))
        away = ", ".join(signed(value - row["mean"], 3) for value in row["each"])
        said.append(
            f"{row['label']} {away}, 95 % interval ±{plain((row['ci95'][1] - row['ci95'][0]) / 2, 3)}"
        )
    return figure(name, WIDTH, bottom + 42, title, "; ".join(said) + ".", *parts)


def _whisker(low: float, high: float, y: float, half: float, class_: str) -> Markup:
    """A line from `low` to `high` with a cap at each end."""
    cap = f"{y - half:.2f}v{2 * half:g}"
    return tag("path", d=f"M{low:.2f} {cap}M{low:.2f} {y:.2f}H{high:.2f}M{high:.2f} {cap}", class_=class_)


def _reach(row: Row) -> float:
    """Half of where 95 of 100 runs would lie around the mean of all, were there nothing but luck."""
    count = len(row["each"])
    return float(1.96 * row["luck"] * ((count - 1) / count) ** 0.5)


def importance(rows: Sequence[Row], name: str, title: str) -> Markup:
    """The share of each option in the differences between trials as bars, with their errors.

    Parameters
    ----------
    rows : sequence of mappings
        ``option share stderr``.
    name, title : str
    """
    low = min([0.0, *(row["share"] - row["stderr"] for row in rows)])
    high = max([0.05, *(row["share"] + row["stderr"] for row in rows)])
    axis = Scale(low, high, 4.0, WIDTH - 84)
    step, top = 37.0, 14.0
    bottom = top + step * len(rows) - 12
    parts, said = [upright(axis(0.0), 0, bottom, "zero")], []
    for n, row in enumerate(rows):
        y = top + step * n
        parts.append(words(0, y, row["option"].replace("_", " "), "label halo"))
        start, end = sorted((axis(0.0), axis(row["share"])))
        parts.append(tag("rect", x=start, y=y + 6, width=end - start, height=10, class_="bar learned"))
        left, right = (axis(row["share"] + sign * row["stderr"]) for sign in (-1, 1))
        parts.append(_whisker(left, right, y + 11, 4, "interval"))
        text = f"{percent(row['share'])} ± {plain(100 * row['stderr'], 0)}"
        parts.append(words(WIDTH, y + 15, text, "value", "end"))
        said.append(f"{row['option']} {text}")
    return figure(name, WIDTH, bottom + 4, title, "; ".join(said) + ".", *parts)
