"""What numba-cuda's simulator lacks, for `target`: it must be quick, round once, and take turns.

Threads of a block run one after the other, each up to its next barrier, in one order in every other block
and in the opposite one in the others: whatever depends on who comes first shows. Real threads would mostly
wait: a function with a barrier is made a generator.
"""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import itertools
import math
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any

import numpy as np

__all__ = ["Simulated", "fma", "ready"]

THREADS = 16  # of a block, where a caller leaves the shape open


def fma(a: Any, b: Any, c: Any) -> np.float32:
    """a b + c of float32, rounded once: the product is exact in float64."""
    return np.float32(np.float64(a) * np.float64(b) + np.float64(c))


class Simulated:
    """What a kernel asks of `cuda`: inside one, numba-cuda's module for that launch.

    Parameters
    ----------
    outside : module
        `numba.cuda`.
    """

    def __init__(self, outside: Any) -> None:
        self._outside = outside
        self._kernel = importlib.import_module("numba.cuda.simulator.kernel")
        self._kernel.BlockManager = Turns
        self.shared = Shared(self)

    def inside(self) -> Any:
        """numba-cuda's module as a running kernel sees it."""
        return self._kernel._get_kernel_context()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inside() if self._kernel._kernel_context else self._outside, name)


class Shared:
    """Shared arrays by the line of their declaration, as in the simulator, whose way is slow."""

    def __init__(self, owner: Simulated) -> None:
        self._owner = owner

    def array(self, shape: Any, dtype: Any, alignment: int = 0) -> np.ndarray:
        caller = sys._getframe(1)
        arrays = self._owner.inside().shared._allocations
        key = (caller.f_code, caller.f_lineno)
        if key not in arrays:
            arrays[key] = np.empty(shape, dtype)
        return arrays[key]


def enclosed(body: Callable) -> dict[str, Any]:
    """What a function made inside another one takes from there."""
    return dict(zip(body.__code__.co_freevars, (cell.cell_contents for cell in body.__closure__ or ())))


def ours(body: Callable) -> dict[str, Callable]:
    """Functions of this package that a function calls, by the names that it uses."""
    known = {name: body.__globals__.get(name) for name in body.__code__.co_names} | enclosed(body)
    return {
        name: f
        for name, f in known.items()
        if isinstance(f, FunctionType) and f.__module__.startswith("ivbpr_numba.")
    }


@functools.cache
def meets(body: Callable) -> bool:
    """Whether a function, or one of ours that it calls, has a barrier."""
    return bool({"syncthreads", "syncwarp"} & set(body.__code__.co_names)) or any(
        map(meets, ours(body).values())
    )


class Yielding(ast.NodeTransformer):
    """Barriers become `yield`, calls of functions that have one `yield from`."""

    def __init__(self, waiting: set[str]) -> None:
        self._waiting = waiting

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        name = ast.unparse(node.func)
        if name in ("cuda.syncthreads", "cuda.syncwarp"):
            return ast.Yield()
        return ast.YieldFrom(node) if name in self._waiting else node


@functools.cache
def in_steps(body: Callable) -> Callable[..., Iterator[None]]:
    """A function with barriers as a generator that stops at each of them."""
    called = {name: in_steps(f) for name, f in ours(body).items() if meets(f)}
    lines, first = inspect.getsourcelines(body)
    tree = ast.parse(textwrap.dedent("".join(lines)))
    ast.increment_lineno(tree, first - 1)
    function = tree.body[0]
    assert isinstance(function, ast.FunctionDef)
    function.decorator_list = []
    tree = ast.fix_missing_locations(Yielding(set(called)).visit(tree))
    namespace = {**body.__globals__, **enclosed(body), **called}
    exec(compile(tree, inspect.getfile(body), "exec"), namespace)
    return namespace[function.name]


def ready(body: Callable) -> Callable:
    """A kernel's body for the simulator, with `steps` where threads wait for each other."""

    @functools.wraps(body)
    def run(*given: Any) -> None:
        body(*given)

    run.steps = in_steps(body) if meets(body) else None  # type: ignore[attr-defined]
    return run


class Turns:
    """Runs the blocks of a launch; in place of the simulator's own class of the same use."""

    def __init__(self, run: Any, grid: Any, block: Any, debug: bool) -> None:
        self._dim3 = importlib.import_module("numba.cuda.simulator.kernelapi").Dim3
        self._run, self._block_dim = run, block

    def run(self, place: tuple[int, ...], *given: Any) -> None:
        """One block."""
        threads = [tuple(reversed(at)) for at in itertools.product(*map(range, reversed(self._block_dim)))]
        if sum(place) % 2:
            threads.reverse()
        own: Any = threading.current_thread()  # where the simulator looks for the places of block and thread
        own.blockIdx = self._dim3(*place)
        places = [self._dim3(*at) for at in threads]
        given = tuple(plain(part) for part in given)
        with np.errstate(over="ignore", invalid="ignore"):  # 64-bit numbers are meant to wrap around
            if self._run.steps is None:
                for own.threadIdx in places:
                    self._run(*given)
                return
            alive = [(at, self._run.steps(*given)) for at in places]
            while alive:
                left = []
                for own.threadIdx, steps in alive:
                    if next(steps, OVER) is not OVER:
                        left.append((own.threadIdx, steps))
                alive = left


OVER = object()


def plain(value: Any) -> Any:
    """NumPy's own array in place of the simulator's, which is slow and does the same; also inside tuples."""
    if isinstance(value, tuple):
        return tuple(map(plain, value))
    if type(value).__name__ == "FakeWithinKernelCUDAArray":
        value = value._item
    return value._ary if type(value).__name__ == "FakeCUDAArray" else value


def small(blocks: Any, threads: Any) -> tuple[Any, Any]:
    """The shape of a launch for which a GPU would have so many blocks and threads."""
    if isinstance(threads, tuple):
        return blocks, threads
    return min(blocks, 2), math.gcd(threads, THREADS)
