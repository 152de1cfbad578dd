"""The small network that comes with the package: it knows the products of the built-in worlds.

It also shows on which device networks run here.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

from ivbpr_numba.errors import EnvironmentProblem
from ivbpr_numba.network.cards import CUDA, package_facts
from ivbpr_numba.network.file import Network

__all__ = ["network_facts", "shipped_network"]

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


def network_facts() -> dict[str, Any]:
    """On which device networks run here and why, by starting that network: only a session proves it.

    Returns
    -------
    dict
        ``package built_for_cuda device device_reason``, and ``problem`` where packages contradict.
    """
    session = Network.read(shipped_network()).session(device="auto")
    device = "cuda" if session.provider == CUDA else "cpu"
    return {**package_facts(), "device": device, "device_reason": session.why}
