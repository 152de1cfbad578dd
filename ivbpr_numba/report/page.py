"""From facts to the page: the template with its drawings, written as one file."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from ivbpr_numba.report import charts, numbers
from ivbpr_numba.store.atomic import PathLike, write_bytes

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["render", "write_report"]

TEMPLATE = "report.html.j2"


def render(story: Mapping[str, Any]) -> str:
    """The page as text.

    Parameters
    ----------
    story : mapping
        What `story.tell` returns. Every text in it is escaped.
    """
    explained = story["explained"]
    drawings: dict[str, Any] = {
        "all": charts.dots(
            story["models"], story["truth"], "all", "dots-all", "All Items: AUC with 95 % intervals"
        ),
        "cold": charts.dots(
            story["models"], story["truth"], "cold", "dots-cold", "Cold Start: AUC with 95 % intervals"
        ),
        "curves": charts.curves(
            story["curves"], story["truth"]["valid"], "curves", "Validation AUC by iteration"
        ),
        "shares": charts.shares(story["world"]["utility"], "shares", "What decides a purchase"),
        "terms": charts.bars(
            [term for term in explained["terms"] if term["kind"] == "attribute"],
            "terms",
            "Contribution of each attribute, learned and planted",
        ),
        "agreement": charts.scatter(
            story["agreement"]["points"],
            "agreement",
            "Learned over planted contributions",
            f"Correlation {story['agreement']['correlation']:.2f}; the dashed line is where both are equal.",
        ),
    }
    change = story["change"]
    if change:
        drawings["panels"] = [
            charts.steps(change, panel, f"steps-{n}") for n, panel in enumerate(change["panels"])
        ]
        drawings["change"] = charts.scatter(
            change["points"],
            "change",
            "Learned over planted changes of style",
            f"Correlation {change['correlation']:.2f}; the dashed line is where both are equal.",
            "change",
        )
    by_name = {row["name"]: row for row in story["models"]}
    page = _environment().get_template(TEMPLATE)
    return page.render(story, drawings=drawings, by_name=by_name) + "\n"


def write_report(story: Mapping[str, Any], path: PathLike) -> None:
    """Write the page; it appears only complete."""
    write_bytes(path, render(story).encode())


def _asset(name: str) -> str:
    return resources.files("ivbpr_numba").joinpath("assets", name).read_text(encoding="utf-8")


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
        "quoted": shlex.quote,
    }
    return made
