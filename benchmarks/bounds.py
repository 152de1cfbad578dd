"""What the machine allows, measured in the same run by small kernels of their own.

    fma      multiplications with addition in registers alone, counted as two operations
    gather   rows of a table, read in random order
    update   rows of 64 bytes of a table, read and written in random order
    stream   one long array, read in order

A kernel that reads what `gather` reads can't be faster unless it reads rows that are still in the cache.
"""

from __future__ import annotations

import llvmlite.binding as llvm
import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from benchmarks.inputs import Work
from benchmarks.registry import Implementation, Run
from benchmarks.timing import timed
from ivbpr_numba.backends import threads as using

__all__ = ["auc_bound", "fma", "gather", "stream", "update", "visual_bound"]

WIDTH = 16
VECTOR = ir.VectorType(ir.FloatType(), WIDTH)
# Enough independent sums to hide the latency of a multiplication, few enough to stay in registers.
SUMS = 12 if llvm.get_host_cpu_features().get("avx512f", False) else 6
AHEAD = 8  # rows that are asked for before they are needed
LINE = 64
ROUNDS = 4_000_000
ROWS = 1 << 21
PIECES = 64


@intrinsic
def _fma_rounds(typing, rounds, factor):
    """SUMS vectors, each multiplied and added to `rounds` times; their sum in the first lane."""

    def generate(context, builder, signature, arguments):
        count, number = arguments
        kind = ir.FunctionType(VECTOR, [VECTOR] * 3)
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.fma.v16f32")
        undefined = ir.Constant(VECTOR, ir.Undefined)
        single = builder.insert_element(undefined, number, ir.IntType(32)(0))
        lanes = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0] * WIDTH)
        spread = builder.shuffle_vector(single, undefined, lanes)
        places = [cgutils.alloca_once(builder, VECTOR) for _ in range(SUMS)]
        for k, place in enumerate(places):
            builder.store(ir.Constant(VECTOR, [float(k + 1)] * WIDTH), place)
        with cgutils.for_range(builder, count):
            for place in places:
                builder.store(builder.call(function, [builder.load(place), spread, spread]), place)
        total = builder.load(places[0])
        for place in places[1:]:
            total = builder.fadd(total, builder.load(place))
        return builder.extract_element(total, ir.IntType(32)(0))

    return types.float32(types.intp, types.float32), generate


def _asker(write: int):
    """Prefetch the cache line of array[row, column], C-contiguous, to be read (0) or written (1)."""

    def template(typing, array, row, column):
        def generate(context, builder, signature, arguments):
            found = context.make_array(signature.args[0])(context, builder, arguments[0])
            width = cgutils.unpack_tuple(builder, found.shape, 2)[1]
            place = builder.add(builder.mul(arguments[1], width), arguments[2])
            byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
            kind = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
            function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
            where = builder.bitcast(builder.gep(found.data, [place]), byte)
            builder.call(function, [where, word(write), word(3), word(1)])
            return context.get_dummy_value()

        return types.void(array, types.intp, types.intp), generate

    return intrinsic(template)


_ask_to_read, _ask_to_write = _asker(0), _asker(1)


@numba.njit(parallel=True, cache=True)
def run_fma(rounds, out):
    """`rounds` times SUMS multiplications of sixteen numbers, for each element of `out`."""
    for k in numba.prange(len(out)):
        out[k] = _fma_rounds(rounds, np.float32(0.5))


@numba.njit(parallel=True, cache=True)
def sum_rows(table, rows, out):
    """Sum of the named rows of a table of 64-bit words, in as many pieces as `out` is long."""
    n, per_line = len(rows), LINE // 8
    for piece in numba.prange(len(out)):
        first, last = piece * n // len(out), (piece + 1) * n // len(out)
        total = np.uint64(0)
        for k in range(first, last):
            if k + AHEAD < last:
                for column in range(0, table.shape[1], per_line):
                    _ask_to_read(table, rows[k + AHEAD], column)
            row = table[rows[k]]
            own = np.uint64(0)
            for column in range(len(row)):
                own += row[column]
            total += own
        out[piece] = total


@numba.njit(parallel=True, cache=True)
def add_rows(table, rows, pieces):
    """Add 1 to the named rows; `pieces` race, so that rows named twice at once may lose an addition."""
    n = len(rows)
    for piece in numba.prange(pieces):
        first, last = piece * n // pieces, (piece + 1) * n // pieces
        for k in range(first, last):
            if k + AHEAD < last:
                _ask_to_write(table, rows[k + AHEAD], 0)
            row = table[rows[k]]
            for column in range(len(row)):
                row[column] += np.float32(1)


@numba.njit(parallel=True, cache=True)
def read_all(values, out):
    """Sum of all words, in as many pieces as `out` is long."""
    n = len(values)
    for piece in numba.prange(len(out)):
        part = values[piece * n // len(out) : (piece + 1) * n // len(out)]
        total = np.uint64(0)
        for k in range(len(part)):
            total += part[k]
        out[piece] = total


def fma(per_unit: float = 1.0) -> Implementation:
    """Operations a second in registers, in units of so many operations."""

    def run(work: Work, threads: int) -> Run:
        out = np.zeros(threads, np.float32)
        rounds = ROUNDS if work.size.users > 1000 else 1000
        with using(threads):
            run_fma(1, out)
            return timed(threads * rounds * SUMS * WIDTH * 2 / per_unit, lambda: _sums(run_fma, rounds, out))

    return run


def gather(row_bytes: int, rows: int = 0, per_unit: float = 1.0) -> Implementation:
    """Bytes a second of rows read in random order, in units of so many bytes.

    Parameters
    ----------
    row_bytes : int
        A multiple of 64.
    rows : int
        Of the table; as many as the case has items where it is 0.
    per_unit : float
    """

    def run(work: Work, threads: int) -> Run:
        n = rows if rows and work.size.users > 1000 else work.size.items
        words = row_bytes // 8
        table = np.arange(n * words, dtype=np.uint64).reshape(n, words)
        order = np.random.default_rng(0).integers(0, n, max(1000, (256 << 20) // row_bytes))
        out = np.zeros(PIECES, np.uint64)
        with using(threads):
            sum_rows(table, order[:1], out)
            return timed(len(order) * row_bytes / per_unit, lambda: _sums(sum_rows, table, order, out))

    return run


def update(rows: int = 0, per_unit: float = 1.0) -> Implementation:
    """Rows of 64 bytes a second, read and written in random order, in units of so many rows."""

    def run(work: Work, threads: int) -> Run:
        n = rows if rows and work.size.users > 1000 else work.size.items
        table = np.zeros((n, LINE // 4), np.float32)
        order = np.random.default_rng(0).integers(0, n, ROWS if work.size.users > 1000 else 1000)
        with using(threads):
            add_rows(table, order[:1], PIECES)
            return timed(len(order) / per_unit, lambda: {"sum": _done(add_rows, table, order, PIECES)})

    return run


def stream(size: int = 256 << 20) -> Implementation:
    """Bytes a second of one long array, read in order."""

    def run(work: Work, threads: int) -> Run:
        n = size // 8 if work.size.users > 1000 else 1000
        values, out = np.ones(n, np.uint64), np.zeros(PIECES, np.uint64)
        with using(threads):
            read_all(values, out)
            return timed(n * 8.0, lambda: _sums(read_all, values, out))

    return run


def visual_bound(columns: int) -> Implementation:
    """Triples a second if nothing is done but read the float16 rows of both items."""
    row = -(-2 * columns // LINE) * LINE
    return gather(row, per_unit=2.0 * row)


def auc_bound(length: int) -> Implementation:
    """Pairs a second if nothing is done but multiply and add, `length` numbers a pair."""
    return fma(per_unit=2.0 * length)


def _sums(kernel, *arguments) -> dict[str, np.ndarray]:
    kernel(*arguments)
    return {"sum": arguments[-1]}


def _done(kernel, table, *arguments) -> np.ndarray:
    kernel(table, *arguments)
    return table.sum(dtype=np.float64)
