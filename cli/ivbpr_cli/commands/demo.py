"""``ivbpr demo``: the whole way on a small generated world, without arguments."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from ivbpr_cli.commands.options import option
from ivbpr_cli.compiling import takes
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
        str,
        option(
            "World: demo (2,000 shoppers, 3,000 products), tiny (200 and 300), or drift (6,000 and 3,000; "
            "style changes, and the models in time see it)."
        ),
    ] = "demo",
) -> None:
    """Generate a small world with photos, prepare it, fit every model, and show their AUC beside the truth.

    A small network that comes with ivbpr looks at the photos. The folder also gets report.html, a page to
    look at and to hand on.
    """
    from ivbpr_numba.demo import check_size, run_demo

    check_size(size)
    screen.compiling_takes = takes("demo", size)
    output_folder(out, "truth.h5")
    with screen.progress("demo") as observer:
        found = run_demo(out, seed, observer, size)
    world = found["world"]
    title = (
        f"AUC on the test items of {world['users']:,} shoppers and {world['items']:,} products "
        f"({world['interactions']:,} purchases)"
    )
    change, photos = found["change"], found["photos"]
    if change:
        in_time = [
            "truth knows the style at the time of a purchase; without time: the mean style of all purchases.",
            *(
                f"Style was planted to change on {cut['planted']}; i-tvbpr found {cut['learned']}, "
                f"{cut['days']:.1f} days apart."
                for cut in change["cuts"]
            ),
        ]
        next_step = f"trends {out / 'i-tvbpr.h5'}"
    else:
        in_time = ["Style that changes, and models that see it: ivbpr demo --size drift"]
        next_step = f"auc {out / 'i-vbpr.h5'}"
    best = "i-tvbpr" if change else "i-vbpr"
    model, images, network = (shlex.quote(str(out / name)) for name in (f"{best}.h5", "images", "world.onnx"))
    notes = [
        "truth: the utilities that the shoppers really chose by. of the way: from chance (0.5) to the truth.",
        *in_time,
        f"The network of the package looked at {photos['items']:,} drawn photos of products; it was right in "
        + ", ".join(f"{name} {share:.0%}" for name, share in photos["accuracy"].items())
        + ".",
        *(f"{model} sees {what}." for model, what in found["features"].items()),
        f"Every file is in {out}. Next: ivbpr {next_step}",
        f"Steer recommendations in the browser: ivbpr serve {model} --images {images} --network {network}",
        f"Or line by line at the terminal: ivbpr interact {model} {found['shopper']}",
        f"What was planted, what was learned and why, as a page: {found['files']['report']}",
    ]
    screen.show(Answer("demo", found, found["models"], [Table(found["models"], title)], notes))
