"""``ivbpr report``: one page about fitted models, or about a table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ivbpr_cli.commands.options import argument, option, out
from ivbpr_cli.output import Answer, Screen, Table
from ivbpr_cli.paths import input_file, input_images, output_file
from ivbpr_numba.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["report"]

Paths = list[Path] | None


def report(
    screen: Screen,
    models: Annotated[
        list[Path],
        argument(
            "Files written by 'ivbpr fit' on one dataset, the page speaks of the first; or the file of one "
            "'ivbpr table2'.",
            metavar="MODEL...",
        ),
    ],
    out: Annotated[Path, out("The page to write, for example report.html.")],
    images: Annotated[
        Path | None, option("Folder, zip or tar of photos of the products, ITEM.jpg or so.")
    ] = None,
    data: Annotated[
        Path | None, option("The dataset of the fits: the page then says what prepare dropped.")
    ] = None,
    features: Annotated[Paths, option("A feature file, if it is not where a model says; repeatable.")] = None,
    user: Annotated[
        list[str] | None, option("A user to explain, before those chosen by rule; repeatable, up to 20.")
    ] = None,
    title: Annotated[str | None, option("Headline; what was found where not given.", metavar="TEXT")] = None,
    paper: Annotated[
        bool, typer.Option("--paper", help="Of a table: the paper's own numbers beside it.")
    ] = False,
) -> None:
    """One self-contained HTML page about fitted models or a table: how well they rank, what was learned, why.

    It shows a recommendation with its reasons, AUC with intervals and paired differences, learning curves,
    AUC from cold to warm products, what the shop likes, trends of models in time, a typical shopper, a heavy
    one and one whom the model misses, and the figures of the fits. What a model can't tell is left out. The
    page loads nothing and contains no script; photos are made small, so it has a few hundred kB.

    The page of a table has its figures with intervals, whether the paper's ordering holds, single shoppers,
    cold to warm, learning curves, how sure the figures are, trends, what tuning found, and costs. It is drawn
    from the table's file alone.
    """
    given = [(path, "model") for path in models]
    given += [(path, "feature file") for path in features or ()]
    given += [(data, "dataset")] if data is not None else []
    for path, what in given:
        input_file(path, what)
    if images is not None:
        input_images(images)
    output_file(out, *(path for path, _ in given))

    from ivbpr_numba.store.files import format_of
    from ivbpr_numba.table2.file import FORMAT

    if any(format_of(path) == FORMAT for path in models):
        _of_table(screen, models, out, paper, title, [images, data, features, user])
        return
    if paper:
        raise UsageError("--paper belongs to the page of a table; these are models.", "Leave it out.")

    from ivbpr_numba.datasets.dataset import Dataset
    from ivbpr_numba.documents import models as documents
    from ivbpr_numba.features.features import Features
    from ivbpr_numba.report import write_report

    found = write_report(
        models,
        out,
        data=Dataset.read(data) if data is not None else None,
        features=[Features.read(path) for path in features or ()],
        images=images,
        users=user or (),
        title=title,
    )
    for text in found["notes"]:
        screen.note(text)
    facts: dict[str, Any] = {
        "page": found["out"],
        "models": ", ".join(found["models"]),
        "sections": ", ".join(found["sections"]),
        "users": ", ".join(one["user"] for one in found["users"]),
    }
    if images is not None:
        facts["products with a photo"] = f"{found['photos']} of the {found['products']} shown"
    facts["kB"] = round(found["bytes"] / 1000)
    rows = [{"what": what, "value": value} for what, value in facts.items()]
    screen.show(Answer.of(documents.report(found), [Table(rows)], [f"Open {out} in a browser."]))


def _of_table(
    screen: Screen, models: Sequence[Path], out: Path, paper: bool, title: str | None, others: Sequence[Any]
) -> None:
    """The page of a table, which has everything in its file."""
    if len(models) > 1:
        raise UsageError(
            "The page of a table is about one table, and nothing beside it.",
            "Name one file of 'ivbpr table2'.",
        )
    if any(others):
        raise UsageError(
            "The page of a table is drawn from its file alone: --images, --data, --features and --user "
            "belong to pages of models.",
            "Leave them out.",
        )
    from ivbpr_numba.documents import models as documents
    from ivbpr_numba.report import write_table_report

    found = write_table_report(models[0], out, paper=paper, title=title)
    facts = {
        "page": found["out"],
        "models": ", ".join(found["models"]),
        "corpora": ", ".join(found["subsets"]),
        "runs": found["runs"],
        "sections": ", ".join(found["sections"]),
        "kB": round(found["bytes"] / 1000),
    }
    rows = [{"what": what, "value": value} for what, value in facts.items()]
    screen.show(Answer.of(documents.table_report(found), [Table(rows)], [f"Open {out} in a browser."]))
