"""`ivbpr tune` and `fit --from`: what they show, write and refuse."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from small_models import ATTRIBUTES, DATA

from ivbpr_cli.output import Screen
from ivbpr_cli.searching import searched
from ivbpr_numba import Tuning, load

Run = Callable[..., Any]
QUICK = ("--trials", "9", "--processes", "1", "--set", "iterations=10")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("tuned")
    DATA.write(place / "d.h5")
    ATTRIBUTES.write(place / "f.h5")
    return place


def test_tune_and_fit_from_it(ivbpr: Run, folder: Path) -> None:
    out = folder / "t.h5"
    line = ("tune", folder / "d.h5", "--model", "i-vbpr", "--features", folder / "f.h5", "-o", out)
    done = ivbpr(*line, *QUICK, "--set", "factors=3")
    assert done.code == 0, done.err
    assert "9 trials of i-vbpr on rungs of 5 and 10 iterations" in done.err
    lines = done.out.splitlines()
    assert [row.split()[0] for row in lines[3:5]] == ["best", "defaults"]
    assert any(row.startswith("visual_factors ") for row in lines) and "factors  3" not in done.out
    following = next(row for row in lines if row.startswith("Next: ivbpr fit"))
    assert f"--from {out} --features {folder / 'f.h5'}" in following
    tuned = Tuning.read(out)
    assert tuned.best["factors"] == 3 and "factors" not in tuned.trials[0]["options"]

    words = ("fit", folder / "d.h5", "--from", out, "--features", folder / "f.h5", "-o", folder / "m.h5")
    assert ivbpr(*words, "--visual-factors", "2").code == 0
    model = load(folder / "m.h5")
    assert model.name == "i-vbpr"
    expected = {**tuned.best, "visual_factors": 2}
    assert {name: model.config_[name] for name in expected} == expected

    again = ivbpr(*line, *QUICK, "--set", "factors=3", "--format", "json")
    document = json.loads(again.out)
    assert document["schema"] == "ivbpr.tune/1"
    assert document["best"] == tuned.best and document["valid_auc"] == tuned.valid_auc
    assert {row["option"] for row in document["options"]} == set(tuned.trials[0]["options"])
    assert len(document["trials"]) == 9
    table = ivbpr(*line, *QUICK, "--set", "factors=3", "--format", "csv").out.splitlines()
    assert len(table) == 10 and table[0].startswith("number,origin,state,rung,iterations,")


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--model", "pop"), 2, "There is nothing to tune in pop"),
        (("--model", "bpr-mf", "--trials", "0"), 2, "--trials 0: it must be a whole number"),
        (("--model", "bpr-mf", "--space", "none.toml"), 2, "The space none.toml does not exist"),
        (("--model", "bpr-mf", "--set", "factors"), 2, "--set factors: it names no option"),
        (("--model", "bpr-mf", "--set", "factors=[1]"), 2, "that is no value of an option"),
        (("--model", "bpr-mf", "--set", "factor=1"), 2, "--factor does not apply to bpr-mf"),
        (("--model", "i-vbpr"), 2, "i-vbpr needs features"),
        (("--model", "bpr-mf", "--resume", "--overwrite"), 2, "--resume and --overwrite contradict"),
    ],
)
def test_refusals(ivbpr: Run, folder: Path, words: tuple[str, ...], code: int, message: str) -> None:
    done = ivbpr("tune", folder / "d.h5", "-o", folder / "refused.h5", "--processes", "1", *words)
    assert (done.code, done.out) == (code, "")
    assert message.replace("--factor ", "factor= " if "factor=1" in words else "--factor ") in done.err
    assert not (folder / "refused.h5").exists()


def test_fit_from_refuses(ivbpr: Run, folder: Path) -> None:
    fit = ("fit", folder / "d.h5", "-o", folder / "n.h5")
    assert "No model is named" in ivbpr(*fit).err
    done = ivbpr("tune", folder / "d.h5", "--model", "bpr-mf", "-o", folder / "b.h5", *QUICK)
    assert done.code == 0, done.err
    done = ivbpr(*fit, "--from", folder / "b.h5", "--model", "mm-mf")
    assert done.code == 2 and "is a search for bpr-mf, not for mm-mf" in done.err
    done = ivbpr(*fit, "--from", folder / "d.h5")
    assert done.code == 3 and "needs an ivbpr-tuning file" in done.err
    assert not (folder / "n.h5").exists()


def test_the_table_that_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    """At a terminal, and without a word for --quiet."""
    monkeypatch.setenv("COLUMNS", "80")
    start = {"event": "start", "model": "bpr-mf", "trials": 2, "processes": 2, "resumed": 3}
    start |= {"rungs": [5, 10], "asked": [300, 4000]}
    rows = [
        {"number": n, "rung": n + 1, "valid_auc": 0.6 + n / 10, "options": {"factors": 5, "average": 0.25}}
        for n in (0, 1)
    ]
    both = {"total": 2, "best_auc": 0.7, "default_auc": 0.6, "elapsed": 12.3}
    for quiet in (False, True):
        file = io.StringIO()
        screen = Screen(quiet=quiet)
        screen._err = Console(file=file, force_terminal=True, width=80, color_system=None)
        with searched(screen, "bpr-mf") as observer:
            observer(start)
            for n, row in enumerate(rows):
                observer({"event": "trial", "done": n + 1, "row": row, **both})
            observer({"event": "end"})
        shown = file.getvalue()
        if quiet:
            assert shown == ""
            continue
        assert "2 trials of bpr-mf on rungs of 5 and 10 iterations (asking 300 of 4,000" in shown
        assert "3 fits are taken over" in shown
        frame = shown[shown.rindex("trial  rung") :]
        best, default = frame.splitlines()[2:4]
        assert "0.7000  factors 5, average 0.25" in best and "the defaults" in default
        assert "2 of 2 trials begun · best 0.7000 · defaults 0.6000 · 12 s" in frame
