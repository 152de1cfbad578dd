"""Small pieces of SVG: escaped elements, scales with round ticks, a figure with title and description."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

__all__ = ["Scale", "figure", "path", "round_ticks", "spread", "tag", "upright", "words"]

Value = str | float | int


def tag(name: str, *children: Markup | str, **attributes: Value | None) -> Markup:
    """One element; text and attribute values are escaped, None attributes are left out.

    A trailing underscore of an attribute is dropped (``class_``), other underscores become hyphens.
    """
    parts = [
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), _value(value))
        for key, value in attributes.items()
        if value is not None
    ]
    inside = Markup("").join(escape(child) for child in children)
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(name), Markup("").join(parts), inside)


def words(x: float, y: float, text: str, class_: str = "", anchor: str = "start") -> Markup:
    """A line of text with its baseline at `y`."""
    return tag("text", text, x=x, y=y, text_anchor=anchor, class_=class_ or None)


def upright(x: float, top: float, bottom: float, class_: str) -> Markup:
    """A vertical line."""
    return tag("line", x1=x, x2=x, y1=top, y2=bottom, class_=class_)


def path(points: Sequence[tuple[float, float]], class_: str) -> Markup:
    """A line through points."""
    steps = " ".join(f"{_value(x)},{_value(y)}" for x, y in points)
    return tag("polyline", points=steps, class_=class_)


def figure(name: str, width: float, height: float, title: str, text: str, *children: Markup) -> Markup:
    """A drawing of its own, with the title and the description that a screen reader says.

    Parameters
    ----------
    name : str
        Unique in the page; the ids of title and description begin with it.
    width, height : float
        In units of the drawing; the page scales it.
    title, text : str
    *children
    """
    return tag(
        "svg",
        tag("title", title, id=f"{name}-title"),
        tag("desc", text, id=f"{name}-desc"),
        *children,
        viewBox=f"0 0 {_value(width)} {_value(height)}",
        role="img",
        aria_labelledby=f"{name}-title {name}-desc",
        class_=f"chart {name}",
    )


@dataclass(frozen=True)
class Scale:
    """A linear map of numbers to positions."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Position of a number."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def round_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers from at or below `low` to at or above `high`, about so many."""
    span = (high - low) or abs(high) or 1.0
    raw = span / max(about, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(n * step, 12) for n in range(first, last + 1)]


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Positions as near to the wanted ones as labels of height `gap` allow, in the same order."""
    order = sorted(range(len(wanted)), key=lambda n: wanted[n])
    placed = [min(max(wanted[n], low), high) for n in order]
    for n in range(1, len(placed)):
        placed[n] = max(placed[n], placed[n - 1] + gap)
    if placed and placed[-1] > high:
        placed[-1] = high
        for n in range(len(placed) - 2, -1, -1):
            placed[n] = min(placed[n], placed[n + 1] - gap)
    found = [0.0] * len(wanted)
    for n, position in zip(order, placed):
        found[n] = position
    return found


def _value(value: Value) -> str:
    if not isinstance(value, float):
        return str(value)
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
