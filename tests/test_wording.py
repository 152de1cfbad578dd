"""Lists in messages end where they become long, and say how much is left."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivbpr_numba.wording import first_of


@pytest.mark.parametrize(
    ("names", "count", "said"),
    [
        ([], None, ""),
        (["a"], None, "a"),
        (["a", "b"], 1_234, "a, b, … and 1,232 more"),
        (range(10), None, "0, 1, 2, 3, 4, 5, 6, 7, 8, 9"),
        (range(12), None, "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, … and 2 more"),
        ([], 3, "3"),
    ],
)
def test_the_first_names_and_a_count(names: list, count: int | None, said: str) -> None:
    assert first_of(names, count) == said


@given(st.lists(st.integers(0, 9)), st.integers(1, 5))
def test_named_and_counted_are_all(names: list[int], most: int) -> None:
    text = first_of(iter(names), most=most)
    listed, _, more = text.partition(", … and ")
    assert len([part for part in listed.split(", ") if part]) + int(more.split()[0] if more else 0) == len(
        names
    )
