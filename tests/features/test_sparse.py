"""Rows that are mostly zero, laid out sparse: the same features, whatever the layout."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ivbpr_numba import DataError, Features, UsageError
from ivbpr_numba.arrays import stored_bits
from ivbpr_numba.features.describing import describe, examples
from ivbpr_numba.features.inputs import DenseInput, sparse_input
from ivbpr_numba.features.layout import SPARSE_BELOW, Group
from ivbpr_numba.ids import Ids
from ivbpr_numba.store import blocks as blocks_module
from ivbpr_numba.store.sparse import csr_rows

IDS = ["0108", "0020", "b", "a", "äpfel"]
NAMES = ["hue=red", "hue=blue", "tag=floral", "tag=long"]
SHARES = np.array([[1, 0, 0, 0.5], [0, 1, 1, 1], [0, 0, 0, 0], [0.25, 0.75, 0, 0], [0, 0, 0, 1]], np.float16)

matrices = st.sampled_from(["float16", "float32", "uint8"]).flatmap(
    lambda dtype: hnp.arrays(
        dtype,
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=9),
        elements=st.sampled_from([0, 0, 0, 1, 1, 3] if dtype == "uint8" else [0, 0, 0, 1, -0.0, -2.5]),
    )
)


def both(values: Any, **options: Any) -> list[Features]:
    return [Features.from_matrix(values, layout=layout, **options) for layout in ("dense", "sparse")]


@given(values=matrices, block=st.sampled_from([1, 40, 8 << 20]))
def test_a_layout_changes_no_value_and_no_digest(values: np.ndarray, block: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks_module, "_BLOCK_BYTES", block)
        dense, sparse = both(values, ids=[f"i{k:03}" for k in range(len(values))])
        assert (dense.sparse, sparse.sparse) == (False, True)
        assert (sparse.shape, sparse.dtype) == (dense.shape, dense.dtype) == (values.shape, values.dtype)
        rows = np.random.default_rng(1).integers(len(values), size=12)
        assert sparse.take(rows).tobytes() == values[rows].tobytes() == dense.take(rows).tobytes()
        for column in range(values.shape[1]):
            wanted = values[:, column].tobytes()
            assert sparse.stored_column(column).tobytes() == wanted == dense.stored_column(column).tobytes()
        assert sparse.payload_sha256 == dense.payload_sha256
        sparse.check()
    csr = sparse.csr()
    assert [part.dtype for part in csr] == [np.int64, np.int32, values.dtype]
    kept = [row.view(f"u{row.itemsize}") != 0 for row in values]
    assert np.diff(csr.indptr).tolist() == [int(one.sum()) for one in kept] and csr.indptr[0] == 0
    assert csr.indices.tolist() == [int(k) for one in kept for k in np.flatnonzero(one)]
    stored = np.concatenate([row[one] for row, one in zip(values, kept)])
    assert csr.values.tobytes() == (b"" if (stored == 1).all() else stored.tobytes())
    assert not any(part.flags.writeable for part in csr)


@pytest.mark.parametrize("make", [scipy.sparse.csr_matrix, scipy.sparse.csc_array, scipy.sparse.coo_array])
def test_a_scipy_matrix_is_never_made_dense(make: Any) -> None:
    values = SHARES.astype(np.float32)
    dense, sparse = both(make(values), ids=IDS, names=NAMES, kind="attributes")
    assert sparse.payload_sha256 == dense.payload_sha256
    assert [(g.name, g.exclusive) for g in sparse.groups] == [
        ("hue", True),
        ("tag", False),
    ] and sparse.groups == dense.groups
    # 10¹² values: only what is not zero has room.
    wide = make(([1, 1, 1], ([0, 2, 2], [7, 0, 999_999])), shape=(3, 1_000_000))
    features = Features.from_matrix(wide, ids="abc", kind="attributes")
    assert features.sparse and features.csr().indices.tolist() == [7, 0, 999_999]


def test_entries_of_one_place_add_up_and_zeros_are_left_out() -> None:
    twice = scipy.sparse.coo_array(
        ([0.25, 0.5, 0.0, 1.0, -1.0], ([0, 0, 1, 2, 2], [1, 1, 0, 2, 2])), shape=(3, 3)
    )
    features = Features.from_matrix(twice, ids="abc", layout="sparse")
    assert features.take(np.arange(3)).tolist() == twice.toarray().tolist()
    assert features.csr().values.tolist() == [0.75]
    half = scipy.sparse.csr_array(SHARES.astype(np.float32))
    half.data = half.data.astype(np.float16)
    assert Features.from_matrix(half, ids=IDS, layout="sparse").dtype == np.float16
    # What float32 makes zero would be lost.
    with pytest.raises(DataError, match="next to nothing of 1 of 2 columns; the first is column 2"):
        Features.from_matrix(scipy.sparse.csr_array([[1, 1e-60], [0, 0]]), ids="ab")
    Features.from_matrix(scipy.sparse.csr_array([[1, 1e-60], [0, 1]]), ids="ab")


def test_auto_goes_by_the_share_of_values() -> None:
    values = np.zeros((10, 100), np.float32)
    values[:, : round(100 * SPARSE_BELOW)] = 1
    assert not Features.from_matrix(values, ids=range(10), kind="attributes").sparse
    values[0, 0] = 0
    for given_as in (values, scipy.sparse.csr_array(values)):
        assert Features.from_matrix(given_as, ids=range(10), kind="attributes").sparse
        assert not Features.from_matrix(given_as, ids=range(10)).sparse  # nameless ones stay dense
    values[0, 0] = 1
    assert not Features.from_matrix(scipy.sparse.csr_array(values), ids=range(10), kind="attributes").sparse
    with pytest.raises(UsageError, match="Unknown layout 'csr'"):
        Features.from_matrix(values, ids=range(10), layout="csr")
    with pytest.raises(UsageError, match="Unknown layout"):
        Features.from_frame(pd.DataFrame({"id": [1], "c": [1]}), id="id", columns="c", layout="csr")


@pytest.mark.parametrize("layout", ["dense", "sparse"])
@pytest.mark.parametrize("whole", [True, False])
def test_what_is_refused_is_named(layout: str, whole: bool) -> None:
    values = SHARES.astype(np.float32)
    values[1, 3], values[1, 1] = np.inf, 0.5
    made: Any = np.asarray if whole else scipy.sparse.csr_array
    with pytest.raises(DataError, match=r"'tag=long' \(column 4\) of item '0020' is inf"):
        Features.from_matrix(made(values), ids=IDS, names=NAMES, layout=layout)
    values[1, 3] = -0.5
    with pytest.raises(DataError, match=r"'tag=long' of item '0020' is -0\.5"):
        Features.from_matrix(made(values), ids=IDS, names=NAMES, kind="attributes", layout=layout)
    ones = np.eye(2, dtype=np.uint8)
    with pytest.raises(DataError, match="'0' of item 'a' is 2"):
        Features.from_matrix(made(ones), ids="ab", kind="attributes", layout=layout, scale=2)


def test_a_frame_gives_both_layouts() -> None:
    frame = pd.DataFrame(
        {
            "id": [f"i{k}" for k in range(30)] * 2,
            "hue": [f"h{k % 11}" for k in range(60)],
            "tags": [[f"t{k % 7}", f"t{k % 5}"] for k in range(60)],
        }
    )
    for aggregate in ("first", "share"):
        made = [
            Features.from_frame(
                frame, id="id", columns="hue", tags="tags", aggregate=aggregate, layout=layout
            )
            for layout in ("dense", "sparse")
        ]
        assert made[0].payload_sha256 == made[1].payload_sha256
        assert made[0].matrix.tobytes() == made[1].take(np.arange(30)).tobytes()
        # Ones need no values; shares do.
        assert (len(made[1].csr().values) == 0) == (aggregate == "first")


def test_what_shows_features_shows_both_alike() -> None:
    dense, sparse = both(SHARES, ids=IDS, names=NAMES, kind="attributes")
    assert describe(dense) == {**describe(sparse), "layout": "dense"}
    for name in ("red", "floral", "tag=long"):
        assert examples(dense, name) == examples(sparse, name)
    assert sparse.to_frame().equals(dense.to_frame())
    assert Features.from_matrix(sparse.to_frame()).payload_sha256 == dense.payload_sha256
    assert repr(sparse) == repr(dense).replace("float16", "float16, sparse")
    assert ", sparse</p>" in sparse._repr_html_() and ", sparse" not in dense._repr_html_()


def test_each_layout_has_its_own_door() -> None:
    dense, sparse = both(SHARES, ids=IDS)
    with pytest.raises(UsageError, match=r"laid out sparse.*csr\(\)"):
        _ = sparse.matrix
    with pytest.raises(UsageError, match="laid out dense"):
        dense.csr()
    for features in (dense, sparse):
        with pytest.raises(DataError, match="asked for an item that has none"):
            features.take(np.array([-1]))


@given(
    values=hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=9),
        elements=st.sampled_from([0, 0, 0, 0, 1, 1, 0.5, 0.25]),
    ),
    scale=st.sampled_from([1.0, 0.5]),
    seed=st.integers(0, 99),
)
def test_products_and_lengths_of_all_rows(values: np.ndarray, scale: float, seed: int) -> None:
    """Of rows computed with dense and sparse, with slots and without."""
    items, columns = values.shape
    ids = Ids.collect([f"i{k:03}" for k in range(items)])
    weights = np.random.default_rng(seed).normal(size=columns)
    groups = [Group(f"g{k}", k, 1, False) for k in range(columns)]
    features = Features.from_matrix(
        values, ids=ids, groups=groups, kind="attributes", scale=scale, layout="sparse",
        names=[f"g{k}=v" for k in range(columns)],
    )  # fmt: skip
    csr = csr_rows(features.csr(), np.arange(items))
    expected = values.astype(np.float64) * scale
    for source in (
        sparse_input(csr, groups, columns, scale),
        DenseInput(stored_bits(values), np.arange(items), scale),
        DenseInput(stored_bits(values.astype(np.float16)), np.arange(items), scale),
    ):
        assert source.weighted(weights) == pytest.approx(expected @ weights, abs=1e-5)
        sums, norms, lowest = source.lengths()
        assert sums == pytest.approx(expected.sum(axis=1))
        assert norms == pytest.approx(np.linalg.norm(expected, axis=1))
        assert lowest == 0
    assert DenseInput(stored_bits(-values), np.arange(items), scale).lengths()[2] == -expected.max(initial=0)
