"""The scalar functions compiled for the CPU; LLVM inlines them into the loops that call them."""

from numba import njit

from ivbpr_numba.kernels.compiling import compile_scalars
from ivbpr_numba.kernels.scalar import bpr, lists, random

globals().update(compile_scalars([random, lists, bpr], njit(error_model="numpy")))
