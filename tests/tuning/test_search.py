"""`tune`: the same for any number of processes and after any end, blind to the test part, never below the defaults."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_models import ATTRIBUTES, DATA, FEATURES

from ivbpr_numba import Dataset, Features, Tuning, create, tune
from ivbpr_numba.datasets.interactions import Interactions
from ivbpr_numba.errors import DataError, UsageError
from ivbpr_numba.store.verify import verify
from ivbpr_numba.tuning import parts
from ivbpr_numba.tuning.journal import journal_path

QUICK: dict[str, Any] = {"trials": 11, "processes": 1, "options": {"iterations": 30}}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a small search found."""
    out = tmp_path_factory.mktemp("tuned") / "t.h5"
    tune("bpr-mf", DATA, out=out, **QUICK)
    return out


def payload(path: Path) -> str:
    report = verify(path)
    assert report.ok
    return report.payload_sha256


def test_what_is_found(found: Path) -> None:
    tuned = Tuning.read(found)
    assert [row["number"] for row in tuned.trials] == list(range(11))
    default = tuned.trials[0]
    assert (default["origin"], default["state"]) == ("default", "finished")
    model = create("bpr-mf", iterations=30).fit(DATA)
    decided = {"lambda_theta": "auto"}  # by the data, in each fit
    assert default["options"] == {name: model.config_[name] for name in default["options"]} | decided
    assert tuned.valid_auc >= tuned.default_auc == default["valid_auc"]
    assert tuned.valid_auc == max(row["valid_auc"] for row in tuned.trials if row["state"] == "finished")
    assert tuned.search["rungs"] == [5, 30]
    assert (
        1 < sum(row["rung"] > 1 for row in tuned.trials) <= 5
    )  # the defaults, and a quarter after each wave
    assert all(row["spent"] == sum(n for n in (5, 30)[: row["rung"]]) for row in tuned.trials)
    assert not journal_path(found).exists()


def test_the_best_options_are_a_fit_of_their_own(found: Path) -> None:
    """Fitted to what the search saw, they reach what the search says."""
    tuned = Tuning.read(found)
    model = tuned.create().fit(blind(DATA))
    assert model.metrics_["valid"]["all"]["auc"] == tuned.valid_auc
    assert tuned.create(seed=4).get_params()["seed"] == 4


@pytest.mark.parametrize("processes", [2, 3])
def test_the_number_of_processes_changes_nothing(found: Path, processes: int, tmp_path: Path) -> None:
    tune("bpr-mf", DATA, out=tmp_path / "t.h5", **{**QUICK, "processes": processes})
    assert payload(tmp_path / "t.h5") == payload(found)


def blind(data: Dataset) -> Dataset:
    """Without a test part."""
    nothing = Interactions(np.zeros_like(data.test.indptr), data.test.indices[:0], data.test.times[:0])
    return Dataset(data.users, data.items, data.train, data.valid, nothing, data.item_columns, data.source)


@pytest.mark.parametrize("model", ["bpr-mf", "i-tvbpr"])
def test_the_test_part_is_never_read(model: str, tmp_path: Path) -> None:
    """Garbage instead of it: other items at other times, even training items; the same bits come out."""
    rng = np.random.default_rng(5)
    garbage = Interactions(
        np.arange(len(DATA.users) + 1, dtype=np.int64),
        rng.integers(0, len(DATA.items), len(DATA.users)).astype(np.int32),
        rng.integers(0, 2**40, len(DATA.users)),
    )
    other = Dataset(DATA.users, DATA.items, DATA.train, DATA.valid, garbage, DATA.item_columns, DATA.source)
    assert other.payload_sha256 != DATA.payload_sha256
    options = {"iterations": 12, "segment_every": 3} if model == "i-tvbpr" else {"iterations": 30}
    space = {"learning_rate": {"low": 0.01, "high": 0.1, "scale": "log"}, "factors": [2, 5]}
    for n, data in enumerate((DATA, other)):
        quick = {**QUICK, "trials": 9, "options": options}
        tune(model, data, FEATURES.get(model), space=space, out=tmp_path / f"{n}.h5", **quick)
    assert payload(tmp_path / "0.h5") == payload(tmp_path / "1.h5")


class Stop(Exception):
    """Somebody pulls the plug."""


def test_what_was_found_before_an_end_is_not_done_again(found: Path, tmp_path: Path) -> None:
    out = tmp_path / "t.h5"
    events: list[dict[str, Any]] = []

    def stop(event: dict[str, Any]) -> None:
        events.append(event)
        if sum(one["event"] == "trial" for one in events) == 6:
            raise Stop

    with pytest.raises(Stop):
        tune("bpr-mf", DATA, out=out, observers=stop, **QUICK)
    lines = journal_path(out).read_bytes()
    assert len(lines.splitlines()) == 7 and not out.exists()
    with pytest.raises(UsageError, match=r"unfinished search.*resume=True"):
        tune("bpr-mf", DATA, out=out, **QUICK)
    with pytest.raises(UsageError, match="another search; different: seed"):
        tune("bpr-mf", DATA, out=out, resume=True, seed=1, **QUICK)
    journal_path(out).write_bytes(lines[:-20])  # the last line was cut off
    events.clear()
    tune("bpr-mf", DATA, out=out, resume=True, observers=events.append, **QUICK)
    assert events[0]["resumed"] == 5
    assert payload(out) == payload(found)


def test_a_journal_cut_anywhere(found: Path, tmp_path: Path) -> None:
    """As a power cut may leave it: whole lines count, and the rest is done again."""
    out = tmp_path / "t.h5"

    def stop(event: dict[str, Any]) -> None:
        if event["event"] == "trial" and event["done"] == 9:
            raise Stop

    with pytest.raises(Stop):
        tune("bpr-mf", DATA, out=out, observers=stop, **QUICK)
    whole = journal_path(out).read_bytes()
    for length in (0, 1, whole.index(b"\n"), whole.index(b"\n") + 1, len(whole) // 2, len(whole) - 1):
        journal_path(out).write_bytes(whole[:length])
        tune("bpr-mf", DATA, out=out, resume=True, **QUICK)
        assert payload(out) == payload(found) and not journal_path(out).exists()
        out.unlink()


def test_a_journal_that_is_none(tmp_path: Path) -> None:
    journal_path(tmp_path / "t.h5").write_text("not JSON\nat all\n")
    with pytest.raises(DataError, match=r"t\.partial\.jsonl' can't be read"):
        tune("bpr-mf", DATA, out=tmp_path / "t.h5", resume=True, **QUICK)


def test_what_another_search_found_stays(found: Path) -> None:
    before = found.read_bytes()
    with pytest.raises(UsageError, match="another search found; different: trials"):
        tune("bpr-mf", DATA, out=found, **{**QUICK, "trials": 12})
    with pytest.raises(UsageError, match="contradict each other"):
        tune("bpr-mf", DATA, out=found, resume=True, overwrite=True, **QUICK)
    assert found.read_bytes() == before


def test_out_of_time(tmp_path: Path) -> None:
    """The defaults are judged all the same, so that there is something to choose."""
    told: list[dict[str, Any]] = []
    tuned = tune("bpr-mf", DATA, minutes=1e-9, processes=1, options={"iterations": 30}, observers=told.append)
    assert len(tuned.trials) == 1 and tuned.valid_auc == tuned.default_auc
    assert tuned.provenance["out_of_time"]
    assert any(event["event"] == "warning" and "minutes were over" in event["message"] for event in told)


def test_early_rungs_ask_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """All options of a visual model; early rungs ask some of the users, the last one all."""
    monkeypatch.setattr(parts, "SAMPLE", 20)
    monkeypatch.setattr(parts, "affordable", lambda *sizes: 7)
    tuned = tune("i-vbpr", DATA, ATTRIBUTES, trials=9, processes=1, options={"iterations": 27})
    assert tuned.search["asked"] == [20, len(DATA.valid)]
    asked = {row["state"]: row["users"] for row in tuned.trials}
    assert asked == {"finished": len(DATA.valid), "stopped": 20}
    users = parts.asked_at_first(DATA, 5, 10, 10, 3.0, seed=0)
    assert np.array_equal(users, parts.asked_at_first(DATA, 5, 10, 10, 3.0, seed=0)) and len(users) == 20
    assert not np.array_equal(users, parts.asked_at_first(DATA, 5, 10, 10, 3.0, seed=1))
    fewer = parts.with_questions_of(DATA, users)
    held = np.nonzero(np.diff(fewer.valid.indptr))[0]
    assert np.array_equal(held, users)
    rows = DATA.valid.indptr[users]
    assert np.array_equal(fewer.valid.indices, DATA.valid.indices[rows])
    assert np.array_equal(fewer.valid.times, DATA.valid.times[rows])


def test_a_fit_that_diverges_is_a_trial_that_lost() -> None:
    space = {"learning_rate": [0.05, 1e30]}
    tuned = tune("bpr-mf", DATA, space=space, trials=6, processes=1, options={"iterations": 10})
    lost = [row for row in tuned.trials if row["state"] == "diverged"]
    assert lost and all(row["options"]["learning_rate"] == 1e30 and row["valid_auc"] is None for row in lost)
    assert tuned.best["learning_rate"] != 1e30


def test_options_that_do_not_go_with_the_data_are_a_trial_that_lost() -> None:
    """As ``idf``, which the built-in space holds, where every item has every attribute."""
    values = np.random.default_rng(0).uniform(0.1, 0.9, (len(DATA.items), 6)).astype(np.float32)
    names = [f"n{k}" for k in range(6)]
    seen = Features.from_arrays(DATA.items, values, names, kind="attributes")
    asked: dict[str, Any] = {"trials": 8, "processes": 1, "options": {"iterations": 6}}
    told: list[Any] = []
    space = {"feature_scaling": ["standard", "idf"]}
    tuned = tune("i-vbpr", DATA, seen, space=space, observers=[told.append], **asked)
    lost = [row for row in tuned.trials if row["state"] == "refused"]
    assert lost and all(row["options"]["feature_scaling"] == "idf" for row in lost)
    assert tuned.best["feature_scaling"] == "standard"
    assert sum("was refused: " in event.get("message", "") for event in told) == 1
    asked["options"]["feature_scaling"] = "idf"
    with pytest.raises(UsageError, match="counts the items"):
        tune("i-vbpr", DATA, seen, space={"learning_rate": [0.05, 0.1]}, **asked)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": "pop"}, "nothing to tune in pop"),
        ({"model": "rand"}, "nothing to tune in rand"),
        ({"model": "bprmf"}, "Unknown model 'bprmf'. Did you mean 'bpr-mf'"),
        ({"trials": 0}, "trials=0: it must be a whole number"),
        ({"processes": 1.5}, "processes=1.5"),
        ({"minutes": -1}, "minutes=-1"),
        ({"seed": "x"}, "seed='x'"),
        ({"resume": True}, "need a file to save to"),
        ({"options": {"visual_factors": 3}}, "visual_factors= does not apply to bpr-mf"),
        ({"options": {"learning_rate": -1}}, "learning_rate=-1"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        tune(**{"model": "bpr-mf", "data": DATA, "processes": 1, **arguments})


def test_nobody_to_ask() -> None:
    none = replace(DATA.valid, indptr=np.zeros_like(DATA.valid.indptr), indices=DATA.valid.indices[:0])
    data = Dataset(DATA.users, DATA.items, DATA.train, none, DATA.test, source=DATA.source)
    with pytest.raises(DataError, match="No user has a validation item"):
        tune("bpr-mf", data)


def test_a_file_that_contradicts_itself(found: Path, tmp_path: Path) -> None:
    tuned = Tuning.read(found)
    replace(tuned, trials=[{**tuned.trials[0], "state": "stopped"}]).save(tmp_path / "t.h5")
    with pytest.raises(DataError, match="contradicts itself"):
        Tuning.read(tmp_path / "t.h5")
