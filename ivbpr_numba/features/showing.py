"""Features in a notebook: a small table, with every name escaped."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ivbpr_numba.features.features import Features

__all__ = ["as_html", "shorten"]

GROUPS, NAMES, CHARACTERS = 12, 6, 40


def shorten(name: str) -> str:
    """A name fit for one line of a summary."""
    name = "".join(c if c.isprintable() else "�" for c in name)
    return name if len(name) <= CHARACTERS else f"{name[:CHARACTERS]}…"


def as_html(features: Features) -> str:
    """Kind, shape, type, and the first names of the first groups."""

    def cell(text: str) -> str:
        return f"<td style='text-align: left'>{escape(text)}</td>"

    rows, columns = features.shape
    title = f"Features: {rows:,} items × {columns:,} columns, {features.kind}, {features.dtype}"
    if features.sparse:
        title += ", sparse"
    if features.path:
        title += f", {features.path}"
    lines = []
    for group in features.groups[:GROUPS]:
        own = features.names[group.offset : group.offset + group.size]
        start = f"{group.name}="
        names = ", ".join(shorten(name.removeprefix(start)) for name in own[:NAMES])
        many = "one value an item" if group.exclusive else "any number of values"
        lines.append(
            "<tr>"
            + cell(shorten(group.name))
            + cell(f"{group.size:,}")
            + cell(many)
            + cell(names + (", …" if group.size > NAMES else ""))
            + "</tr>"
        )
    if len(features.groups) > GROUPS:
        lines.append(f"<tr>{cell(f'… {len(features.groups) - GROUPS:,} more groups')}</tr>")
    head = "".join(f"<th style='text-align: left'>{name}</th>" for name in ("group", "columns", "", "names"))
    return f"<div><p>{escape(title)}</p><table><tr>{head}</tr>{''.join(lines)}</table></div>"
