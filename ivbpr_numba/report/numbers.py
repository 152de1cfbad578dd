"""How numbers and names appear on the page."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable
from typing import Any

__all__ = [
    "figure3", "group_words", "named", "percent", "plain", "shared_values", "shortened", "signed",
    "thousands", "worded",
]  # fmt: skip

MINUS = "\N{MINUS SIGN}"
# Values that say nothing without their group; numbers neither.
EMPTY = {"", "unknown", "other", "others", "undefined", "none", "n/a", "na", "nan", "null", "missing",
         "not available", "not specified", "unspecified", "yes", "no", "true", "false"}  # fmt: skip
_NUMBER = re.compile(r"[-+−]?[\d.,:/ %–-]*\d[\d.,:/ %–-]*")


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


def shared_values(terms: Iterable[str]) -> frozenset[str]:
    """Values that stand in several groups."""
    groups = Counter(named(term)[0] for term in terms)
    return frozenset(value for value, count in groups.items() if count > 1)


def worded(term: str, shared: Collection[str] = ()) -> str:
    """An attribute by its value; with the group where the value alone says nothing or is one of `shared`."""
    value, group = named(term)
    bare = value in shared or value.strip().lower() in EMPTY or _NUMBER.fullmatch(value.strip())
    return f"{value} ({group_words(group)})" if group and bare else value


def shortened(text: str, length: int) -> str:
    """At most so many characters."""
    return text if len(text) <= length else text[: length - 1] + "…"
