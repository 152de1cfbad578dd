"""``ivbpr world``: a generated world as the files that a real user would have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ivbpr_cli.commands.options import argument, option
from ivbpr_cli.output import Answer, Screen, facts
from ivbpr_cli.paths import output_folder

__all__ = ["world"]


def world(
    screen: Screen,
    size: Annotated[str, argument("tiny, demo, drift, no-drift, seasons, S1, S2, paper or photos.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="The folder to write.", show_default=False)
    ],
    seed: Annotated[int, option("Seed of everything in it.")] = 0,
    users: Annotated[int | None, option("So many shoppers instead.")] = None,
    items: Annotated[int | None, option("So many products instead.")] = None,
    images: Annotated[
        bool, typer.Option("--images", help="Also draw a product photo of every item, images/ITEM.jpg.")
    ] = False,
) -> None:
    """Write a built-in world: purchases.csv, catalogue.csv and truth.h5 with what is behind them.

    In 'drift' tastes change twice in two years. In 'seasons', three years long, eight attributes follow the
    year and eight others rise or fall. In the others tastes stay; 'photos' has all values equally often, and
    'paper' the size of the paper's women's clothing: 400,000 shoppers, 1.4 million products with one of 200
    values in nine groups, 4 million purchases.

    The truth file also holds the truth AUC: that of the utilities the shoppers chose by, on the test items of
    the split that 'ivbpr prepare' makes by default.
    """
    from ivbpr_numba.documents import worlds as documents
    from ivbpr_numba.errors import UsageError, did_you_mean
    from ivbpr_numba.questions.auc import dataset_of, truth_auc
    from ivbpr_numba.worlds.world import SIZES, generate

    if size not in SIZES:
        raise UsageError(
            f"Unknown world '{size}'.", did_you_mean(size, SIZES) or f"Known: {', '.join(SIZES)}."
        )
    if images:
        from ivbpr_numba.worlds.catalogue import column_names
        from ivbpr_numba.worlds.pictures import check_drawn, write_pictures

        check_drawn(column_names(SIZES[size].groups, SIZES[size].tags))
    output_folder(out, "truth.h5")
    wanted = {name: n for name, n in (("users", users), ("items", items)) if n is not None}
    with screen.progress("generating") as observer:
        made = generate(size, seed, lambda done, total: observer({"done": done, "total": total}), **wanted)
        observer({"step": "judging the truth"})
        judged = truth_auc(made.truth, dataset_of(made))
    metrics = {
        f"{name}/{setting}": judged[name][setting]["auc"]
        for name in ("with_time", "without_time")
        for setting in ("all", "cold")
        if judged[name][setting]["auc"] is not None
    }
    paths = made.write(out, {f"truth_auc/{name}": value for name, value in metrics.items()})
    if images:
        with screen.progress("drawing") as observer:
            paths["images"] = write_pictures(
                made, out / "images", lambda done, total: observer({"done": done, "total": total})
            )
    document = documents.world(made, size, seed, metrics, paths, out)
    screen.show(Answer.of(document, [facts(document.rows[0])]))
