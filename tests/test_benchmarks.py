"""What the benchmarks time is right: every implementation of a case gives the same result at a tiny size."""

from __future__ import annotations

import json
import re
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import bounds, goals, inputs, measuring, plotting, references, serving, showing, steering
from benchmarks.__main__ import listing, main
from benchmarks.cases import CASES, GROUPS
from benchmarks.inputs import Work
from benchmarks.peers import PEERS
from benchmarks.recorded import Recorded, document, recorded
from benchmarks.registry import Case, Goal, Missing, Run

# Each group of curves runs the same tiny size: one point stands for all.
POINTS = {case.curve: case for case in CASES.values()}
EACH = [case for case in CASES.values() if not case.curve or POINTS[case.curve] is case]
BY_NAME = {"argnames": "case", "argvalues": EACH, "ids": [case.name for case in EACH]}
# Models beside the one of the case, and other questions.
OTHER_LAW = {"ours, BPR-MF", "ours, I-TVBPR", "ours, VBPR", "ours, AUC counts"}


@pytest.mark.parametrize(**BY_NAME)
def test_implementations_agree(case: Case) -> None:
    work = Work(case.tiny)
    own = {**case.ours, **case.references, **case.bounds}
    runs = {label: implementation(work, 1) for label, implementation in own.items()}
    for label, run in runs.items():
        assert min(run.amount, run.seconds, run.cpu_amount) > 0 and run.cpu_seconds >= 0, label
    alike = {label: run.result for label, run in runs.items() if label not in {*OTHER_LAW, *case.bounds}}
    expected = next(iter(alike.values()), {})
    for label, result in alike.items():
        shared = expected.keys() & result.keys()
        assert shared
        for name in shared:
            if case.unit == "pairs":
                np.testing.assert_array_equal(result[name], expected[name], f"{label}: {name}")
            else:
                np.testing.assert_allclose(result[name], expected[name], 0, 2e-6, err_msg=f"{label}: {name}")


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in EACH if case.ours])
def test_the_parameters_move(case: Case) -> None:
    """Two implementations that do nothing would agree as well."""
    work = Work(case.tiny)
    run = next(iter(case.ours.values()))(work, 1)
    result = run.result
    if case.unit == "triples":
        for name, before in work.start().items():
            if name in result:
                assert np.abs(result[name] - before).max() > 1e-4, name
        assert {"user_factors", "item_factors", "item_bias"} <= result.keys()
        assert run.quality is not None and 0.5 < run.quality < 1
    elif case.unit == "comparisons":
        assert np.isfinite(result["table"]).all() and len(np.unique(result["table"])) > 10
    elif "items" in result:
        assert len({tuple(row) for row in result["items"].tolist()}) > len(result["items"]) // 2
    else:
        assert 0.3 < result["auc"] < 0.7


def test_counts_of_the_auc_hold_ties() -> None:
    case = CASES["auc D=20"]
    result = case.ours["ours, counts alone"](Work(replace(case.tiny, items=3000, factors=0)), 1).result
    assert result["ties"] > 0


def test_mini_batches_of_a_block_learn_the_same() -> None:
    """The vectorised batches that are timed rank as the definition does: the popular items first."""
    case = CASES["bpr-mf S1"]
    work = Work(replace(case.tiny, users=400, asked=400, iterations=20, every=20, batch=1))
    bias = {batch: work.start() for batch in (1, 64)}
    for batch, tables in bias.items():
        for _ in range(20):
            references.numpy_batches(tables, work.triples, batch, 0.05, 0.0025)
    popularity = work.data.train_counts
    aucs = [ranked(tables["item_bias"], popularity) for tables in bias.values()]
    aucs.append(ranked(case.ours["ours, ordered"](work, 1).result["item_bias"], popularity))
    aucs.append(ranked(case.ours["ours, hogwild"](work, 2).result["item_bias"], popularity))
    assert min(aucs) > 0.9
    assert max(aucs) - min(aucs) < 0.05


def ranked(scores: np.ndarray, popularity: np.ndarray) -> float:
    """Share of the pairs of items, one clearly more popular, that the scores put in that order."""
    more = popularity[:, None] > 2 * popularity[None, :] + 4
    return float((scores[:, None] > scores[None, :])[more].mean())


# --- inputs and bounds -------------------------------------------------------------------------------------


def test_random_purchases() -> None:
    data = inputs.random_purchases(300, 200, 15, 100, seed=3)
    assert (len(data.train), len(data.valid), len(data.test)) == (300 * 15, 100, 100)
    own = np.concatenate([data.train.users, data.valid.users, data.test.users]).astype(np.int64) * 200
    own += np.concatenate([data.train.indices, data.valid.indices, data.test.indices])
    assert len(np.unique(own)) == len(own)
    counts = np.sort(data.train_counts)[::-1]
    assert counts[:20].sum() > counts[-100:].sum() > 0
    same = inputs.random_purchases(300, 200, 15, 100, seed=3)
    assert data.payload_sha256 == same.payload_sha256
    assert data.payload_sha256 != inputs.random_purchases(300, 200, 15, 100, seed=4).payload_sha256


@pytest.mark.parametrize(("columns", "groups"), [(700, 9), (45, 5), (20, 3), (2, 1)])
def test_groups_fill_the_columns(columns: int, groups: int) -> None:
    sizes = inputs.group_sizes(columns, groups)
    assert sum(sizes) == columns and len(sizes) == groups
    assert sizes == sorted(sizes, reverse=True) and min(sizes) >= 2


def test_attributes_have_one_value_a_group() -> None:
    features = Work(replace(CASES["i-vbpr 5 groups F=45"].tiny, columns=45, groups=5)).features("attributes")
    values = features.values(np.arange(len(features)))
    assert features.kind == "attributes" and len(features.groups) == 5
    for group in features.groups:
        assert np.all(values[:, group.offset : group.offset + group.size].sum(axis=1) == 1)


def test_bounds_do_what_they_count() -> None:
    rng = np.random.default_rng(0)
    rows, out = rng.integers(0, 50, 400), np.zeros(7, np.uint64)
    table = rng.integers(0, 1 << 40, (50, 16)).astype(np.uint64)
    bounds.sum_rows(table, rows, out)
    assert out.sum() == table[rows].sum()
    bounds.read_all(table.ravel(), out)
    assert out.sum() == table.sum()
    changed = np.zeros((50, 16), np.float32)
    bounds.add_rows(changed, rows, 1)
    np.testing.assert_array_equal(changed, np.repeat(np.bincount(rows, minlength=50)[:, None], 16, axis=1))
    sums = np.zeros(2, np.float32)
    bounds.run_fma(2, sums)
    expected = sum(0.25 * start + 0.75 for start in range(1, bounds.SUMS + 1))  # twice x · ½ + ½
    np.testing.assert_allclose(sums, expected)


# --- measuring, goals, showing -----------------------------------------------------------------------------


class Here:
    """An executor that computes in this process, at once."""

    def submit(self, function: Any, *arguments: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(function(*arguments))
        return done


def absent(work: Work, threads: int) -> Run:
    raise Missing("the package 'other' is not installed")


def test_the_runner_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    case = replace(CASES["bpr-mf S1"], references={}, peers={"implicit": absent})
    monkeypatch.setitem(measuring.CASES, case.name, case)
    rows = measuring.rows_of(case, {2: Here()}, 2, tiny=True)  # type: ignore[dict-item]
    reached = goals.goals_of(case, rows, None)
    text = showing.table(case.what, rows, reached)
    assert "not measured: the package 'other' is not installed" in text
    assert [(row["label"], row["role"]) for row in rows] == [
        ("ours, ordered", "ours"),
        ("ours, hogwild", "ours"),
        ("implicit", "peer"),
        ("bound: two rows of items", "bound"),
    ]
    assert {goal["how"] for goal in reached} == {"recorded"}


def test_goals_are_carried_over_by_implicit() -> None:
    def row(label: str, wall: float, cpu: float) -> dict[str, Any]:
        return {"label": label, "threads": 2, "per_second": wall, "per_cpu_second": cpu}

    implicit, other = Recorded("I", 2e6, 2e6, "implicit"), Recorded("P", 1e6, 2e6, "P's label")
    case = replace(CASES["bpr-mf S1"], goals=(Goal(4, implicit), Goal(30, other)))
    # implicit is now twice as fast by the clock as recorded (2 × 2e6), and three times per CPU second.
    rows = [row("ours, ordered", 16e6, 12e6), row("implicit", 8e6, 6e6)]
    of_implicit, of_peer = goals.goals_of(case, rows, None)
    assert (of_implicit["reached"], of_implicit["fraction"], of_implicit["how"]) == (2.0, 0.5, "measured")
    assert (of_peer["reached"], of_peer["reached_per_cpu_second"]) == (16e6 / 4e6, 12e6 / 3e6)
    assert of_peer["how"] == "recorded, carried over by implicit"
    alone = goals.goals_of(case, rows[:1], None)
    assert [(goal["reached"], goal["how"]) for goal in alone] == [(4.0, "recorded"), (8.0, "recorded")]
    measured = goals.goals_of(case, [*rows, row("P's label", 4e6, 2e6)], None)
    assert (measured[1]["reached"], measured[1]["how"]) == (4.0, "measured")
    elsewhere = goals.goals_of(case, rows[:1], (2.0, 3.0))
    assert [goal["reached"] for goal in elsewhere] == [16e6 / 8e6, 16e6 / 4e6]


def test_a_goal_may_be_of_another_of_ours() -> None:
    case = replace(CASES["bpr-mf S1"], goals=(Goal(0.5, "ours, ordered", "ours, hogwild"), Goal(2, "nobody")))
    rows = [
        {"label": "ours, ordered", "threads": 2, "per_second": 8.0, "per_cpu_second": 4.0},
        {"label": "ours, hogwild", "threads": 2, "per_second": 6.0, "per_cpu_second": 4.0},
        {"label": "nobody", "threads": 1, "per_second": 6.0, "per_cpu_second": 4.0},
    ]
    (found,) = goals.goals_of(case, rows, None)
    assert (found["label"], found["reached"], found["fraction"]) == ("ours, hogwild", 0.75, 1.5)


def test_goals_name_what_is_there() -> None:
    for case in CASES.values():
        for goal in case.goals:
            assert isinstance(goal.of, Recorded) or goal.of in case.implementations
            assert not goal.label or goal.label in case.ours


def test_what_was_recorded_has_its_settings() -> None:
    for key, rate in document()["rates"].items():
        assert recorded(key).rate > 0 and recorded(key).implicit > 0 and rate["settings"]
        assert not rate.get("label") or rate["label"] in PEERS
    assert document()["auc"]["MyMediaLite BPRMF"]["auc"] == 0.9348
    assert document()["machine"] and document()["source"]


@pytest.mark.parametrize(("rate", "text"), [(2.5e9, "2.5 G"), (31e6, "31 M"), (999.0, "999  ")])
def test_rates_are_readable(rate: float, text: str) -> None:
    assert showing.shown(rate) == text


def test_curves_are_drawn() -> None:
    rows = [
        {
            "curve": "K",
            "value": value,
            "threads": threads,
            "seconds": value / threads,
            "case": "",
            "label": "",
        }
        for value in (10, 20, 40)
        for threads in (1, 2)
    ]
    drawing = plotting.curves(rows)
    assert drawing is not None
    lines = {part.name: part.points for part in drawing.parts if getattr(part, "name", None)}
    (one, two) = (lines["K, 1"], lines["K, 2"])
    assert [x for x, _ in one] == [x for x, _ in two] == sorted(x for x, _ in one)
    # Twice as much is the same step everywhere, upward; twice as fast is one step below.
    steps = np.diff([y for _, y in one])
    assert steps[0] == pytest.approx(steps[1]) and steps[0] < 0
    assert two[0][1] - one[0][1] == pytest.approx(-steps[0])
    assert plotting.curves([]) is None


# --- the command line --------------------------------------------------------------------------------------


def test_list_names_everything() -> None:
    said = listing()
    for name in [*GROUPS, *CASES, *PEERS]:
        assert name in said
    assert "benchmarks/quality.py" in said and "AUC of every model on real purchases" in said


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measurements in this process."""
    from contextlib import contextmanager

    @contextmanager
    def pools(wanted: list[int]) -> Any:
        yield {threads: Here() for threads in wanted}

    monkeypatch.setattr("benchmarks.__main__.processes", pools)


@pytest.mark.usefixtures("here")
def test_run_and_compare(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "new.json"
    main(["run", "auc D=20", "top-n D=20", "--tiny", "--rounds", "2", "--threads", "1", "--json", str(file)])
    printed = capsys.readouterr().out
    assert "auc D=20: full-ranking AUC" in printed and "NumPy, sgemm and compare" in printed
    found = json.loads(file.read_text())
    assert {row["case"] for row in found["rows"]} == {"auc D=20", "top-n D=20"}
    assert found["rounds"] == 2 and found["tiny"] and found["versions"]["numpy"] == np.__version__
    old = json.loads(file.read_text())
    first = old["rows"][0]
    for name in ("per_second", "lowest", "highest"):
        first[name] /= 2**20
    (tmp_path / "old.json").write_text(json.dumps(old))
    main(["compare", str(tmp_path / "old.json"), str(file)])
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("auc D=20"))
    assert re.search(r"ours, counts alone +1 1048576.00 +1.00$", line)
    (apart, *others) = showing.compared(old, found)
    assert apart["apart"] and not any(row["apart"] for row in others)


@pytest.mark.usefixtures("here")
def test_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "report"
    names = ["machine", "mm-mf S1", "curve bpr-mf K 10", "curve bpr-mf K 20"]
    main(["report", *names, "--tiny", "--rounds", "1", "--threads", "2", "1", "-o", str(folder)])
    text = (folder / "report.md").read_text()
    assert "the figures mean nothing" in text and "](curves.svg)" in text
    row = next(line for line in text.splitlines() if line.startswith("| mm-mf S1, triples"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert "950 k a CPU second (recorded)" in cells
    assert re.match(r"≥ 30 × MyMediaLite SoftMarginRankingMF \(recorded\)$", cells[6])
    assert re.match(r"(yes|no): \S+ ×, \S+ × a CPU second$", cells[7])
    for threads in cells[1], cells[2]:
        assert threads.count("/") == 1
    widths = {
        line.count("|") for line in text.splitlines() if line.startswith("| mm-mf") or "case | ours" in line
    }
    assert widths == {9}
    again = tmp_path / "again"
    capsys.readouterr()
    main(["report", "--read", str(folder / "report.json"), "-o", str(again)])
    assert capsys.readouterr().out.strip() == str(again / "report.md")
    assert (again / "report.md").read_text() == text
    assert (again / "curves.svg").read_text() == (folder / "curves.svg").read_text()


def test_processes_have_their_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    with measuring.processes([1]) as pools:
        assert os.environ["OMP_NUM_THREADS"] == "7"
        assert pools[1].submit(os.getenv, "OMP_NUM_THREADS").result() == "1"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "bpr-mf S9"], "no case or group is named 'bpr-mf S9'"),
        (["compare", "none.json", "none.json"], "'none.json' can't be read"),
        (["report", "--read", "OTHER"], "was not written by"),
    ],
)
def test_what_is_wrong_is_said(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("OTHER").write_text("{}")
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert said in f"{ended.value.code} {capsys.readouterr().err}"


def test_steps_of_a_session_are_timed(capsys: pytest.CaptureFixture[str]) -> None:
    steering.main(["--items", "500", "--attributes", "90", "--tags", "2", "--rounds", "1"])
    found = json.loads(capsys.readouterr().out)
    assert (found["items"], found["attributes"]) == (500, 90)
    assert 3 < found["values_an_item"] < 5  # two groups of one-hots, and two tags in the mean
    assert found["seconds"].pop("first") > 0
    ways = ["boost", "toward", "replay"]
    assert list(found["seconds"]) == [*ways, *(f"knn {way}" for way in ways), "explain"]
    assert all(0 < spent["median"] <= spent["largest"] for spent in found["seconds"].values())


def test_visitors_of_the_server_are_timed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("uvicorn", reason="needs the extra web")
    words = [
        "--items",
        "300",
        "--attributes",
        "90",
        "--clients",
        "1",
        "3",
        "--seconds",
        "0.2",
        "--memory",
        "40",
    ]
    serving.main([*words, "--write", str(tmp_path / "S.md")])
    found = json.loads(capsys.readouterr().out.splitlines()[0])
    for kind in ("step", "mixture"):
        assert [row["clients"] for row in found[kind]] == [1, 3]
        assert all(row["requests"] >= 3 and 0 < row["median_ms"] <= row["p99_ms"] for row in found[kind][1:])
    assert len(found["memory"]["mb"]) == 11
    assert (tmp_path / "S.md").read_text().count("| 300 × 90 |") == 4
