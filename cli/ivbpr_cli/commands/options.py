"""Shorter words for declaring the parameters of commands."""

from __future__ import annotations

from typing import Any

import typer

# Paths are declared with ``readable=False``: typer would call a file without permission wrong usage, while
# `paths.input_file` and the readers know it for a problem of the environment.
__all__ = ["argument", "names", "option", "out"]


def option(help: str, panel: str | None = None, flags: tuple[str, ...] = (), **more: Any) -> Any:
    """A flag, named after its parameter unless `flags` names it."""
    return typer.Option(*flags, help=help, rich_help_panel=panel, readable=False, **more)


def argument(help: str, **more: Any) -> Any:
    """A positional argument."""
    return typer.Argument(help=help, show_default=False, readable=False, **more)


def out(help: str) -> Any:
    """The required ``--out FILE`` or ``-o FILE``."""
    return typer.Option("--out", "-o", metavar="FILE", help=help, show_default=False, readable=False)


def names(text: str | None) -> list[str]:
    """The names of a list with commas."""
    return [name.strip() for name in (text or "").split(",") if name.strip()]
