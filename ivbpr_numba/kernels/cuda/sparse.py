"""SGD of the visual models on features that are mostly zero (model specification 2.6).

The steps of `block_kernels`, with the table of E and β on its side as `cpu.sparse_rows` tells. The
differences of a block's triples are written out in full: so each column is summed by itself, in a fixed
order, and no two threads ever add to one number. Products are made only where an item has a value. Column 0,
that of no value, has multiplier 0 and never moves.
"""

from ivbpr_numba.kernels.cuda.block_kernels import Reading, block_kernel
from ivbpr_numba.kernels.cuda.sparse_block import project_sparse, write_differences
from ivbpr_numba.kernels.cuda.target import device
from ivbpr_numba.kernels.cuda.temporal import IN_TIME, apply_planned
from ivbpr_numba.kernels.cuda.visual import STILL, apply_evenly

__all__ = ["sparse_epoch", "sparse_temporal_epoch"]


@device
def read_sparse(features, positives, negatives, first, size, base, table, height, partial, differences, out):
    """Differences of TRIPLES triples in full, and their products."""
    write_differences(features, positives, negatives, first, size, base, differences)
    project_sparse(features, positives, negatives, first, size, base, table, height, out)


@device
def column_first(r, c):
    """A row of the table is a column of the features."""
    return c, r


SPARSE = Reading(read_sparse, column_first, ("Tuple((u2[:,::1], i8[::1], i4[::1], f4[::1]))",))
sparse_blocks = block_kernel("sparse_blocks", SPARSE, STILL)
sparse_blocks_in_time = block_kernel("sparse_blocks_in_time", SPARSE, IN_TIME)


def sparse_epoch(triples, block, features, tables, embedding, sizes, rates, shape=None):
    """Apply all triples of an iteration in blocks, in order.

    Parameters
    ----------
    triples : Triples
    block : int
        B, triples to a block.
    features : SparseFeatures
    tables : VisualTables
    embedding : EmbeddingTable
        Beside sparse features.
    sizes : Sizes
    rates : Rates
    shape : Shape, optional

    Returns
    -------
    float
        Summed loss of the triples at the time they were applied.
    """
    return apply_evenly(
        sparse_blocks, triples, block, features, embedding.values.shape[0], tables, embedding, sizes, rates,
        shape,
    )  # fmt: skip


def sparse_temporal_epoch(
    triples, plan, block, features, tables, embedding, epochs, sizes, rates, drift, shape=None
):
    """Apply the planned blocks of an iteration, in order.

    Parameters
    ----------
    triples : Triples
        In the planned order.
    plan : BlockPlan
    block : int
        Most triples of a block.
    features : SparseFeatures
    tables : VisualTables
    embedding : EmbeddingTable
        Beside sparse features; `scaled` is overwritten.
    epochs : EpochTables
    sizes : Sizes
    rates : Rates
    drift : Drift
    shape : Shape, optional

    Returns
    -------
    float
        Summed loss of the triples at the time they were applied.
    """
    return apply_planned(
        sparse_blocks_in_time, triples, plan, block, features, embedding.values.shape[0], tables, embedding,
        epochs, sizes, rates, drift, shape,
    )  # fmt: skip
