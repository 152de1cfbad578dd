"""e^x of sixteen float32 at a time."""

import math

import numpy as np
from llvmlite import ir
from numba.extending import intrinsic

from ivbpr_numba.kernels.cpu.vectors import I32, VECTOR, WIDTH, float32x16, fma_of

__all__ = ["exp_below"]

LOWEST = -87.0  # e^x is a normal number down to here
ROUNDING = 1.5 * 2.0**23  # a float32 of this size has no bits behind the point: the lowest ones are whole
LN2 = 355 / 512, math.log(2.0) - 355 / 512  # the first has few bits: its products with |n| ≤ 126 are exact


@intrinsic
def exp_below(typing, a):
    """e^a for a ≤ 0, at least e^−87; NaN of NaN. Within 2 units in the last place.

    a = n ln 2 + r with a whole n and |r| ≤ ln 2 / 2: e^a = 2^n e^r, e^r by its series to the seventh power.
    """

    def generate(context, builder, signature, arguments):
        def number(value):
            return ir.Constant(VECTOR, [float(np.float32(value))] * WIDTH)

        def whole(value):
            return ir.Constant(ir.VectorType(I32, WIDTH), [value] * WIDTH)

        def fma(x, y, z):
            return fma_of(builder, x, y, z)

        (a,) = arguments
        a = builder.select(builder.fcmp_unordered(">", a, number(LOWEST)), a, number(LOWEST))
        shifted = fma(a, number(1 / math.log(2.0)), number(ROUNDING))
        n = builder.fsub(shifted, number(ROUNDING))
        r = fma(n, number(-LN2[1]), fma(n, number(-LN2[0]), a))
        found = number(1 / math.factorial(7))
        for k in range(6, -1, -1):
            found = fma(found, r, number(1 / math.factorial(k)))
        bits = builder.bitcast(shifted, ir.VectorType(I32, WIDTH))
        # Shifted by 23, the lowest bits of `shifted` are n in the place of the exponent.
        power = builder.add(builder.shl(bits, whole(23)), whole(127 << 23))
        return builder.fmul(found, builder.bitcast(power, VECTOR))

    return float32x16(float32x16), generate
