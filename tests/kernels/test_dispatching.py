"""How kernels are compiled: inner ones once and without machine code, only what Python calls whole and kept."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numba import prange
from numba.core import event

from ivbpr_numba.kernels.compiling import kernel
from ivbpr_numba.kernels.dispatching import Kernel, Whole


def compiled(call: Callable[[], object]) -> list[str]:
    """Names of the kernels of this file whose compilation `call` begins."""
    with event.install_recorder("numba:compile") as recorder:
        call()
    begun = [e.data["dispatcher"].py_func for _, e in recorder.buffer if e.is_start]
    return [function.__name__ for function in begun if function.__module__ == __name__]


def test_a_constant_is_no_type_of_its_own() -> None:
    @Kernel
    def thrice(n):
        return 3 * n

    @Kernel
    def outer(n):
        return thrice(1) + thrice(2) + thrice(n)

    assert compiled(lambda: outer(4)) == ["outer", "thrice"]
    assert outer(4) == 21


def test_one_inner_kernel_serves_all_its_callers_and_python_has_its_own() -> None:
    @Kernel
    def half(x):
        return x / 2

    @Kernel
    def one(x):
        return half(x) + 1

    @Kernel
    def two(x):
        return half(x) + 2

    assert compiled(lambda: (one(3.0), two(3.0))) == ["one", "half", "two"]
    assert half.signatures == []
    assert compiled(lambda: (half(3.0), half(5.0), one(5.0))) == ["half"]
    assert (half(3.0), one(3.0), two(3.0)) == (1.5, 2.5, 3.5)


def test_only_what_python_calls_becomes_machine_code() -> None:
    @Kernel
    def inner(a):
        total = 0.0
        for n in range(a.shape[0]):
            total += a[n]
        return total

    @Kernel
    def outer(a):
        return inner(a)

    assert outer(np.ones(3)) == 3.0
    (library,) = (found.library for found in inner._inner.values())
    assert isinstance(library, Whole) and not library._translated
    assert library.get_pointer_to_function("unheard of") == 0 and not library._translated
    (library,) = (found.library for found in outer.overloads.values())
    assert library._translated


def test_parallel_loops_and_what_is_filled_beside_them() -> None:
    """Two loops, arrays filled and summed inside and outside: as on one thread."""

    @Kernel
    def square(x):
        return x * x

    def plain(a, out):
        shift = np.full(a.shape[0], 2.0)
        for n in prange(a.shape[0]):
            row = np.zeros(3)
            row[:] = square(a[n])
            out[n] = row.sum() + shift[n]
        for n in prange(a.shape[0]):
            out[n] += 1.0
        return out.sum()

    parallel = Kernel(plain, targetoptions={"parallel": True})
    serial = Kernel(plain)
    a = np.arange(1000.0)
    first, second = np.empty(1000), np.empty(1000)
    assert parallel(a, first) == serial(a, second)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first, 3 * a * a + 3)


def test_an_error_inside_an_inner_kernel_arrives() -> None:
    """It is raised two calls deep, by code without an environment of its own."""

    @Kernel
    def room(n):
        return np.empty(n)

    @Kernel
    def between(n):
        return room(n).shape[0]

    @Kernel
    def outer(n):
        return between(n) + 1

    assert outer(3) == 4
    with pytest.raises(ValueError, match="negative"):
        outer(-1)


def test_only_what_python_calls_is_kept(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ivbpr_numba.kernels.compiling.cache_directory", lambda: tmp_path)

    @kernel
    def kept_inner(x):
        return x + 1

    @kernel(parallel=True)
    def kept_outer(a):
        for n in prange(a.shape[0]):
            a[n] = kept_inner(a[n])

    a = np.zeros(4)
    kept_outer(a)
    assert a.tolist() == [1.0] * 4
    names = {path.name.split("-")[0].rsplit(".", 1)[1] for path in tmp_path.rglob("*.nb[ci]")}
    assert names == {"kept_outer"}


def test_keywords_and_defaults() -> None:
    @Kernel
    def scaled(x, by=2):
        return x * by

    @Kernel
    def outer(x):
        return scaled(x), scaled(x, 3), scaled(by=4, x=x)

    assert outer(5) == (10, 15, 20)
