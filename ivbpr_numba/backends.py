"""Which device computes, with how many threads, and why."""

from __future__ import annotations

import importlib.util
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from types import ModuleType
from typing import Any

from ivbpr_numba.errors import EnvironmentProblem, UsageError, did_you_mean

__all__ = ["choose_device", "describe", "thread_count", "threads"]

DEVICES = ("cpu", "cuda", "auto")


def cuda_problem() -> str:
    """Why CUDA kernels can't be used here."""
    return "this version has CPU kernels only"


def choose_device(device: str) -> tuple[str, str]:
    """Resolve ``cpu | cuda | auto`` to what will really run, with the reason.

    Raises
    ------
    EnvironmentProblem
        When CUDA is demanded and not usable; never a silent change of device.
    """
    if device not in DEVICES:
        raise UsageError(
            f"Unknown device '{device}'.", did_you_mean(device, DEVICES) or "Use cpu, cuda or auto."
        )
    if device == "cuda":
        raise EnvironmentProblem(f"--device cuda: {cuda_problem()}.", "Use --device cpu.")
    return "cpu", "asked for" if device == "cpu" else cuda_problem()


def _numba() -> ModuleType:
    """numba, with the waiting policy of its threads set before it can start them."""
    from ivbpr_numba.kernels.compiling import numba

    return numba


def thread_count(wanted: int | None) -> int:
    """Number of threads to use: `wanted`, or all that numba may use."""
    numba = _numba()
    limit = int(numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]
    if wanted is None:
        return limit
    if not 1 <= wanted <= limit:
        raise UsageError(f"--threads {wanted}: this machine offers 1 to {limit}.", "Leave it out to use all.")
    return wanted


@contextmanager
def threads(wanted: int | None) -> Iterator[int]:
    """Run numba kernels with `wanted` threads inside; results don't depend on the number."""
    numba = _numba()
    before = numba.get_num_threads()
    numba.set_num_threads(thread_count(wanted))
    try:
        yield numba.get_num_threads()
    finally:
        numba.set_num_threads(before)


def describe() -> dict[str, Any]:
    """Versions, threads, device and why, cache folder: what ``ivbpr doctor`` prints."""
    import llvmlite.binding as llvm
    import numba
    import numpy as np

    from ivbpr_numba.kernels.compiling import cache_directory
    from ivbpr_numba.kernels.cpu.sampling import count_draws

    # numba chooses its threading layer when a first parallel kernel runs.
    count_draws(np.uint64(0), 1, np.zeros(1, np.int64), 1, np.zeros((1, 1), np.int32))
    device, why = choose_device("auto")
    packages = ["numpy", "numba", "scipy", "pandas", "h5py", "typer", "orjson"]
    optional = ["onnxruntime-gpu", "onnxruntime", "pyarrow", "matplotlib", "onnx", "torch", "numba-cuda"]

    def version(name: str) -> str | None:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            return None

    return {
        "ivbpr": version("ivbpr"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": llvm.get_host_cpu_name(),
        "threads": thread_count(None),
        "threading_layer": numba.threading_layer(),
        "device": device,
        "device_reason": why,
        "cache": str(cache_directory()),
        "packages": {name: version(name) for name in packages},
        "optional": {name: version(name) for name in optional if version(name) or name == "pyarrow"},
        "extras": {
            "parquet": importlib.util.find_spec("pyarrow") is not None,
            "plot": importlib.util.find_spec("matplotlib") is not None,
            "onnx": importlib.util.find_spec("onnx") is not None,
            "train": importlib.util.find_spec("torch") is not None,
        },
    }
