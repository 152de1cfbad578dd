"""Compilation: where compiled code is kept, and how one scalar body serves every target."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from collections.abc import Callable
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import FunctionType, ModuleType

# Threads that wait must sleep: with OpenMP's default policy they spin and stall when another
# process holds a core. Only effective before numba starts its threads.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import llvmlite.binding as llvm
import numba
from numba.core import event

from ivbpr_numba.kernels import compilation
from ivbpr_numba.kernels.dispatching import Kernel

__all__ = ["cache_directory", "compile_scalars", "kernel"]


@cache
def cache_directory() -> Path:
    """Folder of compiled kernels, keyed by our sources, numba and the CPU.

    numba invalidates a cached function only when its own file changes, not when a function it calls
    does; a key over all kernel sources closes that hole.
    """
    digest = hashlib.sha256()
    kernels = Path(__file__).parent
    for source in sorted(kernels.rglob("*.py")):
        if kernels / "cuda" not in source.parents:  # no CPU kernel is made of them
            digest.update(source.read_bytes())
    digest.update(os.environ.get("IVBPR_PLAIN", "").encode())  # see kernels/cpu/vectors.py
    digest.update(
        f"{numba.__version__} {sys.version_info} {platform.machine()} {llvm.get_host_cpu_name()}".encode()
    )
    root = os.environ.get("NUMBA_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "ivbpr" / digest.hexdigest()[:16]


class _Tell(event.Listener):
    """Tells `compilation` of our kernels; numba raises this event only where its cache holds nothing."""

    def on_start(self, event: event.Event) -> None:
        if _is_ours(event):
            compilation.began(event.data["dispatcher"].py_func.__name__)

    def on_end(self, event: event.Event) -> None:
        if _is_ours(event):
            compilation.ended()


def _is_ours(event: event.Event) -> bool:
    return str(event.data["dispatcher"].py_func.__module__).startswith("ivbpr_numba.")


event.register("numba:compile", _Tell())


@contextmanager
def _our_cache():
    """Let numba pick our folder for the functions decorated inside, and only for those."""
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(cache_directory())
    try:
        yield
    finally:
        numba.config.CACHE_DIR = before


def kernel(function: Callable | None = None, **options: object) -> Callable:
    """Compile lazily on first call, cached on disk, with NumPy's rules for division; see `dispatching`."""
    if function is None:
        return lambda f: kernel(f, **options)
    if numba.config.DISABLE_JIT:
        return function
    made = Kernel(function, targetoptions={"error_model": "numpy", "nogil": True, **options})
    with _our_cache():
        made.enable_caching()
    return made


def compile_scalars(
    modules: list[ModuleType], decorate: Callable[[Callable], Callable], **constants: object
) -> dict[str, Callable]:
    """Compile every public function of the scalar modules for one target.

    Each body is bound to the compiled versions of the functions defined before it, in this module or an
    earlier one, so that one plain Python source serves CPU and CUDA alike; and to the target's `constants`.
    """
    compiled: dict[str, Callable] = {}
    for module in modules:
        ours = {n: f for n, f in vars(module).items() if isinstance(f, FunctionType) and n in module.__all__}
        for name, function in ours.items():  # in the order of their definition
            known = {**vars(module), **compiled, **constants}
            bound = FunctionType(function.__code__, known, name, function.__defaults__)
            bound.__module__, bound.__qualname__ = module.__name__, name
            compiled[name] = decorate(bound)
    return compiled
