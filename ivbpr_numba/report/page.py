"""From facts to the page: templates with their drawings, written as one file."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from ivbpr_numba.report import bars, charts, numbers
from ivbpr_numba.report.tables import charts as of_tables
from ivbpr_numba.store.atomic import PathLike, write_bytes

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["render", "write_page"]

FOLDER = "report"
DRAW = {
    "bars": bars.bars,
    "limits": bars.limits,
    "shares": bars.shares,
    "curves": charts.curves,
    "distances": of_tables.distances,
    "dots": charts.dots,
    "gaps": of_tables.gaps,
    "importance": of_tables.importance,
    "ridges": of_tables.ridges,
    "scatter": charts.scatter,
    "scatters": of_tables.scatters,
    "steps": charts.steps,
    "warm": charts.warm,
}


def render(story: Mapping[str, Any]) -> str:
    """The page as text: its kind's template, and the template of each of its sections.

    Parameters
    ----------
    story : mapping
        What `telling.tell_models` or `story.tell` returns. Every text in it is escaped.
    """
    return _environment().get_template(f"{story['page']}.html.j2").render(story).lstrip() + "\n"


def write_page(story: Mapping[str, Any], path: PathLike) -> None:
    """Write the page; it appears only complete."""
    write_bytes(path, render(story).encode())


def _asset(name: str) -> str:
    return resources.files("ivbpr_numba").joinpath("assets", FOLDER, name).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    made = Environment(
        loader=FunctionLoader(_asset),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "auc": numbers.figure3,
        "signed": numbers.signed,
        "percent": numbers.percent,
        "thousands": numbers.thousands,
        "named": numbers.named,
        "plain": numbers.plain,
        "group_words": numbers.group_words,
        "quoted": shlex.quote,
        "worded": numbers.worded,
    }
    made.globals["draw"] = DRAW
    return made
