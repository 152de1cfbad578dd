"""``ivbpr features …``: feature files from a catalogue or a matrix, and a look inside."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ivbpr_cli.output import Answer, Screen, Table
from ivbpr_cli.paths import input_file

__all__ = ["info"]


def info(
    screen: Screen,
    file: Annotated[Path, typer.Argument(help="A feature file.", show_default=False)],
) -> None:
    """Shape, groups and sparsity of a feature file."""
    from ivbpr_numba.datasets.features import Features, describe

    facts = describe(Features.read(input_file(file, "feature file")))
    screen.show(Answer("features-info", facts, facts["groups"], [Table(facts["groups"])]))
