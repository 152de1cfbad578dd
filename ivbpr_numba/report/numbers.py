"""How numbers and names appear on the page."""

from __future__ import annotations

from typing import Any

__all__ = ["figure3", "group_words", "named", "percent", "plain", "shortened", "signed", "thousands"]

MINUS = "\N{MINUS SIGN}"


def plain(value: float | None, digits: int = 2) -> str:
    """So many decimals with a true minus, none before a zero; a dash where there is no number."""
    if value is None:
        return "–"
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", MINUS)


def figure3(value: float | None) -> str:
    """Three decimals, a dash where there is none."""
    return plain(value, 3)


def signed(value: float | None, digits: int = 2) -> str:
    """With its sign, a true minus; zero has none, and nothing is a dash."""
    if value is None:
        return "–"
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text.replace("-", MINUS)


def percent(share: float | None, digits: int = 0) -> str:
    """A share as a percentage, its sign apart by a space that doesn't break."""
    if share is None:
        return "–"
    return plain(100 * share, digits) + "\N{NO-BREAK SPACE}%"


def thousands(value: Any) -> str:
    """A whole number with commas."""
    return f"{value:,}"


def named(term: str) -> tuple[str, str]:
    """Value and group of an attribute's name: ``garment=dress`` is ("dress", "garment")."""
    group, found, value = term.partition("=")
    return (value, group) if found else (term, "")


def group_words(group: str) -> str:
    """A group's name as people would say it: ``product_type_name`` is "product type"."""
    words = group.replace("_", " ").split()
    return " ".join(words[:-1] if len(words) > 1 and words[-1].lower() == "name" else words)


def shortened(text: str, length: int) -> str:
    """At most so many characters."""
    return text if len(text) <= length else text[: length - 1] + "…"
