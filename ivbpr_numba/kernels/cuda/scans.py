"""Running sums of whole numbers, and sums of float32 in a fixed order."""

import numpy as np

from ivbpr_numba.kernels.cuda.target import Shape, cuda, device, kernel, launch, room, spread

__all__ = ["MOST_THREADS", "block_scan", "running_sums", "total_of"]

MOST_THREADS = 1024  # of a block that scans
RUN = 64  # numbers that one thread sums


@device
def block_scan(shared, value):
    """Sum of the values of the block's threads before this one, and of all; the whole block calls it.

    `shared` has a place for each thread and is free for other use after the next barrier.
    """
    place, n = cuda.threadIdx.x, cuda.blockDim.x
    shared[place] = value
    cuda.syncthreads()
    step = 1
    while step < n:
        before = shared[place - step] if place >= step else shared[place] - shared[place]
        cuda.syncthreads()
        shared[place] += before
        cuda.syncthreads()
        step *= 2
    return shared[place] - value, shared[n - 1]


@kernel("void(i8[::1], i8[::1])")
def sum_runs(values, sums):
    """sums[r] = Σ of the r-th RUN values."""
    for r in range(cuda.grid(1), sums.shape[0], cuda.gridsize(1)):
        total = np.int64(0)
        for n in range(r * RUN, min((r + 1) * RUN, values.shape[0])):
            total += values[n]
        sums[r] = total


@kernel("void(i8[::1])", threads=MOST_THREADS)
def scan_in_place(sums):
    """Replace numbers by what lies before each; one block."""
    shared = cuda.shared.array(MOST_THREADS, np.int64)
    n = sums.shape[0]
    lo, hi = cuda.threadIdx.x * n // cuda.blockDim.x, (cuda.threadIdx.x + 1) * n // cuda.blockDim.x
    own = np.int64(0)
    for m in range(lo, hi):
        own += sums[m]
    before, _ = block_scan(shared, own)
    for m in range(lo, hi):
        value = sums[m]
        sums[m] = before
        before += value


@kernel("void(i8[::1], i8[::1])")
def write_runs(values, sums):
    """Replace values by what lies before each, and the one behind them by the total."""
    n = values.shape[0] - 1
    for r in range(cuda.grid(1), sums.shape[0], cuda.gridsize(1)):
        before = sums[r]
        for m in range(r * RUN, min((r + 1) * RUN, n)):
            value = values[m]
            values[m] = before
            before += value
        if (r + 1) * RUN >= n:
            values[n] = before


def running_sums(values, shape=None):
    """Replace numbers of (n + 1,) int64 by the sum of those before each, the last by the total."""
    sums = room("running sums", max(1, -(-(values.shape[0] - 1) // RUN)), np.int64)
    own = spread(sums.size, 128, shape)
    launch(sum_runs, own, values[:-1], sums)
    launch(scan_in_place, Shape(1, min(own.threads, MOST_THREADS)), sums)
    launch(write_runs, own, values, sums)


@kernel("void(f4[::1], f4[::1])")
def sum_losses(losses, sums):
    """sums[r] = Σ of the r-th RUN losses, from first to last."""
    for r in range(cuda.grid(1), sums.shape[0], cuda.gridsize(1)):
        total = np.float32(0)
        for n in range(r * RUN, min((r + 1) * RUN, losses.shape[0])):
            total += losses[n]
        sums[r] = total


def total_of(losses, shape=None):
    """Σ of (T,) float32 on the device as a float: runs of RUN in float32, their sums in float64."""
    if losses.size == 0:
        return 0.0
    sums = room("sums of losses", -(-losses.size // RUN), np.float32)
    launch(sum_losses, spread(sums.size, 128, shape), losses, sums)
    return float(sums.copy_to_host().sum(dtype=np.float64))
