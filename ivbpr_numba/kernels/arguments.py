"""What a caller and a kernel agree on, whatever the device: named tuples of arrays, codes, layouts.

Every device's kernels take these, so that a call is written once. Numba compiles a named tuple like its
parts: a field costs nothing where it is read. Kernels never change a tuple, only the numbers in its arrays.
"""

from typing import Any, NamedTuple

import numpy as np

__all__ = [
    "CLASSES",
    "GROUP",
    "NEGATIVES",
    "RUN_BLOCKS",
    "TILE",
    "Block",
    "BlockPlan",
    "BlockSums",
    "Classes",
    "Csr",
    "Drift",
    "EmbeddingTable",
    "EpochTables",
    "EpochVectors",
    "Events",
    "FactorTables",
    "NegativeLaw",
    "Orders",
    "Pairs",
    "Rates",
    "Scratch",
    "Segments",
    "Shelf",
    "Sizes",
    "SparseFeatures",
    "StoredFeatures",
    "Tastes",
    "Triples",
    "Visits",
    "VisualTables",
]

CLASSES = 8  # of items, and as many chunks of users: how many threads the rounds of large data can employ
GROUP = 1024  # users of a chunk whose triples are put in order together
NEGATIVES = {"uniform": 0, "trained": 1, "popularity": 2}  # codes of the option negatives
RUN_BLOCKS = 64  # triples are sorted by epoch within runs of so many blocks
TILE = 64  # items that are scored together: one bit each of a word


class Triples(NamedTuple):
    """(user, positive, negative) rows in order of application, each (T,) int32."""

    users: np.ndarray
    positives: np.ndarray
    negatives: np.ndarray


class Pairs(NamedTuple):
    """Training pairs by user: indptr (U + 1,) int64; indices (n,) int32, items ascending."""

    indptr: np.ndarray
    indices: np.ndarray


class NegativeLaw(NamedTuple):
    """How negatives are drawn.

    Attributes
    ----------
    code : int, of `NEGATIVES`
    trained : (T,) int32, items with a training pair, ascending
    counts : (I,) int64, training pairs per item
    """

    code: int
    trained: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, name: str, counts: np.ndarray) -> "NegativeLaw":
        """The law of that name for training pairs per item, (I,) int64."""
        return cls(NEGATIVES[name], np.flatnonzero(counts).astype(np.int32), counts)


class Classes(NamedTuple):
    """Items dealt out to classes.

    Attributes
    ----------
    codes : (I,) uint8, class of every item that has a training pair
    members : (n,) int32, what a negative is drawn from, class by class
    starts : (CLASSES + 1,) int64, first place of each class in `members`
    """

    codes: np.ndarray
    members: np.ndarray
    starts: np.ndarray


class Segments(NamedTuple):
    """Where the triples of each class lie, in every group of users.

    Attributes
    ----------
    groups : (CLASSES + 1,) int64, first group of each chunk of users
    bounds : (groups, CLASSES + 1) int64, first triple of each class, then the end of the last one
    """

    groups: np.ndarray
    bounds: np.ndarray


class Visits(NamedTuple):
    """Users in visiting order, (n,) int64, and the first triple of each of them, (n + 1,) int64."""

    order: np.ndarray
    offsets: np.ndarray


class Rates(NamedTuple):
    """η and the decays, float32 numbers.

    Attributes
    ----------
    step : η
    factors : λ of γ_u and γ_i; γ_j gets a tenth
    bias : λ of the item biases
    user_visual : λ of θ_u
    visual : λ of E and β, in time of w, b, ΔE and Δβ
    visual_step : η of these
    """

    step: Any
    factors: Any
    bias: Any
    user_visual: Any
    visual: Any
    visual_step: Any


class Sizes(NamedTuple):
    """K, the latent, and D, the visual factors."""

    latent: int
    visual: int


class FactorTables(NamedTuple):
    """Packed rows of γ_u, (U, P), and of γ_i with β_i in column K, (I, P), float32, P > K; else zeros."""

    users: np.ndarray
    items: np.ndarray


class VisualTables(NamedTuple):
    """What moves triple by triple: users and items as in `FactorTables`, and θ_u (U, Q), float32, Q > D.

    Q is the width of rows of E beside sparse features, D + 1 padded beside dense ones.
    """

    users: np.ndarray
    items: np.ndarray
    visual: np.ndarray


class EmbeddingTable(NamedTuple):
    """What moves block by block, float32.

    Attributes
    ----------
    values : (R, P) or (1 + F, P)
        Beside dense features rows 0 … D−1 are E, row D is β; zero rows up to a multiple of four, zero columns
        up to whole lines. Beside sparse ones row 1 + k is [E_k, β_k], row 0 is zero, and of the zero columns
        up to whole lines there is one at least.
    scaled : as `values`
        Projects stored features: `values`, in time those of the epoch, times the multiplier. Kernels keep it
        up to date.
    multiplier : (P,) or (1 + F,)
        Feature = stored · multiplier up to a shift that cancels in differences; zero padded.
    """

    values: np.ndarray
    scaled: np.ndarray
    multiplier: np.ndarray


class EpochTables(NamedTuple):
    """What E and β become in each of N epochs: w (N, D); ΔE, then Δβ (N, R, P); b (N, P); float32.

    Of one epoch inside a block: without the first axis. Beside sparse features (N, 1 + F, P) and (N, 1 + F).
    """

    weight: np.ndarray
    drift: np.ndarray
    bias_weight: np.ndarray


class Drift(NamedTuple):
    """Item biases that drift.

    Attributes
    ----------
    own, shared : (N, I) and (N, C) float32, of items and of categories
        Of one epoch inside a block: (I,) and (C,). Empty where item biases don't drift.
    category : (I,) int64, −1 where unknown
    """

    own: np.ndarray
    shared: np.ndarray
    category: np.ndarray


class StoredFeatures(NamedTuple):
    """Features as they are stored.

    Attributes
    ----------
    matrix : (M, F) uint16 (float16 bits), uint8 or float32
    rows : (I,) int64, row of each item
    """

    matrix: np.ndarray
    rows: np.ndarray


class SparseFeatures(NamedTuple):
    """Features of items that are mostly zero, in stored units.

    Attributes
    ----------
    slots : (I, S) uint16
        Of each of S exclusive groups 1 + the column in which the item has exactly 1, or 0 where it has none.
    indptr : (I + 1,) int64
        Where an item's other values begin.
    columns : (n,) int32, ascending for each item
    values : (n,) float32
    """

    slots: np.ndarray
    indptr: np.ndarray
    columns: np.ndarray
    values: np.ndarray


class Csr(NamedTuple):
    """Stored features of which most are zero, by row.

    Attributes
    ----------
    indptr : (M + 1,) int64
        Row r has the entries indptr[r] … indptr[r + 1] − 1.
    indices : (n,) int32
        Columns, ascending in a row.
    values : (n,) float16, uint8 or float32
        None of them zero; empty where each is exactly 1.
    """

    indptr: np.ndarray
    indices: np.ndarray
    values: np.ndarray


class Block(NamedTuple):
    """The triples first … first + size − 1."""

    first: int
    size: int


class BlockPlan(NamedTuple):
    """Blocks of one epoch each: first triple of every block, then T, (n + 1,); their epochs (n,); int64."""

    starts: np.ndarray
    epochs: np.ndarray


class Scratch(NamedTuple):
    """Room for one round of n triples (see `kernels/cpu/rounds.py`), float32; only kernels make it.

    Attributes
    ----------
    differences : (≥ n, ≥ P), feature differences of each triple in stored units
    projections : (≥ n, ≥ R), [E Δ, β · Δ]
    pulls : (≥ n, ≥ R), d · [θ_u, 1]
    """

    differences: np.ndarray
    projections: np.ndarray
    pulls: np.ndarray


class BlockSums(NamedTuple):
    """What a block moves E and β by, float32, as two sums whose triples are fixed; only kernels make it.

    Attributes
    ----------
    pulled : (2, R, P), Σ d · [θ_u, 1] Δᵀ; zero between blocks
    shares : (2, P), Σ Δ_c² of stored differences, of one-hots a number of triples; zero between blocks
    powers : (B + 1,) float64, (1 − η λ)^m; empty where λ is 0
    """

    pulled: np.ndarray
    shares: np.ndarray
    powers: np.ndarray


class Events(NamedTuple):
    """Purchases that a segmentation explains: users and items, (n,) int32."""

    users: np.ndarray
    items: np.ndarray


class EpochVectors(NamedTuple):
    """Scores in every epoch: x̂_ui(e) = γ_u · γ_i + [θ_u, 1] · [θ_i(e), bias_i(e)].

    Rows are float32, each of their parts padded to whole vectors.

    Attributes
    ----------
    users : (U, P + Q), [γ_u, 0 …, θ_u, 1, 0 …]
    items : (I + 1, P + N Q), [γ_i, 0 …], and for each of N epochs [θ_i(e), bias_i(e), 0 …]
        bias_i(e) is all of an item's score that no user changes. The last row is of no item: its scores lie
        below all others.
    latent : int, P
    """

    users: np.ndarray
    items: np.ndarray
    latent: int


class Orders(NamedTuple):
    """Purchases to fill with items.

    Attributes
    ----------
    indptr : (U + 1,) int64, purchases of each user, in order of time
    released : (n,) int64, number of items on sale at each purchase
    epochs : (n,) int64, true epoch of each purchase
    """

    indptr: np.ndarray
    released: np.ndarray
    epochs: np.ndarray


class Tastes(NamedTuple):
    """Of the built-in world's users: taste (U, A), taste_map (A, F), style (N, F), latent (U, L); float64."""

    taste: np.ndarray
    taste_map: np.ndarray
    style: np.ndarray
    latent: np.ndarray


class Shelf(NamedTuple):
    """The built-in world's items in order of release; utilities as they are defined, and quickly.

    Attributes
    ----------
    numbers : (I, 1 + L) float64, popularity and latent vector
    columns : (I, W) uint16, attributes, filled up with F
    rows : (I, P) int32, P a multiple of 16, beginning with a cache line
        Steps of P f_i, of r_i, and for every true epoch of b_i + q · f_i; zero padded. Times
        [a_u, p_u, 1 at the epoch] it is x*.
    steps : (P,) float64
        How long a step of each column is.
    reach : (P,) float64
        Sum of the absolute values that make up a number of a row, at most, in steps.
    """

    numbers: np.ndarray
    columns: np.ndarray
    rows: np.ndarray
    steps: np.ndarray
    reach: np.ndarray
