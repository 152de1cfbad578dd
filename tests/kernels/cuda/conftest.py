"""The ring `cuda`: kernels for CUDA in numba-cuda's simulator, and compiled without a device."""

import importlib.util
import os
from pathlib import Path


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Without the simulator there is nothing to run here; `pytest -m cuda` asks for it (tests/conftest.py)."""
    simulated = os.environ.get("NUMBA_ENABLE_CUDASIM") == "1" and importlib.util.find_spec("numba_cuda")
    return None if simulated else True
