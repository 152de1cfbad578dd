"""Figures of programs that are not run here, as they were recorded: `data/peers.json`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["Recorded", "document", "reached_auc", "recorded"]

FILE = Path(__file__).parents[1] / "data" / "peers.json"


@dataclass(frozen=True)
class Recorded:
    """A recorded rate, a CPU second on the machine that `data/peers.json` names.

    By the clock it is taken to be twice as fast at two threads, even if the program computes on one.

    Attributes
    ----------
    name : str
        Program and method.
    rate : float
    implicit : float
        Rate of implicit recorded beside it, to carry `rate` over to another machine.
    label : str
        Label of the implementation that takes its place where it is measured in the same run.
    """

    name: str
    rate: float
    implicit: float
    label: str = ""


@cache
def document() -> dict[str, Any]:
    """The whole file."""
    return json.loads(FILE.read_text())


def recorded(key: str) -> Recorded:
    """The recorded rate of this key."""
    found = document()["rates"][key]
    return Recorded(found["name"], found["per_cpu_second"], found["beside_implicit"], found.get("label", ""))


def reached_auc(key: str) -> dict[str, Any]:
    """A recorded AUC with its settings."""
    return document()["auc"][key]
