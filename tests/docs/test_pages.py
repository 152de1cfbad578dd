"""Every command and snippet of the README and the guides is run, and prints what they show."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from demo_runs import DemoRun
from doc_blocks import FILES, NOT_RUN, READ_ONLY, Block, Runner, blocks, commands, same_columns, same_text
from stand_ins import write_shop, write_squeezenet

from ivbpr_cli.app import run
from ivbpr_numba import Dataset
from ivbpr_numba.guides import FOLDER, TOPICS

ROOT = Path(__file__).parents[2]
PAGES = {"README": ROOT / "README.md", **{topic: FOLDER / f"{topic}.md" for topic in TOPICS}}
TEXTS = {name: path.read_text(encoding="utf-8") for name, path in PAGES.items()}

# These go on where the README ended, with H&M's names; the others run in the folder of the tiny demo.
AFTER_README = ("evaluation", "table2", "model", "results", "trends", "photos")
IN_DEMO = ("answers", "cluster", "commands", "files", "gpu", "python", "steering", "tuning")
TO_READ_ONLY = ("glossary",)
NOT_RUN_BLOCKS: dict[str, int] = {
    "cluster": 3,
    "gpu": 1,
    "steering": 1,
}  # page → number of blocks that say "not run"
REAL = {  # a name in the pages → where the folder of real data holds it
    "articles.csv.gz": "hm/articles.csv.gz",
    "transactions.csv.gz": "hm/transactions.csv.gz",
    "rtr_interactions.csv.gz": "rtr/rtr_interactions.csv.gz",
    "u.data.gz": "ml100k/u.data.gz",
}


def somebody() -> str:
    """A shopper of the dataset in this folder."""
    return Dataset.read("dataset.h5").users.texts()[0]


STAND_FOR = {"CUSTOMER": somebody}


# --- run -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shop(tiny_demo: DemoRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stand-ins of the files that the README names; not to be changed."""
    folder = tmp_path_factory.mktemp("shop") / "shop"
    write_shop(tiny_demo.folder, folder)
    return folder


@pytest.fixture(scope="module")
def after_readme(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, and what the README's commands write; not to be changed."""
    folder = shutil.copytree(shop, tmp_path_factory.mktemp("after") / "shop")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Runner(quietly, same_columns, STAND_FOR).run(_commands_of("README"))
    return folder


def quietly(*arguments: str) -> Any:
    """A command line of ivbpr, run in this process by a fixture; see `conftest.ivbpr`."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        return SimpleNamespace(code=run(list(arguments)), out=out.getvalue(), err=err.getvalue())


@pytest.fixture
def runner(ivbpr: Callable[..., Any]) -> Runner:
    return Runner(ivbpr, same_columns, STAND_FOR)


def test_the_readme(shop: Path, runner: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shutil.copytree(shop, tmp_path / "shop"))
    runner.run(TEXTS["README"])
    assert runner.printed.count("=") >= 3  # the reasons that the Python example prints


@pytest.mark.parametrize("page", AFTER_README)
def test_a_page_that_goes_on_from_the_readme(
    page: str, after_readme: Path, runner: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shutil.copytree(after_readme, tmp_path / "shop"))
    if "squeezenet1.1.onnx" in TEXTS[page]:
        write_squeezenet(Path("squeezenet1.1.onnx"))
    runner.run(TEXTS[page])


@pytest.mark.parametrize("page", IN_DEMO)
def test_a_page_in_the_folder_of_the_demo(
    page: str, tiny_demo: DemoRun, runner: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shutil.copytree(tiny_demo.folder, tmp_path / "ivbpr-demo"))
    runner.run(TEXTS[page])


@pytest.mark.slow
@pytest.mark.parametrize("page", IN_DEMO)
def test_what_a_page_shows_of_the_demo_comes_out(
    page: str, tiny_demo: DemoRun, ivbpr: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shutil.copytree(tiny_demo.folder, tmp_path / "ivbpr-demo"))
    Runner(ivbpr, same_text, STAND_FOR).run(TEXTS[page])


def test_the_demo_prints_what_the_results_show(ivbpr: Callable[..., Any], tmp_path: Path) -> None:
    """Within what another CPU's rounding may do to two thousand shoppers."""
    done = ivbpr("demo", "-o", tmp_path / "d", "--format", "json")
    rows = {row["model"]: row for row in json.loads(done.out)["models"]}
    (block,) = [b for b in blocks(TEXTS["results"]) if b.text.startswith("AUC on the test items")]
    table = [line.split() for line in block.text.splitlines()[3:]]
    assert [cells[0] for cells in table] == list(rows)
    for cells in table:
        found = [rows[cells[0]][key] for key in ("all", "all_stderr", "cold", "cold_stderr", "of_the_way")]
        assert found == pytest.approx([float(cell) for cell in cells[1:6]], abs=0.01), cells[0]


@pytest.mark.real_data
@pytest.mark.parametrize("page", ["README", "evaluation", "trends"])
def test_what_a_page_shows_of_real_purchases_comes_out(
    page: str, real_data: Path, ivbpr: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, place in REAL.items():
        Path(name).symlink_to(real_data / place)
    runner = Runner(ivbpr, same_text, STAND_FOR)
    if page != "README":
        runner.run(_commands_of("README"))
    runner.run(TEXTS[page])


def _commands_of(page: str) -> str:
    """The console blocks of a page, without what they show."""
    parts = []
    for block in blocks(TEXTS[page]):
        if block.language == "console" and not block.mark:
            lines = block.text.replace("\\\n", " ").splitlines()
            parts.append("\n".join(["```console", *(line for line in lines if line[:2] == "$ "), "```", ""]))
    return "".join(parts)


# --- nothing is left out silently ----------------------------------------------------------------------------


def test_every_page_is_run_somewhere() -> None:
    assert sorted((*AFTER_README, *IN_DEMO, *TO_READ_ONLY)) == sorted(TOPICS)
    for page in TO_READ_ONLY:
        assert list(blocks(TEXTS[page])) == []


@pytest.mark.parametrize("page", PAGES)
def test_every_block_is_of_a_known_kind(page: str) -> None:
    """No block of another language, no misspelt mark, and no command hidden in an indented block."""
    found = list(blocks(TEXTS[page]))
    assert TEXTS[page].count("```") == 2 * len(found), "a fence without its partner, or an indented one"
    for block in found:
        assert _known(block), f"line {block.line}: ```{block.language} {block.mark}"
        if block.language in READ_ONLY and block.mark != "output":
            assert "ivbpr " not in block.text, f"line {block.line}: commands belong into a console block"
    indented = [line for line in TEXTS[page].splitlines() if line.startswith("    ") and "ivbpr" in line]
    outside = [line for line in indented if not any(line in block.text for block in found)]
    assert len(outside) == (1 if page == "README" else 0), outside  # the first of the two commands below


def _known(block: Block) -> bool:
    if block.mark.startswith(NOT_RUN):
        return len(block.reason or "") > 10
    marks = {"console": ("", "torch"), "python": ("",), "text": ("", "output"), "bibtex": ("",)}
    if block.language == "text" and block.mark.endswith(".txt"):
        return True
    return (block.language in FILES and bool(block.mark)) or block.mark in marks.get(block.language, ())


def test_what_is_not_run_is_counted() -> None:
    counts = Counter(page for page, text in TEXTS.items() for block in blocks(text) if block.reason)
    assert dict(counts) == NOT_RUN_BLOCKS


def test_the_readme_holds_the_two_commands_that_continuous_integration_runs() -> None:
    lines = [line.strip() for line in TEXTS["README"].splitlines() if line.startswith("    python3 -m venv ")]
    assert len(lines) == 2 and lines[0].endswith("ivbpr demo") and lines[1].endswith("pytest")


# --- the mechanism can fail ----------------------------------------------------------------------------------


def test_a_command_that_fails_fails(runner: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for page, problem in {
        "```console\n$ ivbpr auc none.h5\n```\n": r"line 1: ivbpr auc none.h5: .*does not exist",
        "```console\n$ rm -r /\n```\n": "only ivbpr can be run here",
        "```console\nivbpr guide\n```\n": "begins with a command",
        "```console\n$ ivbpr guide\nname   words\n────────────\n```\n": "'name   words' is no header",
        "```python\nprint(2)\n```\n\n```text output\nname\n────\n```\n": "is no header",
    }.items():
        with pytest.raises(AssertionError, match=problem):
            runner.run(page)
    with pytest.raises(ZeroDivisionError):
        runner.run("```python\n1 / 0\n```\n")


def test_blocks_and_commands() -> None:
    page = "x\n\n```console torch\n$ ivbpr fit a \\\n    -o b  # why\na b\n\n$ ivbpr auc b\n```\n```toml f.toml\nk = 1\n```\n"
    console, toml = blocks(page)
    assert (console.language, console.mark, console.line, console.reason) == ("console", "torch", 3, None)
    assert list(commands(console)) == [
        (["ivbpr", "fit", "a", "-o", "b"], "a b"),
        (["ivbpr", "auc", "b"], ""),
    ]
    assert (toml.mark, toml.text) == ("f.toml", "k = 1\n")
    (exempt,) = blocks("```console not run: it opens a window\n$ x\n```\n")
    assert exempt.reason == "it opens a window"


def test_texts_that_differ() -> None:
    found = "a  b\n────\nx 1.00\ny 2,000\nz 3\n"
    for shown in ("a b\n──\nx 1.004\n", "a b\n──\n…\nz 3\n", "a b\n──\nx 1\n…\nz 3\n", found):
        same_text(shown, found)
    for shown in ("a c\n", "a b\n──\nx 1.1\n", "a b\n──\nz 3\n", "a b\n──\n…\ny 3\n", found + "more\n"):
        with pytest.raises(AssertionError, match="did not come out in its place"):
            same_text(shown, found)
