"""How the triples of an iteration are cut into blocks of one epoch."""

import numpy as np

from ivbpr_numba.kernels.arguments import RUN_BLOCKS
from ivbpr_numba.kernels.cuda.scans import MOST_THREADS, block_scan
from ivbpr_numba.kernels.cuda.target import cuda, kernel, launch, open_shape, room

__all__ = ["plan_blocks"]

THREADS = 512


@kernel("void(i2[::1], i8, i8[:,::1], i4[::1], i4[::1], i4[::1], i4[::1], i4[::1], i4[::1])")
def sort_runs(
    epochs, run, counts, drawn_users, drawn_positives, drawn_negatives, users, positives, negatives
):
    """Sort each run of triples by epoch, stably; a block for each, whose threads share the run out."""
    shared = cuda.shared.array(MOST_THREADS, np.int64)
    own, threads = cuda.threadIdx.x, cuda.blockDim.x
    for r in range(cuda.blockIdx.x, counts.shape[0], cuda.gridDim.x):
        first = r * run
        size = min(run, epochs.shape[0] - first)
        lo, hi = first + own * size // threads, first + (own + 1) * size // threads
        begin = np.int64(first)
        for e in range(counts.shape[1]):
            count = np.int64(0)
            for k in range(lo, hi):
                count += 1 if epochs[k] == e else 0
            before, total = block_scan(shared, count)
            place = begin + before
            for k in range(lo, hi):
                if epochs[k] == e:
                    users[place] = drawn_users[k]
                    positives[place] = drawn_positives[k]
                    negatives[place] = drawn_negatives[k]
                    place += 1
            if own == 0:
                counts[r, e] = total
            begin += total
            cuda.syncthreads()


def plan_blocks(epochs, n_epochs, block, drawn, triples, starts, block_epochs, shape=None):
    """Sort triples by epoch, stably, within runs of 64 blocks, and cut them into blocks of one epoch.

    Parameters
    ----------
    epochs : (T,) int16, of the drawn triples
    n_epochs, block : int
    drawn : Triples
    triples : Triples, filled with these in the planned order
    starts : (≥ blocks + 1,) int64, filled: first place of each block, then T
    block_epochs : (≥ blocks,) int64, filled
    shape : Shape, optional

    Returns
    -------
    int
        Number of blocks.
    """
    n, run = epochs.shape[0], RUN_BLOCKS * block
    runs = -(-n // run)
    counts = room("run counts", (runs, n_epochs), np.int64)
    launch(sort_runs, shape or open_shape(min(runs, 1 << 16), THREADS), epochs, run, counts, *drawn, *triples)
    begins, of_epochs, at = [], [], 0
    for sizes in counts.copy_to_host() if runs else ():
        for e, size in enumerate(sizes.tolist()):
            begins += range(at, at + size, block)
            of_epochs += [e] * -(-size // block)
            at += size
    found = len(begins)
    starts[: found + 1].copy_to_device(np.array([*begins, n], np.int64))
    if found:
        block_epochs[:found].copy_to_device(np.array(of_epochs, np.int64))
    return found
