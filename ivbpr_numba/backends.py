"""Which device computes, with how many threads and why, and its kernels, named alike on every device."""

from __future__ import annotations

import importlib
import importlib.util
import math
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from types import ModuleType
from typing import Any

import numpy as np

from ivbpr_numba.errors import EnvironmentProblem, UsageError, did_you_mean, parameter

__all__ = [
    "KERNELS",
    "Kernels",
    "check_device",
    "choose_device",
    "describe",
    "kernels",
    "thread_count",
    "threads",
]

DEVICES = ("cpu", "cuda", "auto")
WORTH = 1e11  # operations from which on a GPU is worth its start: some seconds of two CPU cores
# The kernels that others call, by the file of `kernels/cpu/` (and of every other device) that holds them.
KERNELS = {
    "averaging": ("move_average",),
    "blocks": ("plan_blocks",),
    "classes": ("deal_items", "deal_pairs", "draw_rounds"),
    "factor": ("factor_epoch", "factor_rounds"),
    "features": ("column_statistics", "project_items"),
    "folding": ("fold_in", "fold_negatives"),
    "idtable": ("gather_ids", "number_ids", "rebuild_slots"),
    "purchases": ("choose_items",),
    "ranking": ("count_ranks", "count_row", "fill_tiles", "random_scores", "score_items"),
    "sampling": ("count_draws", "draw_triples", "place_draws", "user_order"),
    "segmentation": ("event_likelihoods",),
    "sparse": ("sparse_epoch", "sparse_epoch_racing", "sparse_temporal_epoch"),
    "sparse_rows": ("project_sparse_items", "weigh_sparse_items"),
    "temporal": ("temporal_epoch",),
    "top": ("best_of_rows", "top_items"),
    "visual": ("visual_epoch", "visual_epoch_racing"),
}
_FILES = {name: file for file, names in KERNELS.items() for name in names}


class Kernels:
    """The kernels of one device as attributes, each loaded when it is first asked for, and its arrays.

    What they take and give is in the docstrings of `kernels/cpu/`; the tuples are those of
    `kernels/arguments.py`, their arrays those of the device. On the CPU these are NumPy's own: `put`,
    `resident` and `get` give back what they were given.

    Attributes
    ----------
    device : str
    rehearsed : int
        Triples that are applied, to copies, to compile what an iteration needs: the CPU needs none for it.
    blocks_race : bool
        Whether it has the kernels of visual models in which threads race (Hogwild).
    """

    rehearsed, blocks_race = 0, True

    def __init__(self, device: str) -> None:
        self.device = device

    def __reduce__(self) -> tuple[Any, ...]:
        """Elsewhere they are those of there."""
        return kernels, (self.device,)

    def put(self, value: Any) -> Any:
        """An array, or a tuple of arrays and numbers, where the kernels read it."""
        return value

    def resident(self, value: Any) -> Any:
        """As `put`, of what never changes: put there once, and left there while it lives."""
        return value

    def get(self, value: Any) -> Any:
        """An array where Python reads it."""
        return value

    def copy(self, array: Any) -> Any:
        """A copy where the array is."""
        return array.copy()

    def empty(self, shape: Any, dtype: Any) -> Any:
        """Room for kernels to fill."""
        return np.empty(shape, dtype)

    def zeros(self, shape: Any, dtype: Any) -> Any:
        """Zeros for kernels to add to."""
        return np.zeros(shape, dtype)

    def take(self, values: Any, places: Any) -> Any:
        """values[places] of (n,) int16 and (m,) int32."""
        return values[places]

    def __getattr__(self, name: str) -> Any:
        if name not in _FILES:
            raise AttributeError(f"no kernel is named '{name}'", name=name, obj=self)
        found = getattr(importlib.import_module(f"ivbpr_numba.kernels.{self.device}.{_FILES[name]}"), name)
        setattr(self, name, found)
        return found

    def threads(self) -> int:
        """Threads in use: they decide who does what, not what comes out."""
        return int(_numba().get_num_threads())

    def racers(self) -> int:
        """How many runs of Hogwild race side by side: one on each thread in use."""
        return self.threads()


class CudaKernels(Kernels):
    """Those of CUDA, whose arrays lie in the memory of the device; see `kernels/cuda/arrays.py`.

    One thread of Python tells the device what to do, so nothing is drawn ahead.
    """

    rehearsed, blocks_race = 1, False

    def __init__(self) -> None:
        super().__init__("cuda")

    @property
    def arrays(self) -> ModuleType:
        """What puts arrays on the device and fetches them."""
        return importlib.import_module("ivbpr_numba.kernels.cuda.arrays")

    def __getattr__(self, name: str) -> Any:
        own = super().__getattr__(name)
        found = self.arrays.guarded(own)
        setattr(self, name, found)
        return found

    def put(self, value: Any) -> Any:
        return self.arrays.put(value)

    def resident(self, value: Any) -> Any:
        return self.arrays.resident(value)

    def get(self, value: Any) -> Any:
        return self.arrays.get(value)

    def copy(self, array: Any) -> Any:
        return self.arrays.copy(array)

    def empty(self, shape: Any, dtype: Any) -> Any:
        return self.arrays.empty(shape, dtype)

    def zeros(self, shape: Any, dtype: Any) -> Any:
        return self.arrays.zeros(shape, dtype)

    def take(self, values: Any, places: Any) -> Any:
        return self.arrays.take(values, places)

    def threads(self) -> int:
        return 1

    def racers(self) -> int:
        return 2  # any number above 1: all triples race


_KERNELS = {"cpu": Kernels("cpu"), "cuda": CudaKernels()}


def kernels(device: str = "cpu") -> Kernels:
    """The kernels of a device, as `choose_device` names it; nothing is imported before one is asked for.

    Raises
    ------
    UsageError
        Not a device that has kernels.
    """
    if device not in _KERNELS:
        known = tuple(_KERNELS)
        raise UsageError(
            f"There are no kernels for the device '{device}'.",
            did_you_mean(device, known) or f"Use {' or '.join(known)}.",
        )
    return _KERNELS[device]


def cuda_problem() -> str:
    """Why CUDA kernels can't be used here, in words that end a sentence; empty where they can."""
    problem: str = importlib.import_module("ivbpr_numba.kernels.cuda.target").problem()
    return problem


def check_device(device: str) -> None:
    """Refuse what is no device.

    Raises
    ------
    UsageError
    """
    if device not in DEVICES:
        raise UsageError(
            f"Unknown device '{device}'.", did_you_mean(str(device), DEVICES) or "Use cpu, cuda or auto."
        )


def choose_device(device: str, work: float = math.inf) -> tuple[str, str]:
    """Resolve ``cpu | cuda | auto`` to what will really run, with the reason.

    Parameters
    ----------
    device : str
        ``auto`` is CUDA where it can be used and the work is at least `WORTH`.
    work : float
        How much there is to do, in components of item vectors that are multiplied and added.

    Raises
    ------
    EnvironmentProblem
        When CUDA is demanded and not usable; never a silent change of device.
    """
    check_device(device)
    if device == "cpu":
        return "cpu", "asked for"
    if device == "auto" and work < WORTH:
        return "cpu", f"too little work for a GPU ({work:.1e} of at least {WORTH:.0e} operations)"
    problem = cuda_problem()
    if not problem:
        worth = "a CUDA device can be used" + (", and the work is worth it" if work < math.inf else "")
        return "cuda", "asked for" if device == "cuda" else worth
    if device == "cuda":
        raise EnvironmentProblem(
            f"{parameter('device', 'cuda')}: {problem}.",
            f"Mend that (pip install 'ivbpr[gpu]'; see 'ivbpr doctor'), or use {parameter('device', 'cpu')}.",
        )
    return "cpu", problem


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
        raise UsageError(
            f"{parameter('threads', wanted)}: this machine offers 1 to {limit}.", "Leave it out to use all."
        )
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

    from ivbpr_numba.kernels.compiling import cache_directory

    # numba chooses its threading layer when a first parallel kernel runs.
    kernels().count_draws(np.uint64(0), 1, np.zeros(1, np.int64), 1, np.zeros(1, np.int64))
    device, why = choose_device("auto")
    packages = ["numpy", "numba", "scipy", "pandas", "h5py", "typer", "orjson"]
    optional = [
        "onnxruntime-gpu",
        "onnxruntime",
        "pyarrow",
        "matplotlib",
        "onnx",
        "torch",
        "starlette",
        "uvicorn",
        "numba-cuda",
        "dask",
        "distributed",
    ]

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
        **({"cuda": kernels("cuda").arrays.facts()} if device == "cuda" else {}),
        "cache": str(cache_directory()),
        "packages": {name: version(name) for name in packages},
        "optional": {name: version(name) for name in optional if version(name) or name == "pyarrow"},
        "extras": {
            "parquet": importlib.util.find_spec("pyarrow") is not None,
            "plot": importlib.util.find_spec("matplotlib") is not None,
            "onnx": importlib.util.find_spec("onnx") is not None,
            "train": importlib.util.find_spec("torch") is not None,
            "web": importlib.util.find_spec("starlette") is not None,
            "gpu": importlib.util.find_spec("numba_cuda") is not None,
            "dask": importlib.util.find_spec("distributed") is not None,
        },
    }
