"""`ivbpr table2`: formats, texts to take away, what is refused, made again, killed."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kills import Task, interrupt_often, kill_often
from small_models import ATTRIBUTES
from table2_small import divided

from ivbpr_cli.live import Filling, live_table
from ivbpr_cli.output import Screen
from ivbpr_numba.table2 import Table, table2
from ivbpr_numba.table2.latex import escape

Run = Callable[..., Any]
MODELS = ("--models", "rand,pop,bpr-mf,i-vbpr,cosine")
QUICK = ("--option", "iterations=4", "--runs", 2, "--min-users", 20, "--processes", 1)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("place")
    divided().write(folder / "d.h5")
    ATTRIBUTES.write(folder / "a.h5")
    return folder


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "t.h5"


@pytest.fixture
def words(place: Path, out: Path) -> list[Any]:
    """The whole command but for what follows."""
    return ["table2", place / "d.h5", "--attributes", place / "a.h5", *MODELS, *QUICK, "-o", out]


def test_every_format(ivbpr: Run, words: list[Any], out: Path) -> None:
    done = ivbpr(*words, "--by", "side", "--paper")
    assert done.code == 0, done.err
    assert "all items: AUC ± standard error; 60 users, 45 items" in done.out
    assert "I-VBPR − BPR-MF" in done.out and "The paper's order: POP < RAND" in done.out
    assert "Left out: side=none, 0 users" in done.out
    assert "TVBPR" in done.out  # the paper's own, beside it
    found = json.loads(ivbpr(*words, "--by", "side", "--format", "json").out)
    assert found["schema"] == "ivbpr.table2/1" and found["out"].endswith("t.h5")
    keys = "subset setting model auc stderr users runs parameters seconds chosen".split()
    assert list(found["rows"][0])[:10] == keys and len(found["rows"]) == 3 * 3 * 5
    assert {row["about"] for row in found["orderings"]} == {"popularity", "looks"}
    lines = list(csv.DictReader(io.StringIO(ivbpr(*words, "--by", "side", "--format", "csv").out)))
    assert [float(line["auc"]) for line in lines] == [row["auc"] for row in found["rows"]]
    markdown = ivbpr(*words, "--by", "side", "--format", "markdown").out
    assert markdown.count("\n| all items | ") == 3 and "**" in markdown
    table = Table.read(out)
    assert markdown == table.markdown()
    assert ivbpr(*words, "--by", "side", "--format", "latex", "--paper").out == table.latex(paper=True)
    assert [line["model"] for line in csv.DictReader(io.StringIO(table.csv()))][:2] == ["rand", "pop"]


def test_texts_to_take_away(ivbpr: Run, words: list[Any], tmp_path: Path) -> None:
    tex, md = tmp_path / "t.tex", tmp_path / "t.md"
    done = ivbpr(*words, "--latex", tex, "--markdown", md)
    assert done.code == 0, done.err
    text = tex.read_text()
    assert text.count("{") == text.count("}") and "\\toprule" in text and "\\textbf{" in text
    assert all(line.count("&") == 6 for line in text.splitlines() if line.endswith("\\\\"))
    assert md.read_text().startswith("AUC ± standard error")


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no LaTeX here")
def test_latex_compiles(tmp_path: Path) -> None:
    data = divided()
    data.item_columns["si_de"] = data.item_columns.pop("side")
    found = table2(data, models=["rand", "pop"], by="si_de", min_users=20, runs=2, processes=1)
    (tmp_path / "t.tex").write_text(found.latex(paper=True))
    (tmp_path / "d.tex").write_text(
        "\\documentclass{article}\\usepackage{booktabs,graphicx}\\begin{document}\\input{t}\\end{document}"
    )
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "d.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "d.pdf").exists() and "Overfull" not in done.stdout


def test_escape() -> None:
    assert escape("50% a_b & {c}\\ #~^<>") == (
        "50\\% a\\_b \\& \\{c\\}\\textbackslash{} \\#\\textasciitilde{}\\textasciicircum{}\\textless{}\\textgreater{}"
    )


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--format", "latex", "--models", "popp"], "Did you mean 'pop'"),
        (["--option", "factors"], "Write it as NAME=VALUE"),
        (["--option", "factors=many"], "factors='many'"),
        (["--by", "nothing"], "There are side."),
        (["--again", "t.h5"], "--again takes everything from the table, so a dataset can't be given"),
        (["--latex", "x.tex", "--markdown", "x.tex"], "name one file"),
        (["--dense", "{a}"], "Give them as --attributes"),
        (["--category", "men"], "ivbpr prepare --meta"),
    ],
)
def test_refused(ivbpr: Run, words: list[Any], place: Path, out: Path, more: list[Any], said: str) -> None:
    more = [place / "a.h5" if word == "{a}" else word for word in more]
    done = ivbpr(*words, *more)
    assert done.code == 2 and said in done.err, done.err
    assert not out.exists()


def test_latex_is_for_tables_only(ivbpr: Run, place: Path) -> None:
    done = ivbpr("inspect", place / "d.h5", "--format", "latex")
    assert done.code == 2 and "no latex to show" in done.err


def test_again(ivbpr: Run, words: list[Any], out: Path, tmp_path: Path) -> None:
    assert ivbpr(*words).code == 0
    done = ivbpr("table2", "--again", out, "-o", tmp_path / "again.h5", "--format", "json")
    assert done.code == 0 and json.loads(done.out)["again"]["equal"] is True, done.err
    assert "table of models" in ivbpr("inspect", out).out
    table = Table.read(out)
    next(iter(table.cells.values())).auc[0] = 0.5
    table.save(out)
    done = ivbpr("table2", "--again", out, "-o", tmp_path / "other.h5")
    assert done.code == 5 and "1 of 10 cells (RAND on all items, run 1)" in done.err


def test_a_live_table() -> None:
    filling = Filling()
    facts = {"subset": "all items", "run": 1, "model": "pop"}
    filling.take(
        {"event": "table2", "columns": ["pop", "bpr-mf"], "subsets": ["all items"], "runs": 2, "total": 4}
    )
    filling.take(
        {"event": "iteration", "iteration": 3, "iterations": 9, "cell": {**facts, "model": "bpr-mf"}}
    )
    filling.take({"event": "cell", **facts, "auc": 0.25, "seconds": 1.0, "done": 1, "total": 4})
    assert list(filling.rows()) == [["pop", "0.2500 1/2", ""], ["bpr-mf", "·", "run 1: 3/9"]]
    assert filling.line() == "1 of 4 cells; now bpr-mf (run 1)"


def test_warnings_of_the_fits_are_shown_once(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(quiet=True)
    with live_table(screen) as tell:
        for run in (1, 2):
            cell = {"subset": "all items", "run": run, "model": "bpr-mf"}
            tell({"event": "warning", "message": "mind the gap", "cell": cell})
    assert capsys.readouterr().err.count("bpr-mf: mind the gap") == 1


def task(place: Path, folder: Path, processes: int = 2) -> Task:
    """A table in processes of its own."""
    for name in ("d.h5", "a.h5"):
        shutil.copy(place / name, folder / name)
    command = ["table2", str(folder / "d.h5"), "--attributes", str(folder / "a.h5"), *MODELS]
    command += [*map(str, QUICK[:-1]), str(processes), "--quiet"]
    return Task(command, folder / "t.h5", replace=["--overwrite"], may_stay=("t.h5.partial",))


def older(path: Path) -> str:
    """The table of another question."""
    return table2(divided(), models=["pop"], runs=1, processes=1).save(path)


def test_some_kills(place: Path, tmp_path: Path) -> None:
    print(kill_often(task(place, tmp_path), kills=2, seed=1, old=older))


@pytest.mark.slow
def test_many_kills(place: Path, tmp_path: Path) -> None:
    report = kill_often(task(place, tmp_path), kills=20, seed=2, old=older)
    print(f"\n{report}")
    assert report.litter["t.h5.partial"] >= 3, "hardly a kill left cells to go on from"


@pytest.mark.slow
def test_many_interruptions(place: Path, tmp_path: Path) -> None:
    import signal

    print(interrupt_often(task(place, tmp_path), signal.SIGTERM, times=10, seed=3))
