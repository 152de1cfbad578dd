"""How objects look in notebooks: a small table of facts."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

__all__ = ["facts_as_html"]


def facts_as_html(caption: str, facts: Mapping[str, str]) -> str:
    """Names and values as an HTML table; both may hold anything, so everything is escaped."""
    left = 'style="text-align:left"'
    rows = "".join(
        f"<tr><th {left}>{escape(name)}</th><td {left}>{escape(value)}</td></tr>"
        for name, value in facts.items()
    )
    return f"<table><caption>{escape(caption)}</caption><tbody>{rows}</tbody></table>"
