"""Ids as a sequence of texts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ivbpr_numba.errors import DataError
from ivbpr_numba.ids import Ids

IDS = Ids.collect(["007", 12, "ä", "b", "c" * 60], "item")


def test_a_sequence_of_texts() -> None:
    texts = ["007", "12", "b", "c" * 60, "ä"]
    assert list(IDS) == IDS.tolist() == IDS.texts() == texts == IDS[:] and IDS == texts
    assert IDS[:2] == ["007", "12"] and IDS[[4, 0]] == ["ä", "007"] and IDS[np.array([1])] == ["12"]
    assert IDS[-1] == IDS[np.int64(4)] == IDS[np.array(4)] == "ä" and len(IDS) == 5
    assert IDS[np.array([True, False, False, False, True])] == ["007", "ä"]
    assert (
        "12" in IDS and 12 in IDS and 12.0 in IDS and "13" not in IDS and None not in IDS and 1.5 not in IDS
    )
    assert IDS.index("b") == IDS.row("b") == 2 and list(reversed(IDS)) == texts[::-1]
    with pytest.raises(IndexError):
        IDS[5]
    with pytest.raises(DataError, match="Unknown item"):
        IDS.row("zzzz")


def test_equality() -> None:
    assert Ids.collect(["a", "b"]) == Ids.collect(["b", "a", "a"], "user") != Ids.collect(["a", "bb"])
    assert hash(Ids.collect(["a"])) == hash(Ids.collect(["a"])) and Ids.collect(["a"]) != "a"
    assert Ids.collect([]) == Ids.collect([]) != IDS


def test_shown_briefly() -> None:
    many = Ids.collect(range(10_000), "user")
    assert repr(many) == "Ids(10,000 users: '0', '1', '10', …)"
    assert repr(Ids.collect(["x" * 99], "item")) == f"Ids(1 items: '{'x' * 40}…')"


def test_numpy_and_pandas_take_it() -> None:
    assert np.asarray(IDS).tolist() == IDS.texts() and np.asarray(IDS, dtype=str).dtype.kind == "U"
    assert pd.Index(IDS).tolist() == pd.Series(IDS).tolist() == IDS.texts()
    frame = pd.DataFrame({"item": ["12", "13"]})
    assert frame[frame["item"].isin(IDS)]["item"].tolist() == ["12"]
    assert pd.DataFrame({"x": range(5)}, index=IDS).loc["007", "x"] == 0
