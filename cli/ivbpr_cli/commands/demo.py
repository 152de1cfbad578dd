"""``ivbpr demo``: the whole way on a small generated world, without arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ivbpr_cli.commands.options import option
from ivbpr_cli.output import Answer, Screen, Table
from ivbpr_cli.paths import output_folder

__all__ = ["demo"]


def demo(
    screen: Screen,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="The folder to write.")] = Path(
        "ivbpr-demo"
    ),
    seed: Annotated[int, option("Seed of the world and of every fit.")] = 0,
    size: Annotated[
        str, option("World: demo (2,000 shoppers, 3,000 products) or tiny (200 and 300).")
    ] = "demo",
) -> None:
    """Generate a small world, prepare it, fit every model, and show their AUC beside the truth.

    The folder also gets report.html, a page to look at and to hand on.
    """
    from ivbpr_numba.demo import check_size, run_demo

    check_size(size)
    output_folder(out, "truth.h5")
    with screen.progress("demo") as observer:
        found = run_demo(out, seed, observer, size)
    world = found["world"]
    title = (
        f"AUC on the test items of {world['users']:,} shoppers and {world['items']:,} products "
        f"({world['interactions']:,} purchases)"
    )
    notes = [
        "truth: the utilities that the shoppers really chose by. of the way: from chance (0.5) to the truth.",
        *(f"{model} sees {what}." for model, what in found["features"].items()),
        f"Every file is in {out}. Next: ivbpr auc {out / 'i-vbpr.h5'}",
        f"What was planted, what was learned and why, as a page: {found['files']['report']}",
    ]
    screen.show(Answer("demo", found, found["models"], [Table(found["models"], title)], notes))
