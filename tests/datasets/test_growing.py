"""Data that grow: what is known keeps id, part and time; what is new is counted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import DATA

from ivbpr_numba import DataError, Dataset, UsageError
from ivbpr_numba.datasets.growing import growth_of

PARTS = ("train", "valid", "test")
LATER = int(max(part.times.max() for part in (DATA.train, DATA.valid, DATA.test))) + 1000


def pairs(data: Dataset, part: str) -> dict[tuple[str, str], int]:
    """Times by ids of user and item."""
    found = getattr(data, part)
    users, items = data.users[found.users], data.items[found.indices]
    return dict(zip(zip(users, items), found.times.tolist()))


@settings(max_examples=25)
@given(
    st.lists(st.tuples(st.integers(0, 70), st.integers(0, 55), st.integers(0, 10**6)), max_size=30),
    st.sampled_from(["train", "random", "last"]),
    st.integers(1, 3),
)
def test_what_was_there_stays(bought: list[tuple[int, int, int]], split: str, least: int) -> None:
    new = [(f"u{2 * u:03}", f"i{i:03}", LATER + t) for u, i, t in bought]  # every second one is known
    data = (
        DATA.with_pairs(*(list(column) for column in zip(*new)), split=split, min_interactions=least)
        if new
        else DATA.with_pairs([], [], [])
    )
    known = {part: pairs(DATA, part) for part in PARTS}
    grown = {part: pairs(data, part) for part in PARTS}
    everything = {pair for part in known.values() for pair in part}
    for part in PARTS:
        assert known[part].items() <= grown[part].items()
    latest: dict[tuple[str, str], int] = {}
    for user, item, time in new:
        if (user, item) not in everything:
            latest[user, item] = max(time, latest.get((user, item), 0))
    counts = {user: sum(u == user for u, _ in latest) for user, _ in latest}
    wanted = {p: t for p, t in latest.items() if p[0] in DATA.users or counts[p[0]] >= least}
    added = {p: t for part in PARTS for p, t in grown[part].items() if p not in known[part]}
    assert added == wanted
    held_out = {p[0] for part in ("valid", "test") for p in grown[part] if p not in known[part]}
    splittable = {u for u, n in counts.items() if u not in DATA.users and n >= max(3, least)}
    assert held_out == (splittable if split != "train" else set())
    growth = growth_of(DATA, data)
    assert growth.added.sum() == sum(p not in known["train"] for p in grown["train"])
    for ids, rows, before in ((data.users, growth.users, DATA.users), (data.items, growth.items, DATA.items)):
        assert rows.tolist() == before.find(ids.values).tolist()


def test_nothing_new_is_the_same_data() -> None:
    again = DATA.with_pairs(DATA.users[DATA.test.users], DATA.items[DATA.test.indices], DATA.test.times)
    assert again.payload_sha256 == DATA.payload_sha256 and growth_of(DATA, again).nothing
    why = {row["step"]: row["why"] for row in again.source["report"]}["known"]
    assert "60 of them held out" in why


def test_item_columns_move_with_their_items() -> None:
    title = np.char.add(b"the ", DATA.items.values)
    data = Dataset(DATA.users, DATA.items, DATA.train, DATA.valid, DATA.test, {"title": title}, DATA.source)
    grown = data.with_pairs(["u000"], ["a first"], [LATER])
    assert grown.items[0] == "a first"
    assert grown.item_columns["title"].tolist() == [b"", *title.tolist()]


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(DataError, match="have times, the new purchases have none"):
        DATA.with_pairs(["u000"], ["i000"])
    with pytest.raises(UsageError, match="split='time' is unknown"):
        DATA.with_pairs(["u000"], ["i000"], [LATER], split="time")
    timeless = Dataset.from_pairs(["a"] * 3, ["x", "y", "z"])
    with pytest.raises(UsageError, match="split='last' needs times"):
        timeless.with_pairs(["b"] * 3, ["x", "y", "z"], split="last")
    assert len(timeless.with_pairs(["b"], ["x"], [LATER]).train) == 2  # times are not kept


def test_data_that_lack_something_are_no_growth() -> None:
    fewer = Dataset.from_pairs(["u001"] * 3, DATA.items[:3], [1, 2, 3])
    with pytest.raises(DataError, match=r"59 users of the model are not in the data.*with_pairs"):
        growth_of(DATA, fewer)
    swapped = Dataset(DATA.users, DATA.items, DATA.train, DATA.test, DATA.valid, {}, DATA.source)
    with pytest.raises(DataError, match="of the model's 'valid' part are not in that of the data"):
        growth_of(DATA, swapped)
    timeless = Dataset(DATA.users, DATA.items, DATA.train, DATA.valid, DATA.test, {}, {"has_times": False})
    with pytest.raises(DataError, match="The data of the model have times, these have none"):
        growth_of(DATA, timeless)
