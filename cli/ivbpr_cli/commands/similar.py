"""``ivbpr similar``: the items nearest to one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from ivbpr_cli.commands.options import argument, option
from ivbpr_cli.commands.recommend import Texts, parse_where
from ivbpr_cli.output import Answer, Screen, Table
from ivbpr_cli.paths import input_file

__all__ = ["similar"]


def similar(
    screen: Screen,
    model: Annotated[Path, argument("A file written by 'ivbpr fit'.")],
    item: Annotated[str, argument("The item's id.")],
    n: Annotated[int, option("How many items.", flags=("--number", "-n"))] = 10,
    where: Annotated[Texts, option("As for 'ivbpr recommend'.", metavar="COL=VALUE")] = None,
    features: Annotated[Path | None, option("Feature file, if it is not where the model says.")] = None,
) -> None:
    """The items that the model places nearest: cosine of their style, or of their latent factors."""
    conditions = parse_where(where)
    input_file(model, "model")
    if features is not None:
        input_file(features, "feature file")

    from ivbpr_numba.documents import items as documents
    from ivbpr_numba.features.features import Features
    from ivbpr_numba.models import load

    fitted = load(model)
    given = Features.read(features) if features is not None else None
    found = documents.similar(fitted, item, n, where=conditions, features=given)
    screen.show(
        Answer.of(found, [Table(found.rows, f"Like {item}, by {fitted.name}")], found.content["notes"])
    )
