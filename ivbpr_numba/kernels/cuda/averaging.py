"""The running average of the parameters."""

from ivbpr_numba.kernels.cuda.target import cuda, kernel, launch, spread

__all__ = ["move_average"]


@kernel("void(f4[::1], f4[::1], f4, f4[::1])")
def average_numbers(average, values, weight, out):
    """One thread for each number."""
    for n in range(cuda.grid(1), out.shape[0], cuda.gridsize(1)):
        out[n] = average[n] + weight * (values[n] - average[n])


def move_average(average, values, weight, out, shape=None):
    """out ← average + weight (values − average).

    Parameters
    ----------
    average, values : (n,) float32
    weight : float32
    out : (n,) float32
        May be `average` itself.
    shape : Shape, optional
    """
    launch(average_numbers, spread(out.shape[0], 256, shape), average, values, weight, out)
