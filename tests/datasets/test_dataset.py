"""The dataset in memory and on disk: merging, filters, the three splits, round trips, refusals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivbpr_numba.datasets.dataset import Dataset
from ivbpr_numba.datasets.memory import pairs_of
from ivbpr_numba.errors import DataError, UsageError
from ivbpr_numba.store.files import read_tree, write_tree
from ivbpr_numba.store.verify import verify

# Any text that may be an id: no NUL, no lone surrogates, not empty.
IDS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=8)
ROWS = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 12), st.integers(0, 40)), min_size=30, max_size=90
)
LATER = 1_300_000_000


def build(rows: list[tuple[object, object, int]], **options: object) -> Dataset:
    users, items, times = zip(*rows)
    return Dataset.from_pairs(users, items, times, **options)


def parts(data: Dataset) -> dict[str, dict[str, list[tuple[str, int]]]]:
    """Of each user: the items and times of the three parts, in ids."""
    found: dict[str, dict[str, list[tuple[str, int]]]] = {}
    for name in ("train", "valid", "test"):
        part = getattr(data, name)
        for u in range(len(data.users)):
            own = slice(part.indptr[u], part.indptr[u + 1])
            rows = zip(part.indices[own], part.times[own])
            found.setdefault(data.users[u], {})[name] = [(data.items[i], int(t)) for i, t in rows]
    return found


def expected(rows: list[tuple[object, object, int]], split: Callable, least: int = 3) -> dict:
    """The same, slowly: dictionaries, one user at a time."""
    merged: dict[str, dict[str, int]] = {}
    for user, item, time in rows:
        own = merged.setdefault(str(user), {})
        own[str(item)] = max(time, own.get(str(item), 0))
    result = {}
    for user, own in merged.items():
        if len(own) >= least:
            pairs = sorted(own.items(), key=lambda pair: pair[0].encode())
            test, valid = split(user, pairs)
            rest = [pair for k, pair in enumerate(pairs) if k not in (test, valid)]
            result[user] = {"train": rest, "valid": [pairs[valid]], "test": [pairs[test]]}
    return result


def by_seed(seed: int) -> Callable:
    return lambda user, pairs: naive.split_random(user, len(pairs), seed)


def by_time(seed: int) -> Callable:
    return lambda user, pairs: naive.split_last(user, [time for _, time in pairs], seed)


@given(ROWS, st.integers(0, 2**64 - 1))
def test_random_split_is_the_reference(rows: list, seed: int) -> None:
    wanted = expected(rows, by_seed(seed))
    if not wanted:
        with pytest.raises(DataError, match="No user is left"):
            build(rows, seed=seed)
        return
    data = build(rows, seed=seed)
    assert parts(data) == wanted
    assert data.users.texts() == sorted(wanted, key=str.encode)
    left = {item for own in wanted.values() for pairs in own.values() for item, _ in pairs}
    assert data.items.texts() == sorted(left, key=str.encode)
    assert data.train_counts.sum() == len(data.train)


@given(ROWS, st.integers(0, 2**64 - 1), st.sampled_from([1, 10, 100]))
def test_last_split_is_the_reference(rows: list, seed: int, day: int) -> None:
    """In days of one, ten and a hundred seconds: few ties, many, nothing else."""
    rows = [(u, i, t // day) for u, i, t in rows]
    wanted = expected(rows, by_time(seed), least=4)
    if not wanted:
        return
    data = build(rows, split="last", seed=seed, min_interactions=4)
    assert parts(data) == wanted
    tied = 0
    for own in wanted.values():
        test, valid = own["test"][0][1], own["valid"][0][1]
        tied += test == valid or valid == max(t for _, t in own["train"])
    assert data.source["split_ties"] == tied
    said = f"a draw among equal times decided for {tied:,} of {len(wanted)} users"
    assert (said in data.source["report"][-1]["why"]) == (tied > 0)


@given(ROWS, st.integers(0, 2**64 - 1))
def test_time_split_is_the_reference(rows: list, seed: int) -> None:
    """Users, items and the two windows, slowly; a few distinct times, so that most windows begin with a tie."""
    from ivbpr_numba.datasets.pairs import assemble

    rows = [(u, i, t // 8) for u, i, t in rows] + [(9, k, k % 3) for k in range(20)]
    wanted, ties = {}, 0
    for user, own in expected(rows, lambda user, pairs: (0, 1)).items():
        pairs = sorted([pair for part in own.values() for pair in part], key=lambda p: p[0].encode())
        times = [t for _, t in pairs]
        train = [pair for pair in pairs if pair[1] < 3]
        if len(train) < 3:
            continue
        windows = {"valid": (3, 4), "test": (4, 99)}
        held = {name: naive.split_first_of(user, times, seed, *window) for name, window in windows.items()}
        wanted[user] = {"train": train} | {
            name: [] if place is None else [pairs[place]] for name, place in held.items()
        }
        ties += any(place is not None and times.count(times[place]) > 1 for place in held.values())
    users, items, times = zip(*rows)
    read = pairs_of(users, items, times)
    data = Dataset.of(assemble(read, split="time", seed=seed, valid_from=3, test_from=4))
    assert parts(data) == wanted
    assert data.source["split_ties"] == ties


def _noise(seed: int, order: Callable[[int], int]) -> tuple[list[str], list[str]]:
    """300 users who choose 9 of 200 items for no reason; `order` renames the items."""
    rng = np.random.default_rng(seed)
    users = [f"u{u:03}" for u in range(300) for _ in range(9)]
    items = [f"i{order(k):03}" for _ in range(300) for k in rng.choice(200, 9, replace=False).tolist()]
    return users, items


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_split_of_noise_by_days_tells_nothing(seed: int) -> None:
    """Purchases of one day: popularity says about the last one what it says about a random one, nothing."""
    from ivbpr_numba.models import Popularity
    from ivbpr_numba.questions.auc import auc

    users, items = _noise(seed, lambda k: k)
    for split in ("last", "random"):
        data = Dataset.from_pairs(users, items, ["2020-01-01"] * len(users), split=split, seed=seed)
        assert data.source["split_ties"] == (300 if split == "last" else 0)
        found = auc(Popularity().fit(data), data)
        assert found["all"]["auc"] == pytest.approx(0.5, abs=0.08)
        assert found["baselines"]["inverse_popularity"]["all"]["auc"] == pytest.approx(0.5, abs=0.05)
        # One half of the items is held out as often as the other.
        for part in (data.test, data.valid):
            assert 150 - 45 < np.count_nonzero(part.indices < 100) < 150 + 45


def test_first_items_of_a_window_tell_nothing_either() -> None:
    """By the split at two moments, with three days in all: the largest or smallest id is not preferred."""
    users, items = _noise(5, lambda k: k)
    days = [f"2020-01-0{1 + (k % 9 > 3) + (k % 9 > 6)}" for k in range(len(users))]
    from ivbpr_numba.datasets.pairs import assemble

    day = 1_577_836_800
    data = Dataset.of(
        assemble(
            pairs_of(users, items, days), split="time", valid_from=day + 86_400, test_from=day + 2 * 86_400
        )
    )
    assert (len(data.valid), len(data.test), data.source["split_ties"]) == (300, 300, 300)
    for part in (data.test, data.valid):
        assert 150 - 45 < np.count_nonzero(part.indices < 100) < 150 + 45


def test_a_draw_among_equal_times_depends_on_the_own_id_only() -> None:
    mine = [("me", f"item {k}", 5) for k in range(12)]
    alone = build(mine, split="last", seed=4)
    crowd = build([("a", "item 3", 1), ("a", "b", 1), ("a", "c", 1), *mine], split="last", seed=4)
    assert parts(alone)["me"] == parts(crowd)["me"]
    drawn = {parts(build(mine, split="last", seed=seed))["me"]["test"][0] for seed in range(30)}
    assert len(drawn) > 6


@given(ROWS, st.randoms(use_true_random=False), st.sampled_from(["random", "last", "time"]))
def test_order_of_lines_does_not_matter(rows: list, random: object, split: str) -> None:
    rows = [(u, i, LATER + t) for u, i, t in [*rows, *[(9, k, 7 * k) for k in range(40)]]]
    mixed = list(rows)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    assert build(rows, split=split).payload_sha256 == build(mixed, split=split).payload_sha256


@given(ROWS, ROWS)
def test_split_of_a_user_does_not_depend_on_others(rows: list, others: list) -> None:
    mine = [("me", f"item {i}", t) for _, i, t in rows] + [("me", f"own {k}", k) for k in range(3)]
    alone = build(mine, seed=4)
    crowd = build([*mine, *[(f"other {u}", f"item {i}", t) for u, i, t in others]], seed=4)
    assert parts(alone)["me"] == parts(crowd)["me"]


def test_test_and_validation_items_are_uniform() -> None:
    """4,000 users with the same five items: each place is drawn about equally often, by chi-square."""
    users = np.repeat(np.arange(4000), 5)
    data = Dataset.from_pairs(users, np.tile(np.arange(5), 4000), seed=11)
    for part in (data.test, data.valid):
        counts = np.bincount(part.indices, minlength=5)
        assert ((counts - 800) ** 2 / 800).sum() < 23.5  # 1 in 10,000 for 4 degrees of freedom
    pairs = np.bincount(data.test.indices * 5 + data.valid.indices, minlength=25).reshape(5, 5)
    assert np.diag(pairs).sum() == 0
    off = pairs[~np.eye(5, dtype=bool)]
    assert ((off - 200) ** 2 / 200).sum() < 50


def test_time_split() -> None:
    def user(name: str, *times: int) -> list[tuple[str, str, int]]:
        return [(name, f"{name}{k}", t) for k, t in enumerate(times)]

    rows = [
        *user("a", 10, 20, 30, 100, 110, 200, 210),  # the first of each window; a4, a6 go
        *user("b", 10, 20, 30),  # stays for training
        *user("c", 10, 20, 100, 200),  # two training items: goes
        *user("d", 10, 20, 30, 40, 200),  # no validation item
        *user("e", 99, 98, 97, 199),  # windows begin with their first second
    ]
    rows += [("f", "f2", 100), ("f", "f1", 100), ("f", "x", 1), ("f", "y", 2), ("f", "z", 3)]
    data = _time_split(rows)
    found = parts(data)
    assert {u: [i for i, _ in p["valid"]] for u, p in found.items()} == {
        "a": ["a3"],
        "b": [],
        "d": [],
        "e": ["e3"],
        "f": [f"f{1 + naive.split_first_of('f', [100, 100, 1, 2, 3], 0, 100, 200)}"],
    }
    assert {u: [i for i, _ in p["test"]] for u, p in found.items()} == {
        "a": ["a5"],
        "b": [],
        "d": ["d4"],
        "e": [],
        "f": [],
    }
    assert [i for i, _ in found["a"]["train"]] == ["a0", "a1", "a2"]
    assert data.items.find(["a4", "c0"]).tolist() == [-1, -1]
    assert np.count_nonzero(data.items.find(["f1", "f2"]) < 0) == 1
    assert [row["dropped"] for row in data.source["report"] if row["step"] == "split"] == [3, 4]
    assert (data.source["valid_from"], data.source["test_from"]) == (100, 200)
    assert data.source["split_ties"] == 1


def _time_split(rows: list[tuple[str, str, int]]) -> Dataset:
    from ivbpr_numba.datasets.pairs import assemble

    users, items, times = zip(*rows)
    return Dataset.of(assemble(pairs_of(users, items, times), split="time", valid_from=100, test_from=200))


def test_time_split_by_quantiles() -> None:
    rows = [(u, f"{u}-{k}", LATER + 100 * k + u) for u in range(10) for k in range(20)]
    data = build(rows, split="time")
    assert (data.source["valid_from"], data.source["test_from"]) == (LATER + 1800, LATER + 1900)
    assert (len(data.train), len(data.valid), len(data.test)) == (180, 10, 10)
    with pytest.raises(DataError, match="no room"):
        build([(u, i, LATER) for u, i, _ in rows], split="time")


@given(
    st.lists(IDS, min_size=3, max_size=12, unique=True), st.lists(IDS, min_size=1, max_size=4, unique=True)
)
def test_any_ids_and_times_come_back(
    tmp_path_factory: pytest.TempPathFactory, items: list, users: list
) -> None:
    path = tmp_path_factory.mktemp("round") / "data.h5"
    rows = [(u, i, LATER + 7 * k) for u in users for k, i in enumerate(items)]
    data = build(rows, seed=2)
    data.item_columns["title"] = np.array([i.encode() for i in data.items.texts()])
    data.item_columns["a/b.c %2F"] = np.array([b"x"] * len(items), dtype="S3")
    digest = data.write(path)
    assert verify(path).ok
    again = Dataset.read(path)
    assert again.users.texts() == sorted(users, key=str.encode)
    assert again.items.texts() == sorted(items, key=str.encode)
    assert parts(again) == parts(data)
    assert again.source == data.source
    assert set(again.item_columns) == {"title", "a/b.c %2F"}
    assert [v.decode() for v in again.item_columns["title"].tolist()] == again.items.texts()
    assert digest == data.payload_sha256 == again.payload_sha256


def test_payload_does_not_depend_on_source_but_on_everything_else() -> None:
    rows = [(u, i, LATER + i) for u in range(3) for i in range(6)]
    base = build(rows).payload_sha256
    other = build(rows)
    other.source["inputs"] = ["elsewhere"]
    assert other.payload_sha256 == base
    other = build(rows)
    other.item_columns["title"] = np.array([b"t"] * 6)
    assert other.payload_sha256 != base
    assert build(rows, seed=1).payload_sha256 != base
    assert build([(u, i, t + 1) for u, i, t in rows]).payload_sha256 != base


def test_filter_counts_merged_pairs_once() -> None:
    """Five lines about four items are four; dropping an item's other buyers does not drop more users."""
    rows = [("a", "x", 1), ("a", "x", 9), ("a", "y", 2), ("a", "z", 3), ("a", "w", 4)]
    rows += [("b", k, 5) for k in "xyzwv"]
    data = build(rows, min_interactions=5)
    assert data.users.texts() == ["b"]
    assert [(r["step"], r["interactions"], r["dropped"]) for r in data.source["report"]] == [
        ("read", 10, 0),
        ("merge", 9, 1),
        ("users", 5, 4),
        ("splittable", 5, 0),
        ("kept", 5, 0),
    ]
    kept = parts(build(rows, min_interactions=1))["a"]
    assert ("x", 9) in [pair for part in kept.values() for pair in part]


def test_users_with_fewer_than_three_items_cannot_be_split() -> None:
    rows = [("two", 1, 1), ("two", 2, 1), ("three", 1, 1), ("three", 2, 1), ("three", 3, 1)]
    assert build(rows).users.texts() == ["three"]


def test_without_times() -> None:
    data = Dataset.from_pairs("aaaa", "wxyz")
    assert not data.has_times
    assert data.train.times.tolist() == [0, 0]
    for split in ("last", "time"):
        with pytest.raises(UsageError, match="needs times"):
            Dataset.from_pairs("aaaa", "wxyz", split=split)


def test_times_may_be_dates_or_milliseconds() -> None:
    seconds = [1_600_000_000 + 86_400 * k for k in range(4)]
    wanted = Dataset.from_pairs("aaaa", "wxyz", seconds).payload_sha256
    dates = np.array(seconds, dtype="datetime64[s]")
    for times in (dates, [str(d) for d in dates], [1000 * s for s in seconds], [f"{s}.0" for s in seconds]):
        assert Dataset.from_pairs("aaaa", "wxyz", times).payload_sha256 == wanted


@pytest.mark.parametrize(
    ("arguments", "options", "problem"),
    [
        ((["", "a", "a"], "xyz"), {}, DataError),
        (("aaa", "xy"), {}, DataError),
        (("aaa", "xyz", [1, 2]), {}, DataError),
        (("aaa", "xyz", [1, 2, "soon"]), {}, DataError),
        (("aaa", "xyz", [1, 2, -3]), {}, DataError),
        (("aaa", "xyz", [1, 2, 5_000_000_000]), {}, DataError),
        (("aaa", "xyz"), {"min_interactions": 4}, DataError),
        (([], []), {}, DataError),
        (("aaa", "xyz"), {"min_interactions": 0}, UsageError),
        (("aaa", "xyz"), {"seed": -1}, UsageError),
        (("aaa", "xyz"), {"split": "lost"}, UsageError),
    ],
)
def test_refusals(arguments: tuple, options: dict, problem: type[Exception]) -> None:
    with pytest.raises(problem):
        Dataset.from_pairs(*arguments, **options)


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("/split/train/indptr", lambda a: a[:-1]),
        ("/split/train/indptr", lambda a: a[::-1].copy()),
        ("/split/train/indices", lambda a: a + 1),
        ("/split/train/indices", lambda a: a[::-1].copy()),
        ("/split/train/indices", lambda a: a.astype(np.int64)),
        ("/split/test/times", lambda a: a[:-1]),
        ("/ids/users", lambda a: a[::-1].copy()),
        ("/source", lambda a: "[]"),
        ("/source", lambda a: "{"),
        ("/items/title", lambda a: a[:-1]),
        ("/split/valid/indices", None),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(
    tmp_path: Path, path: str, change: Callable | None
) -> None:
    """Written with right digests by another program, so that only our own checks can find it."""
    data = build([(u, i, 1) for u in "abc" for i in "uvwxyz"])
    data.item_columns["title"] = np.array([b"t"] * 6)
    file = tmp_path / "data.h5"
    data.write(file)
    tree = read_tree(file, "ivbpr-dataset")
    if change is None:
        del tree.objects[path]
    else:
        tree.objects[path] = change(tree.objects[path])
    payload = [name for name in tree.objects if name.startswith(("/ids", "/split", "/items"))]
    write_tree(file, tree, payload=payload)
    with pytest.raises(DataError, match=r"contradicts itself|not distinct and sorted"):
        Dataset.read(file)


def test_a_missing_file_is_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        Dataset.read(tmp_path / "nothing.h5")
