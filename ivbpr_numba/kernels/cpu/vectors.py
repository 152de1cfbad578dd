"""Explicit vectors of sixteen float32 for the innermost loops, and prefetching.

A value of `float32x16` is LLVM's ``<16 x float>``: one register with AVX-512, two with AVX2, four with
SSE or Neon. Every operation is one numba intrinsic. This leans on numba's extension interface, so a
self-test decides when the module is loaded whether vectors may be used: where `USABLE` or `HALF_USABLE` is
false, the kernels take their plain loops; `IVBPR_PLAIN=1` in the environment asks for these. Where `WIDE` is
false, too few registers hold the sums of many vectors.

Addresses are (row, column) of C-contiguous two-dimensional arrays. Nothing is checked: a load reads sixteen
numbers from there, wherever that is.
"""

import os

import llvmlite.binding as llvm
import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils, errors
from numba.extending import intrinsic, models, register_model

from ivbpr_numba.kernels.compiling import kernel

__all__ = [
    "HALF_USABLE",
    "USABLE",
    "WIDE",
    "WIDTH",
    "above_bits",
    "add",
    "bits_set",
    "difference_stored",
    "dot_whole",
    "fma",
    "fma_one",
    "less_bits",
    "load",
    "load_stored",
    "lowest_bit",
    "mul",
    "prefetch",
    "prefetch_write",
    "row_totals",
    "smaller",
    "splat",
    "spread",
    "store",
    "store_totals",
    "sub",
    "total",
    "upto_bits",
]

WIDTH = 16
F32, I32 = ir.FloatType(), ir.IntType(32)
VECTOR = ir.VectorType(F32, WIDTH)
_STORED = {types.uint16: ir.HalfType(), types.uint8: ir.IntType(8), types.float32: F32}


class Float32x16(types.Type):
    """Type of a vector in numba."""

    def __init__(self) -> None:
        super().__init__(name="float32x16")


float32x16 = Float32x16()


@register_model(Float32x16)
class _Model(models.PrimitiveModel):
    def __init__(self, manager, numba_type):
        super().__init__(manager, numba_type, VECTOR)


def _check(array):
    if not isinstance(array, types.Array) or array.layout != "C":
        raise errors.TypingError(f"vectors need a C-contiguous array, not {array}")


def _address(context, builder, array_type, array, row, column):
    """Pointer to array[row, column] of a C-contiguous array; one without rows has only columns."""
    found = context.make_array(array_type)(context, builder, array)
    if array_type.ndim == 1:
        return builder.gep(found.data, [column])
    width = cgutils.unpack_tuple(builder, found.shape, 2)[1]
    return builder.gep(found.data, [builder.add(builder.mul(row, width), column)])


def _sixteen(value):
    return ir.Constant(ir.VectorType(I32, WIDTH), [value] * WIDTH)


@intrinsic
def load(typing, array, row, column):
    """Sixteen float32 from array[row, column] on."""
    _check(array)

    def generate(context, builder, signature, arguments):
        where = _address(context, builder, signature.args[0], *arguments)
        loaded = builder.load(builder.bitcast(where, VECTOR.as_pointer()))
        loaded.align = 4
        return loaded

    return float32x16(array, types.intp, types.intp), generate


def _load_stored(context, builder, array_type, array, row, column):
    """Sixteen numbers as they are stored."""
    where = _address(context, builder, array_type, array, row, column)
    kind = ir.VectorType(_STORED[array_type.dtype], WIDTH)
    loaded = builder.load(builder.bitcast(where, kind.as_pointer()))
    loaded.align = array_type.dtype.bitwidth // 8
    return loaded


@intrinsic
def load_stored(typing, array, row, column):
    """Sixteen stored numbers from array[row, column] on as float32; float16 is given as its uint16 bits."""
    _check(array)

    def generate(context, builder, signature, arguments):
        loaded = _load_stored(context, builder, signature.args[0], *arguments)
        if array.dtype == types.uint16:
            return builder.fpext(loaded, VECTOR)
        return builder.uitofp(loaded, VECTOR) if array.dtype == types.uint8 else loaded

    return float32x16(array, types.intp, types.intp), generate


@intrinsic
def difference_stored(typing, array, row, other, column):
    """Sixteen stored numbers of a row less those of another one, as float32."""
    _check(array)

    def generate(context, builder, signature, arguments):
        array_type, (found, row, other, column) = signature.args[0], arguments
        a = _load_stored(context, builder, array_type, found, row, column)
        b = _load_stored(context, builder, array_type, found, other, column)
        if array.dtype == types.uint8:  # as whole numbers: one conversion rather than two
            wide = ir.VectorType(I32, WIDTH)
            return builder.sitofp(builder.sub(builder.zext(a, wide), builder.zext(b, wide)), VECTOR)
        if array.dtype == types.uint16:
            a, b = builder.fpext(a, VECTOR), builder.fpext(b, VECTOR)
        return builder.fsub(a, b)

    return float32x16(array, types.intp, types.intp, types.intp), generate


@intrinsic
def store(typing, array, row, column, value):
    """Write sixteen float32 to array[row, column] and what follows."""
    _check(array)

    def generate(context, builder, signature, arguments):
        where = _address(context, builder, signature.args[0], *arguments[:3])
        builder.store(arguments[3], builder.bitcast(where, VECTOR.as_pointer()), align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, float32x16), generate


def _prefetcher(write, doc):
    def template(typing, array, row, column):
        _check(array)

        def generate(context, builder, signature, arguments):
            where = _address(context, builder, signature.args[0], *arguments)
            byte = ir.IntType(8).as_pointer()
            kind = ir.FunctionType(ir.VoidType(), [byte, I32, I32, I32])
            function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
            # Into every level of the cache; data.
            builder.call(function, [builder.bitcast(where, byte), I32(write), I32(3), I32(1)])
            return context.get_dummy_value()

        return types.void(array, types.intp, types.intp), generate

    template.__doc__ = doc
    return intrinsic(template)


prefetch = _prefetcher(0, "Ask for the cache line of array[row, column], to be read soon.")
prefetch_write = _prefetcher(1, "Ask for the cache line of array[row, column], to be written soon.")


@intrinsic
def splat(typing, number):
    """Sixteen times the same float32."""

    def generate(context, builder, signature, arguments):
        single = builder.insert_element(ir.Constant(VECTOR, ir.Undefined), arguments[0], I32(0))
        return builder.shuffle_vector(single, ir.Constant(VECTOR, ir.Undefined), _sixteen(0))

    return float32x16(types.float32), generate


@intrinsic
def spread(typing, array, row, column):
    """Sixteen times the float32 array[row, column]."""
    _check(array)

    def generate(context, builder, signature, arguments):
        number = builder.load(_address(context, builder, signature.args[0], *arguments))
        single = builder.insert_element(ir.Constant(VECTOR, ir.Undefined), number, I32(0))
        return builder.shuffle_vector(single, ir.Constant(VECTOR, ir.Undefined), _sixteen(0))

    return float32x16(array, types.intp, types.intp), generate


def _binary(name, doc):
    def template(typing, a, b):
        def generate(context, builder, signature, arguments):
            return getattr(builder, name)(*arguments)

        return float32x16(float32x16, float32x16), generate

    template.__doc__ = doc
    return intrinsic(template)


@intrinsic
def smaller(typing, a, b):
    """The smaller of a and b; b where either is NaN."""

    def generate(context, builder, signature, arguments):
        a, b = arguments
        return builder.select(builder.fcmp_ordered("<", a, b), a, b)

    return float32x16(float32x16, float32x16), generate


add = _binary("fadd", "a + b.")
sub = _binary("fsub", "a − b.")
mul = _binary("fmul", "a · b.")


def fma_of(builder, a, b, c):
    """a · b + c in the code of an intrinsic."""
    kind = ir.FunctionType(VECTOR, [VECTOR] * 3)
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, "llvm.fma.v16f32"), (a, b, c))


@intrinsic
def fma(typing, a, b, c):
    """a · b + c, rounded once."""

    def generate(context, builder, signature, arguments):
        return fma_of(builder, *arguments)

    return float32x16(float32x16, float32x16, float32x16), generate


@intrinsic
def fma_one(typing, a, b, c):
    """a · b + c of single float32, rounded once: what `fma` does in every lane."""

    def generate(context, builder, signature, arguments):
        function = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(F32, [F32] * 3), "llvm.fma.f32"
        )
        return builder.call(function, arguments)

    return types.float32(types.float32, types.float32, types.float32), generate


def _halved(builder, value):
    """Sum of the sixteen numbers of a vector, in halves."""
    width = WIDTH
    while width > 1:
        width //= 2
        kind = ir.VectorType(I32, width)
        low = builder.shuffle_vector(value, value, ir.Constant(kind, list(range(width))))
        high = builder.shuffle_vector(value, value, ir.Constant(kind, list(range(width, 2 * width))))
        value = builder.fadd(low, high)
    return builder.extract_element(value, I32(0))


@intrinsic
def total(typing, a):
    """Sum of the sixteen numbers, in halves: lanes 0 … 7 and 8 … 15 first."""

    def generate(context, builder, signature, arguments):
        return _halved(builder, arguments[0])

    return types.float32(float32x16), generate


@intrinsic
def dot_whole(typing, a, row, b):
    """Σ a[row, k] · b[k] over sixteen int32 and float64, in float64 and in halves."""
    _check(a)
    _check(b)

    def generate(context, builder, signature, arguments):
        start = context.get_constant(types.intp, 0)
        first = _address(context, builder, signature.args[0], arguments[0], arguments[1], start)
        second = _address(context, builder, signature.args[2], arguments[2], start, start)
        wide = ir.VectorType(ir.DoubleType(), WIDTH)
        whole = builder.load(builder.bitcast(first, ir.VectorType(I32, WIDTH).as_pointer()))
        doubles = builder.load(builder.bitcast(second, wide.as_pointer()))
        whole.align, doubles.align = 4, 8
        return _halved(builder, builder.fmul(builder.sitofp(whole, wide), doubles))

    return types.float64(a, types.intp, b), generate


def _shuffled(builder, a, b, lanes):
    """Lanes of a (from 0) and b (from the width of a) by number."""
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(I32, len(lanes)), lanes))


def _folded(builder, parts):
    """`total` of 1, 2, 4 … vectors, one after the other in a vector of as many lanes, bit for bit."""
    width = WIDTH
    while width > 1:  # the lanes of a part are sums so far, `width` of them for each vector in it
        paired = len(parts) > 1
        pairs = list(zip(parts[::2], parts[1::2])) if paired else [(parts[0], parts[0])]
        lanes = parts[0].type.count * (2 if paired else 1)
        low = [k for start in range(0, lanes, width) for k in range(start, start + width // 2)]
        high = [k + width // 2 for k in low]
        parts = [
            builder.fadd(_shuffled(builder, x, y, low), _shuffled(builder, x, y, high)) for x, y in pairs
        ]
        width //= 2
    return parts


@intrinsic
def row_totals(typing, array, row):
    """`total` of the first sixteen numbers of each of sixteen rows, a lane each."""
    _check(array)

    def generate(context, builder, signature, arguments):
        array_type, (found, row) = signature.args[0], arguments
        zero, rows = ir.Constant(row.type, 0), []
        for k in range(WIDTH):
            own = builder.add(row, ir.Constant(row.type, k))
            where = _address(context, builder, array_type, found, own, zero)
            loaded = builder.load(builder.bitcast(where, VECTOR.as_pointer()))
            loaded.align = 4
            rows.append(loaded)
        return _folded(builder, rows)[0]

    return float32x16(array, types.intp), generate


@intrinsic
def store_totals(typing, array, row, column, a, b, c, d):
    """Write `total` of four vectors to array[row, column] and the three places that follow.

    The vectors are folded together, half by half, which takes a third of the instructions.
    """
    _check(array)

    def generate(context, builder, signature, arguments):
        where = _address(context, builder, signature.args[0], *arguments[:3])
        (totals,) = _folded(builder, list(arguments[3:]))
        four = builder.bitcast(where, ir.VectorType(F32, 4).as_pointer())
        builder.store(totals, four, align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, *[float32x16] * 4), generate


def _comparison(name, sign, doc):
    def template(typing, a, b):
        def generate(context, builder, signature, arguments):
            mask = getattr(builder, name)(sign, *arguments)
            return builder.zext(builder.bitcast(mask, ir.IntType(WIDTH)), ir.IntType(64))

        return types.uint64(float32x16, float32x16), generate

    template.__doc__ = doc
    return intrinsic(template)


less_bits = _comparison("fcmp_ordered", "<", "Sixteen bits, lane 0 lowest: a < b; NaN is below nothing.")
upto_bits = _comparison(
    "fcmp_ordered", "<=", "Sixteen bits: a ≤ b; NaN is neither below nor equal to anything."
)
above_bits = _comparison("fcmp_unordered", ">", "Sixteen bits: not a ≤ b, so set where either is NaN.")


def _bit_counter(name, doc, *flags):
    def template(typing, word):
        def generate(context, builder, signature, arguments):
            bits = ir.IntType(64)
            kind = ir.FunctionType(bits, [bits, *(flag.type for flag in flags)])
            function = cgutils.get_or_insert_function(builder.module, kind, name)
            return builder.call(function, [arguments[0], *flags])

        return types.int64(types.uint64), generate

    template.__doc__ = doc
    return intrinsic(template)


bits_set = _bit_counter("llvm.ctpop.i64", "Number of ones in a word of 64 bits.")
lowest_bit = _bit_counter(
    "llvm.cttz.i64", "Place of the lowest one of a word; 64 if there is none.", ir.IntType(1)(0)
)


@kernel
def _trial(a, out):
    prefetch(a, 1, 0)
    prefetch_write(a, 1, 0)
    x, y = load(a, 0, 3), load(a, 1, 1)
    z = fma(x, splat(np.float32(2)), sub(mul(x, y), add(x, y)))
    store(out, 0, 16, z)
    return total(z), bits_set(less_bits(x, y)), bits_set(upto_bits(x, x)), lowest_bit(above_bits(x, x))


@kernel
def _whole_trial(a, b):
    return dot_whole(a, 1, b)


@kernel
def _half_trial(a, out):
    store(out, 0, 0, load_stored(a, 0, 1))


def _passes() -> bool:
    """Whether vectors compile here and compute what they should."""
    a = (np.arange(64).reshape(2, 32) * 5 % 17).astype(np.float32)
    a[0, 4] = np.nan
    out = np.zeros((1, 32), np.float32)
    whole = a[:, 8:24].astype(np.int32)
    try:
        found, less, upto, lane = _trial(a, out)
        product = _whole_trial(whole, whole[1] / 2)
    except Exception:
        return False
    x, y = a[0, 3:19], a[1, 1:17]
    z = x * 2 + (x * y - (x + y))
    same = np.array_equal(out[0, 16:], z, equal_nan=True) and not out[0, :16].any()
    same = same and product == (whole[1] ** 2).sum() / 2
    return bool(same and np.isnan(found) and less == np.sum(x < y) and upto == 15 and lane == 1)


def _converts_halves() -> bool:
    """Whether the CPU converts float16 itself; elsewhere LLVM would call a function that isn't there."""
    name = numba.config.CPU_NAME or ""
    features = llvm.get_host_cpu_features()
    if name or numba.config.CPU_FEATURES is not None or not features.get("f16c", False):
        return False
    bits = np.arange(17, dtype=np.float16).view(np.uint16).reshape(1, 17).copy()
    bits[0, 1:4] = (0x0001, 0x8400, 0xFBFF)  # subnormal, smallest negative normal, most negative
    out = np.zeros((1, 16), np.float32)
    try:
        _half_trial(bits, out)
    except Exception:
        return False
    return np.array_equal(out[0], bits.view(np.float16)[0, 1:].astype(np.float32))


def _is_wide() -> bool:
    """Whether a vector is one of 32 registers, as with AVX-512, rather than several."""
    if numba.config.CPU_NAME or numba.config.CPU_FEATURES is not None:
        return False  # compiled for another CPU than this one
    return bool(llvm.get_host_cpu_features().get("avx512f", False))


@kernel
def _ignore(array, row, column):
    """Stands for both kinds of `prefetch` where that is not to be had."""


USABLE = not os.environ.get("IVBPR_PLAIN") and _passes()
WIDE = USABLE and _is_wide()
HALF_USABLE = USABLE and _converts_halves()
if not USABLE:
    prefetch = prefetch_write = _ignore
