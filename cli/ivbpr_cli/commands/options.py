"""Shorter words for declaring the parameters of commands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from ivbpr_cli.output import Screen

# Paths are declared with ``readable=False``: typer would call a file without permission wrong usage, while
# `paths.input_file` and the readers know it for a problem of the environment.
__all__ = ["Scheduler", "Workers", "argument", "client_of", "names", "option", "out", "say_device"]


def option(help: str, panel: str | None = None, flags: tuple[str, ...] = (), **more: Any) -> Any:
    """A flag, named after its parameter unless `flags` names it."""
    return typer.Option(*flags, help=help, rich_help_panel=panel, readable=False, **more)


def argument(help: str, **more: Any) -> Any:
    """A positional argument."""
    return typer.Argument(help=help, show_default=False, readable=False, **more)


def out(help: str) -> Any:
    """The required ``--out FILE`` or ``-o FILE``."""
    return typer.Option("--out", "-o", metavar="FILE", help=help, show_default=False, readable=False)


CLUSTER = "Cluster (extra dask)"
Scheduler = Annotated[
    str | None,
    option("Do it on the workers of this Dask scheduler.", CLUSTER, metavar="ADDRESS", show_default=False),
]
Workers = Annotated[
    int | None,
    option("Do it on a Dask cluster of so many processes here.", CLUSTER, metavar="N", show_default=False),
]


@contextmanager
def client_of(scheduler: str | None, workers: int | None) -> Iterator[Any]:
    """The client of the cluster that was asked for; None where none was."""
    if scheduler is None and workers is None:
        yield None
        return
    from ivbpr_numba.distributed import cluster

    with cluster(scheduler, workers) as crew:
        yield None if crew is None else crew.client


def say_device(screen: Screen, told: Mapping[str, Any]) -> None:
    """Which device computed, and why, where `told` tells of one: another than the CPU was asked for."""
    if "device" in told:
        screen.note(f"Computed on {told['device']}: {told['device_reason']}.")


def names(text: str | None) -> list[str]:
    """The names of a list with commas."""
    return [name.strip() for name in (text or "").split(",") if name.strip()]
