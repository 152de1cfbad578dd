"""``ivbpr doctor``: what this installation is and what it can use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ivbpr_cli.output import Answer, Screen

__all__ = ["doctor"]


def doctor(screen: Screen) -> None:
    """Versions, threads, which device is used and why, where compiled code is kept."""
    from ivbpr_numba import backends

    facts = backends.describe()
    screen.show(Answer("doctor", facts, [{"what": what, "value": value} for what, value in _flat(facts)]))


def _flat(facts: dict[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for key, value in facts.items():
        name = f"{above} {key}".strip().replace("_", " ")
        if isinstance(value, dict):
            yield from _flat(value, name)
        elif isinstance(value, bool):
            yield name, "yes" if value else "no"
        else:
            yield name, "not installed" if value is None else str(value)
