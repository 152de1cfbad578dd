"""The one door to CUDA: imports numba-cuda, says what is missing, declares kernels and launches them.

Everything else in this room takes `cuda` from here. Without numba-cuda this module can be imported, and
`problem` tells why no kernel can be: the others can't.

Where NUMBA_ENABLE_CUDASIM is 1, numba-cuda runs kernels in Python, block after block (see `simulating`).
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import math
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ivbpr_numba.errors import EnvironmentProblem

__all__ = [
    "KERNELS",
    "SIMULATOR",
    "Kernel",
    "Shape",
    "cuda",
    "device",
    "fill",
    "fma",
    "forget_rooms",
    "grid_barrier",
    "kernel",
    "launch",
    "on_host",
    "open_shape",
    "problem",
    "room",
    "spread",
    "syncwarp",
]

SIMULATOR = os.environ.get("NUMBA_ENABLE_CUDASIM", "0") not in ("", "0")
OLD_NAME = "row_stack"  # NumPy 2.5 took it away; numba-cuda 0.30 looks it up while it is imported
INSTALL = "Install it: pip install 'ivbpr[gpu]'"


class Shape(NamedTuple):
    """How many blocks and threads compute; what comes out does not depend on it.

    Each is a number, or (x, y).
    """

    blocks: Any
    threads: Any


def _load() -> tuple[Any, str]:
    """numba-cuda's `numba.cuda`, or None, and what is missing."""
    if importlib.util.find_spec("numba_cuda") is None:
        return None, "numba-cuda is not installed"
    lacking = not hasattr(np, OLD_NAME)
    if lacking:
        setattr(np, OLD_NAME, np.vstack)
    try:
        found = importlib.import_module("numba.cuda")
        if not SIMULATOR:
            importlib.import_module("numba.cuda.np.arrayobj")  # else only when a first kernel is compiled
    except ImportError as error:
        return None, f"numba-cuda can't be imported ({error})"
    finally:
        if lacking:
            delattr(np, OLD_NAME)
    if "numba_cuda" not in str(found.__file__):
        return (
            None,
            "numba-cuda is installed where Python's start does not find it (its .pth file did not run)",
        )
    if not SIMULATOR:  # a scan of one block is meant to be one block
        importlib.import_module("numba.cuda.dispatcher").config.CUDA_LOW_OCCUPANCY_WARNINGS = 0
    return found, ""


_found, _missing = _load()


if SIMULATOR and _found is not None:
    from ivbpr_numba.kernels.cuda import simulating

    cuda: Any = simulating.Simulated(_found)
else:
    cuda = _found


def _first_line(error: object) -> str:
    """What it says, as a part of a sentence."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(". ")


def problem() -> str:
    """Why CUDA kernels can't run here, in words that end a sentence; empty where they can."""
    if cuda is None:
        return _missing
    if SIMULATOR:
        return ""
    driver = importlib.import_module("numba.cuda.cudadrv.driver").driver
    try:
        usable = driver.is_available
    except Exception as error:  # whatever a broken driver raises is the reason
        return f"the NVIDIA driver can't be used ({_first_line(error)})"
    if not usable:
        return f"no NVIDIA driver answers ({_first_line(driver.initialization_error)})"
    try:
        count = len(cuda.gpus)
    except Exception as error:
        return f"the NVIDIA driver lists no device ({_first_line(error)})"
    if count == 0:
        return "the NVIDIA driver knows no device"
    if not importlib.import_module("numba.cuda.cudadrv.nvvm").is_available():
        return "libNVVM is missing, which comes with the package nvidia-nvvm"
    try:
        importlib.import_module("cuda.bindings.nvjitlink").version()
    except Exception as error:
        return f"nvJitLink is missing, which comes with the package nvidia-nvjitlink ({_first_line(error)})"
    return ""


class Kernel:
    """A CUDA kernel and the types that it is launched with.

    Attributes
    ----------
    name : str
        File and function.
    body : function
    signatures : tuple of str
        Numba's, of every type that the wrappers of this room launch it with; empty only where nobody does.
    double : str
        Why it computes with float64; empty where it does not.
    threads : int
        Of a block, at most: registers are given out accordingly.
    compiled : dispatcher
        numba-cuda's.
    """

    def __init__(self, body: Callable, signatures: tuple[str, ...], double: str, threads: int) -> None:
        self.body, self.signatures, self.double, self.threads = body, signatures, double, threads
        self.name = f"{body.__module__.rsplit('.', 1)[1]}.{body.__name__}"
        self.compiled: Any = (
            cuda.jit(simulating.ready(body)) if SIMULATOR else cuda.jit(body, launch_bounds=self.bounds)
        )

    @property
    def bounds(self) -> int | None:
        """Threads that registers must be counted out for: 256 have room for all that a thread can use."""
        return self.threads if self.threads > 256 else None

    def __call__(self, shape: Shape, *given: Any) -> None:
        if math.prod(np.atleast_1d(shape.threads).tolist()) > self.threads:
            raise ValueError(f"{self.name} has at most {self.threads} threads a block, not {shape.threads}")
        self.compiled[shape.blocks, shape.threads](*given)


KERNELS: dict[str, Kernel] = {}


def kernel(*signatures: str, double: str = "", threads: int = 512) -> Callable[[Callable], Kernel]:
    """Declare a kernel, launched as ``name(shape, …)``."""
    _demand()

    def declare(body: Callable) -> Kernel:
        made = Kernel(body, signatures, double, threads)
        KERNELS[made.name] = made
        return made

    return declare


def _demand() -> None:
    """Without numba-cuda no file of this room but this one can be imported; say why."""
    if cuda is None:
        raise EnvironmentProblem(f"CUDA kernels can't be loaded: {_missing}.", f"{INSTALL}.")


def device(body: Callable) -> Callable:
    """Declare a function that kernels call; it becomes part of them."""
    _demand()
    return body if SIMULATOR else cuda.jit(device=True, inline="always")(body)


if cuda is None:
    fma = syncwarp = None
elif SIMULATOR:
    fma = simulating.fma

    def syncwarp() -> None:
        """Wait for the block, where threads of a warp don't run together."""
        cuda.syncthreads()

else:

    @device
    def fma(a, b, c):
        """a b + c, rounded once."""
        return cuda.fma(a, b, c)

    @device
    def syncwarp():
        """Wait for the threads of the warp."""
        cuda.syncwarp()


def launch(made: Kernel, shape: Shape, *given: Any) -> None:
    """Launch a kernel unless there is nothing to do."""
    if math.prod(np.atleast_1d(shape.blocks).tolist()) > 0:
        made(shape, *given)


def spread(n: int, threads: int, shape: Shape | None = None, most: int = 1 << 16) -> Shape:
    """One thread for each of n pieces of work, at most so many blocks; or the shape that was asked for."""
    return shape or open_shape(max(1, min(-(-n // threads), most)), threads)


def open_shape(blocks: int, threads: int) -> Shape:
    """A shape that nobody asked for: as given on a GPU, small in the simulator."""
    return Shape(*simulating.small(blocks, threads)) if SIMULATOR else Shape(blocks, threads)


@functools.cache
def multiprocessors() -> int:
    """Of the device in use."""
    return 2 if SIMULATOR else int(cuda.get_current_device().MULTIPROCESSOR_COUNT)


_rooms: dict[str, Any] = {}


def room(name: str, shape: Any, dtype: Any) -> Any:
    """A device array to compute in, kept from call to call under its name while it is large enough.

    What it holds is what the last one left there.
    """
    size = math.prod(np.atleast_1d(shape).tolist())
    kept = _rooms.get(name)
    if kept is None or kept.size < size or kept.dtype != np.dtype(dtype):
        _rooms.pop(name, None)
        kept = _rooms[name] = cuda.device_array(max(size, 1), dtype)
    return kept[:size].reshape(shape)


def on_host(array: Any) -> np.ndarray:
    """A small array where Python can read it."""
    return array.copy_to_host() if hasattr(array, "copy_to_host") else np.asarray(array)


def forget_rooms() -> None:
    """Give the memory of all rooms back."""
    _rooms.clear()


if cuda is not None:

    @kernel("void(i4[::1], i4)", "void(i8[::1], i8)", "void(f4[::1], f4)")
    def fill_numbers(array, value):
        """Set every number of an array."""
        for n in range(cuda.grid(1), array.shape[0], cuda.gridsize(1)):
            array[n] = value

    @device
    def grid_barrier(arrivals, turn):
        """Wait until every block of the launch has come here for the `turn`-th time, from 1.

        Every block must be on the device at once: launches that use this have at most one for each
        multiprocessor. `arrivals`, (1,) int32, is zero at the launch. What was written before is read after.
        """
        cuda.syncthreads()
        if cuda.gridDim.x > 1:
            if cuda.threadIdx.x == 0:
                cuda.threadfence()
                cuda.atomic.add(arrivals, 0, 1)
                goal = turn * cuda.gridDim.x
                while cuda.atomic.cas(arrivals, 0, -1, -1) < goal:
                    pass
                cuda.threadfence()
            cuda.syncthreads()

    def fill(array: Any, value: Any) -> None:
        """Set every number of a device array."""
        flat = array.reshape(array.size)
        launch(fill_numbers, spread(array.size, 256, most=1024), flat, array.dtype.type(value))
