"""Shorter words for declaring the parameters of commands."""

from __future__ import annotations

from typing import Any

import typer

__all__ = ["argument", "option", "out"]


def option(help: str, panel: str | None = None, **more: Any) -> Any:
    """An optional flag, named after its parameter; what it is when not given is said in `help`."""
    return typer.Option(help=help, rich_help_panel=panel, **more)


def argument(help: str, **more: Any) -> Any:
    """A positional argument."""
    return typer.Argument(help=help, show_default=False, **more)


def out(help: str) -> Any:
    """The required ``--out FILE`` or ``-o FILE``."""
    return typer.Option("--out", "-o", metavar="FILE", help=help, show_default=False)
