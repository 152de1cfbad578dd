"""Some users of a dataset, also one several times."""

from __future__ import annotations

import numpy as np
import pytest
from small_models import DATA

from ivbpr_numba.datasets.drawn import draw_users


@pytest.mark.parametrize("rows", [[3, 3, 59, 0], list(range(60)), [5] * 12])
def test_each_user_keeps_his_items_and_times(rows: list[int]) -> None:
    found = draw_users(DATA, np.array(rows, dtype=np.int64))
    assert len(found.users) == len(rows) and found.items is DATA.items and found.has_times
    assert [int(text) for text in found.users.texts()] == list(range(len(rows)))
    for name in ("train", "valid", "test"):
        ours, theirs = getattr(found, name), getattr(DATA, name)
        assert (ours.indptr.dtype, ours.indices.dtype, ours.times.dtype) == (np.int64, np.int32, np.int64)
        for n, row in enumerate(rows):
            here = slice(*ours.indptr[n : n + 2])
            there = slice(*theirs.indptr[row : row + 2])
            assert ours.indices[here].tolist() == theirs.indices[there].tolist()
            assert ours.times[here].tolist() == theirs.times[there].tolist()


def test_all_users_in_order_are_the_same_purchases() -> None:
    found = draw_users(DATA, np.arange(len(DATA.users)))
    np.testing.assert_array_equal(found.train_counts, DATA.train_counts)
