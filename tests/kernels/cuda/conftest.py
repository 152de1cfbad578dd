"""The ring `cuda`: kernels for CUDA in numba-cuda's simulator, and compiled without a device."""

import functools
import importlib.util
import os
from pathlib import Path
from typing import Any

import pytest


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Without the simulator there is nothing to run here; `pytest -m cuda` asks for it (tests/conftest.py)."""
    simulated = os.environ.get("NUMBA_ENABLE_CUDASIM") == "1" and importlib.util.find_spec("numba_cuda")
    return None if simulated else True


def type_of(value: Any) -> Any:
    """numba's type of what a kernel is given."""
    from numba import typeof, types

    if isinstance(value, tuple):
        return types.BaseTuple.from_types(tuple(map(type_of, value)), type(value))
    return typeof(getattr(value, "_ary", value))


@functools.cache
def declared(signatures: tuple[str, ...]) -> set[Any]:
    """The types of signatures."""
    from numba.core.sigutils import normalize_signature

    return {normalize_signature(signature)[0] for signature in signatures}


@pytest.fixture(autouse=True)
def types_are_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulator takes anything; on a device other types than the gate's would be another kernel."""
    from ivbpr_numba.kernels.cuda.target import Kernel

    launch = Kernel.__call__

    def checked(self: Kernel, shape: Any, *given: Any) -> None:
        types = tuple(map(type_of, given))
        assert types in declared(self.signatures), f"{self.name} is launched with {types}"
        launch(self, shape, *given)

    monkeypatch.setattr(Kernel, "__call__", checked)
