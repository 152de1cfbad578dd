"""The running average of the parameters."""

from numba import prange

from ivbpr_numba.kernels.compiling import kernel

__all__ = ["move_average"]

TASKS = 16
SMALL = 1 << 16  # numbers below which waking a thread costs more than it saves


@kernel
def move_range(start, stop, average, values, weight, out):
    """`move_average` from `start` to `stop`."""
    for n in range(start, stop):
        out[n] = average[n] + weight * (values[n] - average[n])


@kernel(parallel=True)
def move_average(average, values, weight, out):
    """out ← average + weight (values − average).

    Parameters
    ----------
    average, values : (n,) float32
    weight : float32
    out : (n,) float32
        May be `average` itself.
    """
    n = average.shape[0]
    if n < SMALL:
        move_range(0, n, average, values, weight, out)
    else:
        for task in prange(TASKS):
            move_range(task * n // TASKS, (task + 1) * n // TASKS, average, values, weight, out)
