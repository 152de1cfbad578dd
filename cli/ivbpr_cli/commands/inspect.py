"""``ivbpr inspect``: what a file of ours holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from ivbpr_cli.commands.options import argument
from ivbpr_cli.output import Answer, Screen, Table
from ivbpr_cli.paths import input_file

__all__ = ["inspect"]


def inspect(screen: Screen, file: Annotated[Path, argument("A file that ivbpr wrote.")]) -> None:
    """The tree of a file with shapes and types, its configuration and its provenance."""
    from ivbpr_numba.store.verify import inspect as read

    content: dict[str, Any] = read(input_file(file, "file"))
    screen.show(Answer("inspect", content, content["objects"], [Table(content["objects"])]))
