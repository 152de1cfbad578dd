"""The built-in world: marginal laws, determinism, and that its truth file says what really is so."""

import csv
import json
import subprocess
import sys
from dataclasses import replace

import h5py
import naive
import numpy as np
import pytest

from ivbpr_numba.errors import DataError, UsageError
from ivbpr_numba.worlds import choosing
from ivbpr_numba.worlds.truth import Truth
from ivbpr_numba.worlds.world import SIZES, WorldSize, generate, truth_vectors


@pytest.fixture(scope="module")
def tiny():
    return generate("tiny", seed=5)


@pytest.fixture(scope="module")
def crowd():
    """A small catalogue and many shoppers: marginal laws show."""
    return generate("drift", seed=2, users=3000, items=200)


def chi_square(counts, expected):
    return float(((np.asarray(counts) - expected) ** 2 / expected).sum())


# --- marginal laws -----------------------------------------------------------------------------------------


def test_every_user_buys_a_uniform_number_of_different_items(crowd):
    users, items, _ = crowd.purchases
    counts = np.bincount(users, minlength=3000)
    assert counts.min() == 6 and counts.max() == 25
    assert chi_square(np.bincount(counts)[6:], 3000 / 20) < 43.8  # 19 degrees of freedom, p = .001
    assert len(np.unique(users.astype(np.int64) * 200 + items)) == len(users)


def test_only_released_items_are_bought(crowd):
    _, items, times = crowd.purchases
    assert (crowd.truth.release[items] <= times).all()
    late = crowd.truth.release > SIZES["drift"].start
    assert late.sum() == 40
    position = (crowd.truth.release[late] - SIZES["drift"].start) / SIZES["drift"].seconds
    assert position.min() >= 0.85 and position.max() <= 1
    assert late[items].any()


def test_purchases_come_by_user_and_time_within_the_span(crowd):
    users, _, times = crowd.purchases
    assert (np.diff(users) >= 0).all()
    assert (np.diff(times)[np.diff(users) == 0] >= 0).all()
    size = crowd.size
    assert times.min() >= size.start and times.max() < size.start + size.seconds


def test_times_follow_the_seasons(crowd):
    position = (crowd.purchases.times - crowd.size.start) / crowd.size.seconds
    counts, edges = np.histogram(position, bins=30, range=(0, 1))
    middle = (edges[:-1] + edges[1:]) / 2
    density = 1 + 0.4 * np.cos(2 * np.pi * (3 * middle - 0.9))
    expected = len(position) * density / density.sum()
    assert chi_square(counts, expected) < 58.3  # 29 degrees of freedom, p = .001


def test_attributes_are_one_value_a_group_and_some_tags():
    world = generate("tiny", seed=1, items=20_000, users=1)
    table = world.attributes
    dense = table.dense()
    assert dense.shape == (20_000, 49) and len(set(table.names)) == len(set(table.values)) == 49
    for _, offset, size, exclusive in table.layout:
        share = dense[:, offset : offset + size].mean(0)
        if exclusive:
            assert (dense[:, offset : offset + size].sum(1) == 1).all()
            assert (share > 0).all()
        else:
            assert share.min() > 0.08 and share.max() < 0.42
    np.testing.assert_array_equal(table.dense([7, 3]), dense[[7, 3]])


def test_group_frequencies_have_the_dirichlet_variance():
    # Dirichlet(3) over n values: variance of a share (1/n)(1 - 1/n) / (3n + 1).
    shares = []
    for seed in range(60):
        dense = generate("tiny", seed=seed, items=3000, users=1).attributes.dense()
        shares.append(dense[:, :12].mean(0))
    expected = (1 / 12) * (11 / 12) / 37
    assert np.var(np.concatenate(shares)) == pytest.approx(expected, rel=0.25)


def test_parameters_have_their_spread():
    world = generate("drift", seed=3, users=4000, items=8000, epochs=16, exact_limit=0, candidates=30)
    truth = world.truth
    assert truth.taste.std() == pytest.approx(1.0, rel=0.03)
    assert truth.user_latent.std() == pytest.approx(0.55, rel=0.03)
    assert truth.item_latent.std() == pytest.approx(0.27, rel=0.03)
    assert truth.popularity.std() == pytest.approx(0.5, rel=0.05)
    assert truth.taste_map.std() == pytest.approx(6**-0.5, rel=0.15)
    assert (truth.style - truth.style.mean(0)).std() == pytest.approx(0.8 * (15 / 16) ** 0.5, rel=0.1)
    cuts = (truth.epoch_edges[1:-1] - SIZES["drift"].start) / SIZES["drift"].seconds
    assert np.abs(cuts - np.arange(1, 16) / 16).max() <= 0.24 / 16
    assert truth.volume.sum() == len(world.purchases.users)


def test_cuts_of_three_epochs_are_near_the_thirds():
    for seed in range(5):
        edges = generate("drift", seed, users=1).truth.epoch_edges
        cuts = (edges - SIZES["drift"].start) / SIZES["drift"].seconds
        assert np.abs(cuts - np.array([0, 1 / 3, 2 / 3, 1])).max() <= 0.08 + 1e-6


# --- the choice itself -------------------------------------------------------------------------------------

ALIKE = dict(items=30, taste_sd=0.0, user_latent_sd=0.0, late_share=0.0, min_purchases=2, max_purchases=2)


def test_shoppers_choose_by_soft_max_of_the_utility():
    world = generate("tiny", seed=4, users=20_000, kappa=1.5, exact_limit=1e9, **ALIKE)
    weight = np.exp(1.5 * world.utility([0])[0])
    first, second = world.purchases.items.reshape(-1, 2).T
    share = weight / weight.sum()
    assert chi_square(np.bincount(first, minlength=30), 20_000 * share) < 58.3
    # The second choice is among the 29 others: P(b) = sum over a != b of s_a s_b / (1 - s_a).
    after = share * ((share / (1 - share)).sum() - share / (1 - share))
    assert chi_square(np.bincount(second, minlength=30), 20_000 * after) < 58.3


def test_a_single_drawn_candidate_is_uniform():
    world = generate("tiny", seed=4, users=20_000, exact_limit=0, candidates=1, **ALIKE)
    first, second = world.purchases.items.reshape(-1, 2).T
    assert chi_square(np.bincount(first, minlength=30), 20_000 / 30) < 58.3
    assert (first != second).all()


def test_many_drawn_candidates_come_near_the_exact_choice():
    world = generate("tiny", seed=4, users=20_000, exact_limit=0, candidates=1000, **ALIKE)
    weight = np.exp(world.utility([0])[0])
    first = world.purchases.items[::2]
    assert chi_square(np.bincount(first, minlength=30), 20_000 * weight / weight.sum()) < 58.3


def test_purchases_follow_the_style_of_their_epoch():
    world = generate("drift", seed=6, users=3000, items=200)
    _, items, times = world.purchases
    epochs = world.truth.epoch_of(times)
    assert np.bincount(epochs).tolist() == world.truth.volume.tolist()
    own = [world.truth.utility([0], e)[0] for e in range(3)]
    for e in range(3):
        bought = items[epochs == e]
        others = [own[k][bought].mean() - own[k].mean() for k in range(3) if k != e]
        assert own[e][bought].mean() - own[e].mean() > max(others)
    np.testing.assert_allclose(
        world.utility([0])[0], np.average(own, axis=0, weights=world.truth.volume), atol=1e-12
    )


# --- determinism -------------------------------------------------------------------------------------------


def test_same_seed_same_bytes(tmp_path, tiny):
    again = generate("tiny", seed=5)
    tiny.write(tmp_path / "a")
    paths = again.write(tmp_path / "b")
    for path in paths.values():
        assert path.read_bytes() == (tmp_path / "a" / path.name).read_bytes()
    other = generate("tiny", seed=6)
    assert not np.array_equal(other.truth.taste, tiny.truth.taste)


@pytest.mark.parametrize("exact_limit", [5e8, 0])
def test_neither_threads_nor_steps_matter(exact_limit, monkeypatch):
    import numba

    whole = generate("tiny", seed=8, exact_limit=exact_limit).purchases.items
    seen = []
    monkeypatch.setattr(choosing, "_CANDIDATES_A_STEP", 100_000)
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        steps = generate("tiny", 8, lambda done, users: seen.append((done, users)), exact_limit=exact_limit)
    finally:
        numba.set_num_threads(before)
    np.testing.assert_array_equal(steps.purchases.items, whole)
    assert len(seen) > 1 and seen[-1] == (200, 200)


def test_importing_the_module_does_not_import_numba():
    code = "import sys, ivbpr_numba.worlds.world; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- files -------------------------------------------------------------------------------------------------


def test_files_hold_what_was_generated(tmp_path, tiny):
    paths = tiny.write(tmp_path / "world")
    with open(paths["purchases"], newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["user", "item", "time"]
    got = [(int(row["time"]), row["user"], row["item"]) for row in rows]
    assert got == sorted(got, key=lambda row: row[:2])
    users, items, times = tiny.purchases
    expected = {(int(t), tiny.users[u], tiny.items[i]) for u, i, t in zip(users, items, times)}
    assert len(got) == len(users) and set(got) == expected
    with open(paths["catalogue"], newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["id", "title", "garment", "material", "pattern", "colour", "fit", "tags"]
    assert [row["id"] for row in rows] == tiny.items.texts()
    dense, names = tiny.attributes.dense(), tiny.attributes.names
    for i, row in enumerate(rows):
        values = {f"{c}={row[c]}" for c in ("garment", "material", "pattern", "colour", "fit")}
        values |= {f"tags={tag}" for tag in row["tags"].split(";") if tag}
        assert values == {names[k] for k in np.flatnonzero(dense[i])}
        assert row["title"].endswith(row["garment"])
    assert len({row["tags"] == "" for row in rows}) == 2


def test_truth_file_reproduces_the_utility(tmp_path):
    world = generate("drift", seed=7, users=50, items=80)
    path = world.write(tmp_path / "w", metrics={"all/auc": 0.96})["truth"]
    with h5py.File(path) as file:
        f = np.zeros((80, 49))
        indptr, columns = file["/items/attributes/indptr"][:], file["/items/attributes/columns"][:]
        for i in range(80):
            f[i, columns[indptr[i] : indptr[i + 1]]] = 1
        part = file["/users/taste"][:] @ file["/truth/taste_map"][:] @ f.T
        part += file["/users/latent"][:] @ file["/items/latent"][:].T + file["/items/popularity"][:]
        for e in range(3):
            by_hand = part + f @ file["/truth/style"][e]
            np.testing.assert_allclose(world.utility(np.arange(50), e), by_hand, atol=1e-12)
        assert json.loads(file["/config"].asstr()[()])["drift_sd"] == 0.8
    truth = Truth.read(path)
    np.testing.assert_array_equal(truth.utility([3, 1], 2), world.utility([3, 1], 2))
    np.testing.assert_array_equal(truth.utility([3, 1]), world.utility([3, 1]))
    assert truth.metrics == {"all/auc": 0.96} and truth.attributes.names == world.attributes.names


def test_truth_vectors_follow_the_ids_asked_for(tiny):
    world = generate("drift", seed=7, users=50, items=80)
    users, items = ["u000004", "u000002"], ["p000079", "p000000", "p000033"]
    timed = truth_vectors(world, users, items, with_time=True)
    plain = truth_vectors(world.truth, users, items, with_time=False)
    assert timed.item_bias.shape == (3, 3) and plain.item_bias.shape == (1, 3)
    np.testing.assert_array_equal(timed.epoch_edges, world.truth.epoch_edges)
    assert plain.epoch_edges is None
    for e in range(3):
        expected = world.utility([4, 2], e)[:, [79, 0, 33]]
        np.testing.assert_allclose(timed.users @ timed.items.T + timed.item_bias[e], expected, atol=1e-12)
    expected = world.utility([4, 2])[:, [79, 0, 33]]
    np.testing.assert_allclose(plain.users @ plain.items.T + plain.item_bias[0], expected, atol=1e-12)
    with pytest.raises(DataError, match="2 user ids"):
        truth_vectors(world, ["u000004", "u9", "x"], items, with_time=False)


def test_mistakes_are_named(tmp_path, tiny):
    with pytest.raises(UsageError, match="demo"):
        generate("demoo")
    with pytest.raises(UsageError, match="taste_sd"):
        generate("tiny", taste_sdd=1)
    with pytest.raises(UsageError, match="too few"):
        generate("tiny", items=30)
    with pytest.raises(UsageError, match="users is 0"):
        generate(WorldSize("mine", 0, 100))
    with pytest.raises(UsageError, match="Seed -1"):
        generate("tiny", seed=-1)
    with pytest.raises(UsageError, match="below"):
        generate(replace(SIZES["tiny"], max_purchases=5))
    with pytest.raises(UsageError):
        tiny.write(tmp_path / "no" / "such")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="file"):
        tiny.write(tmp_path / "file")


def test_other_groups_and_many_tags_are_possible():
    world = generate("tiny", users=20, groups=(("garment", 14), ("style", 3)), tags=100)
    assert world.attributes.names[12:17] == [
        "garment=garment-13",
        "garment=garment-14",
        "style=style-1",
        "style=style-2",
        "style=style-3",
    ]
    assert world.attributes.dense().shape == (300, 117)


# --- how well the truth itself ranks -----------------------------------------------------------------------


def truth_auc(world, with_time):
    """AUC of x* on a random split, over the items that anybody bought, counted by the reference."""
    users, items, times = world.purchases
    kept = np.unique(items)
    lists, valid, test, when = [], [], [], []
    for u in range(len(world.users)):
        own = users == u
        order = np.argsort(items[own])
        rows = np.searchsorted(kept, items[own][order]).tolist()
        a, b = naive.split_random(world.users[u], len(rows), seed=0)
        test.append(rows[a])
        valid.append(rows[b])
        when.append(times[own][order][a])
        lists.append([row for row in rows if row not in (rows[a], rows[b])])
    scorer = truth_vectors(world, world.users, world.items.values[kept], with_time)
    epochs = world.truth.epoch_of(np.array(when)) if with_time else np.zeros(len(lists), dtype=int)

    def row_of(u, _):
        return (scorer.item_bias[epochs[u]] + scorer.items @ scorer.users[u]).tolist()

    return naive.auc(row_of, lists, valid, test, len(kept))


def test_truth_auc_of_tiny():
    values = [truth_auc(generate("tiny", seed), with_time=False)["all"]["auc"] for seed in range(5)]
    assert np.mean(values) == pytest.approx(0.931, abs=0.015)


@pytest.mark.slow
def test_truth_auc_of_demo():
    values = [truth_auc(generate("demo", seed), with_time=False)["all"]["auc"] for seed in range(3)]
    assert np.mean(values) == pytest.approx(0.952, abs=0.01)


@pytest.mark.slow
def test_truth_auc_of_drift_with_and_without_time():
    world = generate("drift", seed=0, users=3000)
    timed, plain = (truth_auc(world, with_time=flag) for flag in (True, False))
    assert timed["all"]["auc"] == pytest.approx(0.960, abs=0.02)
    assert plain["all"]["auc"] == pytest.approx(0.928, abs=0.02)
    assert timed["all"]["auc"] > plain["all"]["auc"] + 0.015


def test_cuts_can_be_placed():
    world = generate("drift", 0, users=30, items=60, cuts=(0.1, 0.2))
    inside = world.truth.epoch_edges[1:-1] - world.size.start
    assert inside.tolist() == [int(0.1 * world.size.seconds), int(0.2 * world.size.seconds)]
    for cuts in ((0.5,), (0.2, 0.1), (0.1, 1.0), (0.0, 0.5)):
        with pytest.raises(UsageError, match="cuts"):
            generate("drift", 0, users=30, items=60, cuts=cuts)
