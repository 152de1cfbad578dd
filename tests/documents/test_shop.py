"""What is said about a shop, and how its users and items are found."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_models import ATTRIBUTES, DATA, DENSE, fitted, made

from ivbpr_numba import DataError
from ivbpr_numba.datasets import searching
from ivbpr_numba.datasets.searching import TextIndex
from ivbpr_numba.documents.shop import Shop
from ivbpr_numba.documents.variety import varied
from ivbpr_numba.ids import Ids

LETTERS = st.text("abÄß \t-é", max_size=6)


def naive(ids: list[str], titles: list[str], weight: list[int], text: str) -> list[int]:
    """Rows that hold every word, in the order of `TextIndex.search`."""
    fold = [" ".join(one.casefold().split()) for one in ids]
    said = [" ".join(one.casefold().split()) for one in titles]
    words = text.casefold().split()
    whole = " ".join(words)
    found = []
    for row, (own, title) in enumerate(zip(fold, said)):
        if not words or not all(word in own or word in title for word in words):
            continue
        if own == whole:
            rank = 0
        elif own.startswith(whole):
            rank = 1
        elif f" {title}".find(f" {whole}") >= 0:
            rank = 2
        else:
            rank = 3
        found.append((rank, -weight[row], row))
    return [row for _, _, row in sorted(found)]


@given(st.sets(st.text("abÄß-é", min_size=1, max_size=5), min_size=1, max_size=12), st.data())
def test_searching(ids: set[str], data: st.DataObject) -> None:
    known = Ids.collect(ids)
    texts = known.texts()
    titles = data.draw(st.lists(LETTERS, min_size=len(texts), max_size=len(texts)))
    weight = data.draw(st.lists(st.integers(0, 3), min_size=len(texts), max_size=len(texts)))
    text = data.draw(LETTERS)
    index = TextIndex(known, np.array([one.encode() for one in titles]), np.array(weight))
    expected = naive(texts, titles, weight, text)
    found = index.search(text, 5)
    assert found.rows.tolist() == expected[:5] and found.total == len(expected) and not found.more
    some = np.array([row % 2 == 0 for row in range(len(texts))])
    assert index.search(text, 5, some).rows.tolist() == [row for row in expected if some[row]][:5]


def test_a_search_looks_at_so_many_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "MOST", 4)
    index = TextIndex(Ids.collect(f"a{n}" for n in range(9)))
    found = index.search("a", 2)
    assert (found.total, found.more, len(found.rows)) == (4, True, 2)
    assert TextIndex(Ids.collect(["a1", "a2", "b1", "b2"])).search("b", 9).total == 2


def test_different_items_are_chosen() -> None:
    purchases = DATA.train_counts
    every = np.ones(len(DATA.items), dtype=bool)
    rows = varied(ATTRIBUTES, DATA.items, purchases, 6, every)
    values = ATTRIBUTES.values(ATTRIBUTES.items.find(DATA.items.values[rows]))
    assert len({tuple(row) for row in values.tolist()}) == 6  # there are six kinds of items
    assert rows[0] == np.argmax(purchases)
    assert len(set(varied(ATTRIBUTES, DATA.items, purchases, 999, every).tolist())) == len(DATA.items)
    assert len(varied(None, DATA.items, purchases, 4, every)) == 4
    none = np.zeros(len(DATA.items), dtype=bool)
    assert not len(varied(ATTRIBUTES, DATA.items, purchases, 4, none))
    assert not len(varied(None, DATA.items, purchases, 4, none))


def test_filters_are_bounded_and_the_most_frequent_first() -> None:
    from ivbpr_numba.documents import shop

    items = DATA.items.texts()
    frame = pd.DataFrame({"id": items, "title": items, "one": items, "same": "x", "two": ["", "a", "a"] * 15})
    data = DATA.with_items(frame, id="id", title="title", keep=["one", "same", "two"])
    served = Shop(made("pop").fit(data))
    assert [one["column"] for one in served.filters] == ["one"]  # "same" and "two" leave nothing to choose
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shop, "VALUES", 3)
        (one,) = Shop(made("pop").fit(data)).filters
        assert len(one["values"]) == 3 and one["more"] == len(items) - 3


def test_dense_features_name_nothing() -> None:
    shop = Shop(fitted("vbpr"), DENSE)
    found = shop.facts().content
    assert (found["kind"], found["groups"], found["steering"]) == ("dense", [], False)
    assert shop.items().content["items"][0]["attributes"] == []
    with pytest.raises(DataError):
        Shop(fitted("i-vbpr"), DENSE)
