"""What commands write: checked before any work, against what is read, printed and written besides."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_models import ATTRIBUTES, DATA, NAMES, ONE_HOT, fitted

from ivbpr_cli.paths import output_file, plot_file
from ivbpr_numba import Features, UsageError, create
from ivbpr_numba.models import base
from ivbpr_numba.store.atomic import companions

Run = Callable[..., Any]
FEW = ("--iterations", "4", "--eval-every", "2")


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a dataset, features, and a model; it is the current one."""
    DATA.write(tmp_path / "d.h5")
    ATTRIBUTES.write(tmp_path / "f.h5")
    fitted("pop").save(tmp_path / "m.h5")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def refused(ivbpr: Run, folder: Path, said: str, *arguments: object, code: int = 2) -> None:
    """One paragraph, and every file is as it was."""
    before = content(folder)
    done = ivbpr(*arguments)
    assert (done.code, done.out) == (code, "") and said in done.err, done.err
    assert len(done.err.splitlines()) == 1 and content(folder) == before


@pytest.fixture
def no_work(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever comes after the checks is a bug."""

    def begun(*given: object, **options: object) -> None:
        raise AssertionError("work has begun")

    monkeypatch.setattr(base.Model, "fit", begun)
    monkeypatch.setattr("ivbpr_numba.models.load", begun)


# --- two names, one file -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize("exists", [False, True])
@pytest.mark.parametrize(
    ("log", "said"),
    [
        ("new.h5", "same file as 'new.h5'"),
        ("./sub/../new.h5", "same file as 'new.h5'"),
        ("link", "same file as 'new.h5'"),
        ("new.h5.lock", "same file as"),
        ("new.partial.h5", "same file as"),
    ],
)
def test_a_log_is_none_of_the_files_that_the_fit_makes(
    ivbpr: Run, shop: Path, exists: bool, log: str, said: str
) -> None:
    (shop / "sub").mkdir()
    (shop / "link").symlink_to("new.h5")
    if exists:
        (shop / "new.h5").write_text("an older one")
    refused(ivbpr, shop, said, "fit", "d.h5", "--model", "pop", "-o", "new.h5", "--log", log)


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("fit", "d.h5", "--model", "pop", "-o", "d.h5"), "also an input"),
        (("fit", "d.h5", "--model", "pop", "-o", "x.h5", "--log", "d.h5"), "same file as 'd.h5'"),
        (("fit", "d.h5", "--model", "i-vbpr", "--features", "f.h5", "-o", "hard.h5"), "also an input"),
        # The state of `d.h5` would be `d.partial.h5`, its lock `d.h5.lock`.
        (("fit", "x.partial.h5", "--model", "pop", "-o", "x.h5", "--overwrite"), "made while x.h5 is written"),
        (("fit", "x.h5.lock", "--model", "pop", "-o", "x.h5"), "made while x.h5 is written"),
        (("recommend", "m.h5", "--all-users", "-o", "m.h5"), "also an input"),
        (("recommend", "x.h5.lock", "--all-users", "-o", "x.h5"), "made while x.h5 is written"),
        (("auc", "m.h5", "--per-user", "m.h5"), "another --per-user"),
        (("auc", "m.h5", "--data", "d.h5", "--per-user", "d.h5"), "also an input"),
        (("trends", "m.h5", "--plot", "m.svg"), "another --plot"),
        (("trends", "m.h5", "--plot", "no/t.svg"), "mkdir -p no"),
        (("features", "table", "f.h5", "--id", "id", "--columns", "a", "-o", "hard.h5"), "also an input"),
        (("prepare", "x.h5.lock", "-o", "x.h5"), "made while x.h5 is written"),
    ],
)  # fmt: skip
def test_an_output_is_no_input(ivbpr: Run, shop: Path, arguments: tuple[str, ...], said: str) -> None:
    for name in ("x.partial.h5", "x.h5.lock"):
        shutil.copy(shop / "d.h5", shop / name)
    os.link(shop / "f.h5", shop / "hard.h5")
    os.link(shop / "m.h5", shop / "m.svg")
    refused(ivbpr, shop, said, *arguments)


def test_the_features_that_a_model_remembers_are_spared(ivbpr: Run, shop: Path) -> None:
    """They are an input that nobody names: by the recorded path, or by that beside a model that moved."""
    fit = ("fit", "d.h5", "--model", "i-vbpr", "--features", "f.h5", "-o", "i.h5", *FEW)
    assert ivbpr(*fit).code == 0
    moved = shutil.copytree(shop, shop / "moved")
    said = "holds the features of the model"
    for folder, features in ((shop, shop / "f.h5"), (moved, moved / "f.h5")):
        refused(ivbpr, folder, said, "recommend", folder / "i.h5", "--all-users", "-o", features)
        refused(ivbpr, folder, said, "auc", folder / "i.h5", "--per-user", features)


def test_extraction_keeps_its_hands_off_what_it_reads(ivbpr: Run, shop: Path) -> None:
    shutil.copytree(shop, shop / "photos")
    for name in ("net.onnx", "x.h5.partial", "how.json"):
        (shop / name).write_text("{}")
    command = ("features", "extract", "photos", "--model", "net.onnx")
    refused(ivbpr, shop, "also an input", *command, "-o", "net.onnx")
    refused(ivbpr, shop, "also an input", *command, "--preprocess", "how.json", "-o", "how.json")
    refused(ivbpr, shop, "made while x.h5", *command, "--items", "x.h5.partial", "-o", "x.h5", "--overwrite")


def test_the_library_knows_its_own_files(tmp_path: Path) -> None:
    """Also without the command line: log, model, lock and state are four files."""
    for log in ("m.h5", "m.h5.lock", "m.partial.h5"):
        with pytest.raises(UsageError, match="same file"):
            create("pop").fit(DATA, out=tmp_path / "m.h5", log=tmp_path / log)
    assert list(tmp_path.iterdir()) == []


def test_the_lock_lies_beside_what_a_link_leads_to(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "m.h5").symlink_to(tmp_path / "deep" / "real.h5")
    assert companions(tmp_path / "m.h5")[1] == tmp_path / "deep" / "real.h5.lock"
    (tmp_path / "deep" / "real.h5.lock").write_text("mine")
    with pytest.raises(UsageError, match="made while"):
        output_file(tmp_path / "m.h5", tmp_path / "deep" / "real.h5.lock")


# --- where the command prints ------------------------------------------------------------------------------


@pytest.mark.parametrize("out", ["here.csv", "/dev/stdout", "/dev/stderr"])
def test_an_output_does_not_replace_what_is_printed(shop: Path, out: str) -> None:
    """`… -o FILE > FILE` would lose one of the two: it is refused, and what is printed there is kept."""
    script = Path(sys.executable).with_name("ivbpr")
    with open(shop / "here.csv", "w") as printed:
        done = subprocess.run(
            [script, "recommend", "m.h5", "--all-users", "-o", out],
            stdout=printed,
            stderr=printed if out == "/dev/stderr" else subprocess.PIPE,
        )
    said = (shop / "here.csv").read_text() if out == "/dev/stderr" else done.stderr.decode()
    assert done.returncode == 2 and "also where this command prints" in said
    assert out == "/dev/stderr" or (shop / "here.csv").read_text() == ""


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_outputs_are_regular_files(ivbpr: Run, shop: Path, kind: str) -> None:
    os.mkfifo(shop / "pipe")
    (shop / "folder").mkdir()
    out = {"pipe": "pipe", "device": "/dev/null", "folder": "folder"}[kind]
    refused(ivbpr, shop, "folder" if kind == "folder" else "no regular file", "fit", "d.h5", "--model", "pop", "-o", out)  # fmt: skip
    refused(ivbpr, shop, "--per-user", "auc", "m.h5", "--per-user", out)


def test_a_figure_that_cannot_be_drawn_is_refused_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ivbpr: Run
) -> None:
    """Neither network is looked at nor model loaded for a .png that nobody can draw."""
    for name in ("net.onnx", "labels.csv", "m.h5", "f.h5"):
        (tmp_path / name).write_text("never read")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    refused(ivbpr, tmp_path, "ivbpr[plot]", "trends", "m.h5", "--plot", "t.png", code=4)
    judge = ("network", "evaluate", "net.onnx", "--labels", "labels.csv", "--features", "f.h5")
    refused(ivbpr, tmp_path, "ivbpr[plot]", *judge, "--plot", "t.png", code=4)
    refused(ivbpr, tmp_path, ".svg", *judge, "--plot", "t.pdf")
    assert plot_file(tmp_path / "t.svg") == tmp_path / "t.svg"


# --- logs --------------------------------------------------------------------------------------------------


def test_a_pipe_with_a_reader_gets_every_line(ivbpr: Run, shop: Path) -> None:
    os.mkfifo(shop / "pipe")
    reader = os.open(shop / "pipe", os.O_RDONLY | os.O_NONBLOCK)  # there at once; a pipe holds 64 KiB
    done = ivbpr("fit", "d.h5", "--model", "bpr-mf", "-o", "new.h5", "--log", "pipe", *FEW)
    lines = [json.loads(line) for line in os.read(reader, 1 << 16).splitlines()]
    os.close(reader)
    assert done.code == 0, done.err
    assert lines[0]["model"] == "bpr-mf" and [line["iteration"] for line in lines[1:]] == [2, 4]


def test_a_pipe_of_the_shell_gets_every_line(shop: Path) -> None:
    """As of ``--log >(cat)``: a descriptor under /dev/fd."""
    read, write = os.pipe()
    script = Path(sys.executable).with_name("ivbpr")
    command = [script, "fit", "d.h5", "--model", "pop", "-o", "new.h5", "--log", f"/dev/fd/{write}"]
    done = subprocess.run(command, pass_fds=[write], capture_output=True, text=True)
    os.close(write)
    assert done.returncode == 0, done.stderr
    with os.fdopen(read) as lines:
        assert json.loads(lines.readline())["model"] == "pop"


def test_a_pipe_without_a_reader_is_refused_before_any_work(
    ivbpr: Run, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def begun(*given: object) -> None:
        raise AssertionError("work has begun")

    monkeypatch.setattr("ivbpr_numba.models.trained.Trained._train", begun)
    os.mkfifo(shop / "pipe")
    refused(ivbpr, shop, "nobody at its other end", "fit", "d.h5", "--model", "bpr-mf", "-o", "new.h5", "--log", "pipe")  # fmt: skip


@pytest.mark.parametrize("fault", ["lacks items", "other kind", "diverges", "unfinished"])
def test_an_old_log_outlives_a_fit_that_is_refused(ivbpr: Run, shop: Path, fault: str) -> None:
    few = DATA.items.texts()[3:]
    Features.from_arrays(few, ONE_HOT[3:], NAMES, kind="attributes").write("few.h5")
    Features.from_arrays(DATA.items, ONE_HOT).write("dense.h5")
    (shop / "run.jsonl").write_text('{"config": "of an older run"}\n')
    command = ["fit", "d.h5", "--model", "i-vbpr", "-o", "new.h5", "--log", "run.jsonl", "--features"]
    if fault == "unfinished":
        (shop / "new.partial.h5").write_text("a state")
    more, code, said = {
        "lacks items": (["few.h5"], 3, "items"),
        "other kind": (["dense.h5"], 3, "attributes"),
        "diverges": (["f.h5", "--learning-rate", "1e20"], 2, "diverged"),
        "unfinished": (["f.h5"], 2, "--resume"),
    }[fault]
    refused(ivbpr, shop, said, *command, *more, code=code)


# --- names and forms ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize(
    ("name", "more", "said"),
    [
        ("z.csv.gz", (), "Name it 'z.csv'"),
        ("z.parquet", (), "Name it 'z.csv'"),
        ("z.json", ("--format", "json"), "Name it 'z.csv'"),
        ("z.csv", ("--format", "jsonl"), "Name it 'z.jsonl'"),
        ("z.jsonl.gz", ("--format", "jsonl"), "Name it 'z.jsonl'"),
    ],
)
def test_a_table_has_the_form_that_its_name_promises(
    ivbpr: Run, shop: Path, name: str, more: tuple[str, ...], said: str
) -> None:
    refused(ivbpr, shop, said, "recommend", "m.h5", "--all-users", "-o", name, *more)
    score = ("score", "m.h5", "--image", "d.h5", "--network", "f.h5", "-o", name)
    refused(ivbpr, shop, said, *score, *more)
    if not more:
        refused(ivbpr, shop, said, "auc", "m.h5", "--per-user", name)


@pytest.mark.parametrize("format", ["csv", "jsonl"])
@pytest.mark.parametrize("name", ["z", "z.txt", "z.out"])
def test_names_that_promise_nothing_are_taken(ivbpr: Run, shop: Path, format: str, name: str) -> None:
    done = ivbpr("recommend", "m.h5", "--all-users", "-o", name, "--format", format)
    assert done.code == 0 and (shop / name).stat().st_size > 0


@pytest.mark.usefixtures("no_work")
def test_odd_names(ivbpr: Run, shop: Path) -> None:
    long = "a" * 300
    refused(ivbpr, shop, "name too long", "fit", "d.h5", "--model", "pop", "-o", long)
    refused(ivbpr, shop, "name too long", "inspect", long)
    refused(ivbpr, shop, "--out is empty", "fit", "d.h5", "--model", "pop", "-o", "")
    refused(ivbpr, shop, "DATASET is empty", "fit", "", "--model", "pop", "-o", "x.h5")
    refused(ivbpr, shop, "FILES is empty", "verify", "m.h5", "")


def test_an_interrupt_says_what_became_of_the_output(
    ivbpr: Run, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("recommend", "m.h5", "--all-users", "-o", "z.csv")

    def stop(*given: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ivbpr_numba.documents.many.recommend_all", stop)
    refused(ivbpr, shop, "Error: Interrupted; nothing was written.\n", *command, code=130)

    def late(*given: object, **options: object) -> None:
        (shop / "z.csv").write_text("user\n")
        raise KeyboardInterrupt

    monkeypatch.setattr("ivbpr_numba.documents.many.recommend_all", late)
    done = ivbpr(*command)
    assert (done.code, done.err) == (130, "Error: Interrupted.\n")


def test_pages_and_figures_of_others_stay(ivbpr: Run, shop: Path) -> None:
    for name, text in (("own.html", "<!DOCTYPE html><p>mine"), ("own.svg", "<svg><title>mine</title></svg>")):
        (shop / name).write_text(text)
    learned = ("fit", "d.h5", "--model", "bpr-mf", *FEW, "-o")
    assert ivbpr(*learned, "b.h5").code == 0
    done = ivbpr("report", "b.h5", "-o", "own.html")
    assert done.code == 2 and "a page of HTML that ivbpr didn't write" in done.err
    done = ivbpr(*learned, "b.h5", "--plot", "own.svg")
    assert done.code == 2 and "an SVG figure that ivbpr didn't write" in done.err
    assert "mine" in (shop / "own.html").read_text() and "mine" in (shop / "own.svg").read_text()
    for _ in range(2):  # but our own are replaced
        assert ivbpr("report", "b.h5", "-o", "page.html").code == 0
        assert ivbpr(*learned, "b.h5", "--plot", "plot.svg").code == 0


# --- variables ---------------------------------------------------------------------------------------------


def test_a_mistyped_variable_is_warned_of(ivbpr: Run, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IVBPR_FIT_FACTORZ", "3")
    monkeypatch.setenv("IVBPR_FIT_ITERATIONS", "2")
    done = ivbpr("fit", "d.h5", "--model", "bpr-mf", "-o", "new.h5")
    assert done.code == 0 and done.err.count("IVBPR_FIT_FACTORZ is set") == 1
    assert "Did you mean 'IVBPR_FIT_FACTORS'?" in done.err and "IVBPR_FIT_ITERATIONS is" not in done.err
    assert "IVBPR_FIT" not in ivbpr("inspect", "new.h5").err
