"""The small network that comes with the package: it knows the products of the built-in worlds."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from ivbpr_numba.errors import EnvironmentProblem

__all__ = ["shipped_network"]

NAME = "world.onnx"


def shipped_network() -> Path:
    """The file; see ``data/assets.md`` for how it was made.

    Raises
    ------
    EnvironmentProblem
        The installed package lacks it, or is not a folder of files.
    """
    found = resources.files("ivbpr_numba").joinpath("assets", NAME)
    if not isinstance(found, Path) or not found.is_file():
        raise EnvironmentProblem(f"The network '{NAME}' of the package is missing.", "Install ivbpr anew.")
    return found
