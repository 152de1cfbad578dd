"""Other programs beside us: what they are given, what is read of them, and how the best is chosen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import inputs, versus
from benchmarks.cases import CASES
from benchmarks.inputs import Work
from benchmarks.peers import PEERS, Learned, Options, mymedialite
from benchmarks.registry import Missing
from ivbpr_numba.ranking import ItemSide, VectorScorer, count, item_classes, questions


@pytest.mark.parametrize("name", [name for name in PEERS if name != "MyMediaLite"])
def test_other_programs_learn_the_same_law(name: str) -> None:
    try:
        PEERS[name].version()
    except Missing as problem:
        pytest.skip(str(problem))
    case = CASES["bpr-mf S1"]
    work = Work(replace(case.tiny, users=400, asked=400, iterations=150, rate=0.1))
    run = case.peers[name](work, 1)
    assert run.amount >= 149 * len(work.data.train) and run.seconds > 0
    scores = run.result["user_factors"] @ run.result["item_factors"].T + run.result["item_bias"]
    users, items = (np.arange(n) % inputs.TASTES for n in scores.shape)
    liked = users[:, None] == items
    assert scores[liked].mean() - scores[~liked].mean() > 0.1 * scores.std()
    assert run.quality is not None and 0.3 < run.quality < 1


# --- MyMediaLite -------------------------------------------------------------------------------------------

LINE = (
    "BPRMF num_factors=10 bias_reg=0 reg_u=0.0025 reg_i=0.0025 reg_j=0.00025 num_iter=30 learn_rate=0.05 "
    "uniform_user_sampling=True with_replacement=False update_j=True training_time 00:00:02.5 "
    "AUC 0.93313 prec@5 0.12 MAP 1.5E-2 num_users 943 num_items 1682 num_lists 943 testing_time 00:01:00.25"
)


def test_its_line_is_read() -> None:
    found = mymedialite.parse(f"loading_time 0.1\n{LINE}\nmemory 6")
    assert (found["AUC"], found["prec@5"], found["MAP"], found["num_lists"]) == (0.93313, 0.12, 0.015, 943)
    assert (found["training_time"], found["testing_time"]) == (2.5, 60.25)
    for bad in ("nothing", "AUC unknown", "AUC 0.9 prec@5 0.1"):
        with pytest.raises(ValueError, match="printed no"):
            mymedialite.parse(bad)


FAKE = """#!/bin/sh
case "$1" in --version) echo 'MyMediaLite 3.11 Item Recommendation'; exit;; esac
for argument in "$@"; do
    echo "$argument" >> "$FAKE_SAID"
    case "$argument" in --training-file=*|--test-file=*) wc -l < "${argument#*=}" >> "$FAKE_SAID";; esac
done
echo 'LINE'
"""


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program of its name on the PATH that notes its arguments and the lengths of its files."""
    program, said = tmp_path / "item_recommendation", tmp_path / "said.txt"
    program.write_text(FAKE.replace("LINE", LINE))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("FAKE_SAID", str(said))
    return said


def test_its_program_is_run(fake: Path) -> None:
    work = Work(CASES["bpr-mf S1"].tiny)
    learned = PEERS["MyMediaLite"].learn(work.data, Options(iterations=4, rate=0.1, seed=3))
    assert (learned.auc, learned.seconds, learned.triples) == (0.93313, 2.5, 4 * len(work.data.train))
    assert PEERS["MyMediaLite"].version() == "MyMediaLite 3.11 Item Recommendation"
    said = fake.read_text().split("\n")
    assert said[1].strip() == str(len(work.data.train)) and said[3].strip() == str(len(work.data.test))
    options = "num_factors=10 learn_rate=0.1 reg_u=0.0025 reg_i=0.0025 reg_j=0.00025 bias_reg=0 num_iter=4"
    assert {"--recommender=BPRMF", f"--recommender-options={options}", "--random-seed=3"} <= set(said)
    run = CASES["bpr-mf S1"].peers["MyMediaLite"](work, 2)
    assert run.quality == 0.93313


def test_its_files_hold_a_line_a_pair(tmp_path: Path) -> None:
    train = Work(CASES["bpr-mf S1"].tiny).data.train
    mymedialite.write(train, tmp_path / "train.tsv")
    rows = [line.split("\t") for line in (tmp_path / "train.tsv").read_text().splitlines()]
    assert rows == [[str(u), str(i)] for u, i in zip(train.users, train.indices)]


def test_a_program_that_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "item_recommendation"
    program.write_text("#!/bin/sh\necho 'no such recommender' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(RuntimeError, match="ended with 1: no such recommender"):
        mymedialite.run(Work(CASES["bpr-mf S1"].tiny).data, "BPRMF", {})


def test_its_protocol() -> None:
    """Against a loop over pairs, as the program's documentation has it."""
    data = inputs.random_purchases(20, 60, 5, 15, seed=1)
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 6, (20, 60)).astype(np.float32)  # many ties
    trained, tested = set(data.train.indices.tolist()), set(data.test.indices.tolist())
    assert tested - trained and set(data.valid.indices.tolist()) & (trained | tested)
    expected = []
    for user, target in zip(data.test.users.tolist(), data.test.indices.tolist()):
        own = data.train.indices[data.train.indptr[user] : data.train.indptr[user + 1]].tolist()
        others = (trained | tested) - set(own) - {target}
        worth = 0.0
        for other in others if target in trained else ():
            gap = scores[user, target] - scores[user, other]
            worth += 1.0 if other not in trained or gap > 0 else 0.5 if gap == 0 else 0.0
        expected.append(worth / len(others))
    assert mymedialite.auc(lambda users: scores[users], data) == pytest.approx(np.mean(expected), abs=1e-12)


def test_its_protocol_is_ours_where_they_ask_the_same() -> None:
    """No ties, every item trained, no validation part: then both compare the same pairs."""
    data = inputs.random_purchases(300, 40, 10, 300, seed=2)
    assert (data.train_counts > 0).all()
    data.valid = type(data.valid)(np.zeros(301, np.int64), data.valid.indices[:0], data.valid.times[:0])
    rng = np.random.default_rng(0)
    users, items = (rng.normal(size=(n, 4)).astype(np.float32) for n in (300, 40))
    scorer = VectorScorer(users, ItemSide(items, np.zeros(40, np.float32)))
    ours, _, _ = count(scorer, questions(data, "test"), item_classes(data.train_counts)).auc()
    theirs = mymedialite.auc(lambda rows: users[rows] @ items.T, data)
    assert theirs == pytest.approx(ours.mean(), abs=1e-12)


# --- quality beside other programs -------------------------------------------------------------------------


class Knows:
    """A program that gives test items away when the rate is right, and the validation items always."""

    name = "Knows"

    def __init__(self, right: float) -> None:
        self.right = right

    def version(self) -> str:
        return "1"

    def learn(self, data: Any, options: Options) -> Learned:
        scores = np.zeros((len(data.users), len(data.items)), np.float32)
        held = data.valid if options.rate == self.right else data.test
        scores[held.users, held.indices] = 1
        return Learned(1, 1.0, 1.0, scores, np.eye(len(data.items), dtype=np.float32), np.zeros(1))


def test_the_choice_is_made_on_the_validation_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PEERS, "Knows", Knows(0.01))
    data = inputs.random_purchases(30, 40, 5, 30)
    popular, row = versus.equal_budget(["Knows"], "drawn", data, 4)
    assert popular["program"] == "most popular" and 0 < popular["all"] < 1
    # What knows the test items has a higher test AUC, and must not be chosen for it.
    assert (row["chosen"], row["valid"], row["all"]) == ((0.01, 0.0025, 100), 1.0, 0.0)


def test_equal_settings_ask_both_protocols(fake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PEERS, "Knows", Knows(0.3))
    data = inputs.random_purchases(30, 40, 5, 30)
    rows = list(versus.equal_settings(["ours", "Knows"], lambda seed: data, 2))
    assert [(row["program"], row["seed"]) for row in rows] == [
        (name, seed) for seed in (0, 1) for name in ("ours", "Knows", "MyMediaLite")
    ]
    assert rows[1]["all"] == 1.0 and rows[2]["its protocol"] == 0.93313
    said = fake.read_text().split("\n")
    assert {"--random-seed=0", "--random-seed=1"} <= set(said)
    found = versus.tables([*rows, *versus.equal_budget(["Knows"], "drawn", data, 0)])
    assert "| MyMediaLite |  | 0.9331 | 0.9331 0.9331 |" in found and "recorded" not in found
    assert "MyMediaLite (recorded) | | 0.9348" in versus.tables([rows[0]])


def test_ours_is_judged_as_the_model_itself() -> None:
    from ivbpr_numba import auc, create

    data = inputs.random_purchases(50, 40, 5, 50)
    scores = versus.scores_of("ours", data, Options(iterations=20, seed=1), "mymedialite")
    options = {"learning_rate": 0.05, "lambda_theta": 0.0025, "iterations": 20, "factors": 10, "seed": 1}
    model = create("bpr-mf", preset="mymedialite", **options).fit(data)
    assert versus.judged(scores, data, "test")["all"] == pytest.approx(auc(model)["all"]["auc"], abs=1e-3)


def test_a_sample_of_amazons_users(tmp_path: Path) -> None:
    import gzip

    lines = [f"U{u} " + " ".join(f"B{(u + k) % 9}" for k in range(6)) for u in range(12)]
    with gzip.open(tmp_path / "user_sequence.txt.gz", "wt") as out:
        out.write("\n".join(lines) + "\n")
    data = versus.amazon(tmp_path, tmp_path, 7, 0)
    assert len(data.users) == 7 and len(data.train) == 7 * 4
    assert {f"U{u}" for u in range(12)} > set(data.users.texts())
