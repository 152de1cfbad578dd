"""CUDA for onnxruntime: what keeps it from running, libraries it loads, its memory, how many images pay."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import io
import os
import time
from collections.abc import Callable
from importlib import metadata
from typing import Any

import numpy as np

from ivbpr_numba.errors import DataError

__all__ = [
    "CUDA",
    "FIRST_BATCH",
    "cuda_options",
    "cuda_problem",
    "load_libraries",
    "package_facts",
    "paying_batch",
    "unstarted",
]

CUDA = "CUDAExecutionProvider"
PACKAGES = ("onnxruntime", "onnxruntime-gpu")
WINDOWS = os.name == "nt"
DRIVER = "nvcuda.dll" if WINDOWS else "libcuda.so.1"
CUDNN = "cudnn64_9.dll" if WINDOWS else "libcudnn.so.9"
FIRST_BATCH, MOST_IMAGES = 32, 512
PAYS = 1.1  # how much faster twice the batch must be


def cuda_problem() -> str | None:
    """Why onnxruntime can't use a CUDA card here, in words that end a sentence; None where it may try."""
    import onnxruntime

    installed = _installed()
    if CUDA not in onnxruntime.get_available_providers():
        if len(installed) == len(PACKAGES):
            return (
                "onnxruntime and onnxruntime-gpu are both installed and overwrote each other (uninstall "
                "both, then install onnxruntime-gpu)"
            )
        return "this onnxruntime was built without CUDA (the package onnxruntime-gpu has it)"
    try:
        driver = ctypes.CDLL(DRIVER)
    except OSError:
        return f"there is no CUDA driver ({DRIVER})"
    state = driver.cuInit(0)
    if state != 0:
        return f"the CUDA driver can't start (its error {state})"
    count, version = ctypes.c_int(0), ctypes.c_int(0)
    if driver.cuDeviceGetCount(ctypes.byref(count)) != 0 or count.value == 0:
        return "the CUDA driver finds no card"
    needed = _built_for()
    if driver.cuDriverGetVersion(ctypes.byref(version)) == 0 and needed:
        major, minor = version.value // 1000, version.value % 1000 // 10
        if major < int(needed.partition(".")[0]):
            known = f"the driver knows CUDA {major}.{minor}"
            return f"{known} and onnxruntime is built for {needed} (update the driver)"
    return None


def _installed() -> dict[str, str]:
    """Versions of those of its packages that are installed; both have the same files."""
    found = {}
    for name in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _built_for() -> str:
    """The CUDA version that onnxruntime is built for, such as 13.0; empty where it has none."""
    import onnxruntime

    version = str(getattr(onnxruntime, "cuda_version", "") or "")
    major = version.partition(".")[0]
    return version if major.isascii() and major.isdigit() else ""


@functools.cache
def load_libraries() -> tuple[str, ...]:
    """Load the CUDA and cuDNN libraries of the installed wheels; returns those that can't be loaded."""
    import onnxruntime

    missing = []
    preload = getattr(onnxruntime, "preload_dlls", None)
    if preload is not None:
        with contextlib.redirect_stdout(io.StringIO()) as said:  # it prints what fails
            preload()
        for line in said.getvalue().splitlines():
            if line.startswith("Failed to load "):
                path = line.removeprefix("Failed to load ").partition(": ")[0]
                missing.append(os.path.basename(path))
    try:
        ctypes.CDLL(CUDNN)
    except OSError:
        missing.append(f"{CUDNN} (cuDNN)")
    return tuple(dict.fromkeys(missing))


def unstarted() -> str:
    """Why the CUDA provider, which could be tried, did not start: onnxruntime itself doesn't say."""
    missing = load_libraries()
    if missing:
        return f"onnxruntime could not start its CUDA provider: not found: {', '.join(missing)}"
    return "onnxruntime could not start its CUDA provider (are the CUDA and cuDNN libraries of one version?)"


def cuda_options() -> dict[str, Any]:
    """Options of the provider: precision as on the CPU, one way to convolve, at most half of the memory.

    Without TF32 the card computes in the precision that the CPU has; the search for the fastest convolution
    would choose another one from run to run. The other half is for kernels, and for other programs.
    """
    options: dict[str, Any] = {
        "use_tf32": "0",
        "cudnn_conv_algo_search": "DEFAULT",
        "arena_extend_strategy": "kSameAsRequested",
    }
    total = _memory()
    return {**options, "gpu_mem_limit": str(total // 2)} if total else options


def _memory() -> int:
    """Bytes of the first card; 0 where nobody tells."""
    try:
        driver = ctypes.CDLL(DRIVER)
        device, total = ctypes.c_int(0), ctypes.c_size_t(0)
        if driver.cuInit(0) != 0 or driver.cuDeviceGet(ctypes.byref(device), 0) != 0:
            return 0
        if driver.cuDeviceTotalMem_v2(ctypes.byref(total), device) != 0:
            return 0
    except (OSError, AttributeError):
        return 0
    return total.value


def paying_batch(
    run: Callable[[np.ndarray], Any],
    image: np.ndarray,
    clock: Callable[[], float] = time.perf_counter,
) -> int:
    """How many images to run at once on a card: doubled as long as that is a tenth faster, and fits.

    Parameters
    ----------
    run : callable
        Of a batch; raises `DataError` where it fails.
    image : (1, …) float32
        An input of the network.
    clock : callable
        Seconds.
    """
    best, fastest, size = FIRST_BATCH, 0.0, FIRST_BATCH
    while size <= MOST_IMAGES:
        batch = np.repeat(image, size, axis=0)
        try:
            run(batch)  # once for what a first time costs
            begun = clock()
            run(batch)
            speed = size / max(clock() - begun, 1e-9)
        except DataError:
            if size == FIRST_BATCH:
                raise
            break  # it has no memory for so many
        if speed < PAYS * fastest:
            break
        best, fastest, size = size, speed, 2 * size
    return best


def package_facts() -> dict[str, Any]:
    """Which package of onnxruntime is installed, and for which CUDA it is built."""
    installed = _installed()
    found: dict[str, Any] = {"package": ", ".join(f"{name} {version}" for name, version in installed.items())}
    if len(installed) == len(PACKAGES):
        found["problem"] = "both packages have the same files: uninstall both, then install onnxruntime-gpu"
    return {**found, "built_for_cuda": _built_for() or None}
