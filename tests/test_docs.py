"""The documents say what is true: commands, options and rooms that they name exist."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from demo_runs import DemoRun

from ivbpr_cli.app import build

ROOT = Path(__file__).parents[1]
DOCUMENTS = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "data/FORMAT.md"]
TREE = build()


def command_lines(text: str) -> Iterator[list[str]]:
    """Every command line of ivbpr in a code block: indented or fenced, with its continuation lines."""
    text = re.sub(r"\\\n\s*", " ", text)
    fenced = False
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith("    "):
            for part in re.split(r"&&|\|\||[|;]", line.strip()):
                words = shlex.split(part.strip().removeprefix("$ "), comments=True) if "ivbpr" in part else []
                if words and Path(words[0]).name == "ivbpr" and words[0] not in ("/ivbpr",):
                    yield words


def resolve(words: list[str]) -> tuple[Any, str, list[str]]:
    """The command that a line runs, its name, and what follows."""
    command, name, rest = TREE, "ivbpr", words[1:]
    while rest and getattr(command, "commands", {}).get(rest[0]) is not None:
        command, name, rest = command.commands[rest[0]], f"{name} {rest[0]}", rest[1:]
    return command, name, rest


def flags_of(command: Any) -> set[str]:
    return {"--help"} | {
        flag for p in command.params for flag in (*p.opts, *p.secondary_opts) if flag.startswith("-")
    }


def leaves(command: Any, name: str = "ivbpr") -> Iterator[tuple[str, Any]]:
    children = getattr(command, "commands", {})
    if not children:
        yield name, command
    for key, child in children.items():
        yield from leaves(child, f"{name} {key}")


LINES = [
    pytest.param(words, id=f"{document}: {' '.join(words[:3])}")
    for document in DOCUMENTS
    for words in command_lines((ROOT / document).read_text())
]


def test_the_readme_has_examples() -> None:
    assert len(LINES) >= 4


@pytest.mark.parametrize("words", LINES)
def test_a_command_line_is_real(words: list[str]) -> None:
    command, name, rest = resolve(words)
    assert not getattr(command, "commands", {}) or not rest or rest[0].startswith("-"), (
        f"no command {rest[0]!r} in {name}"
    )
    used = {word.split("=")[0] for word in rest if re.match(r"--?[a-z]", word)}
    assert used <= flags_of(command), f"{name} has no {used - flags_of(command)}"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_an_option_in_the_text_exists(document: str) -> None:
    """Options quoted in running text, as in `--resume` or `ivbpr fit --log`."""
    every = {flag for _, command in leaves(TREE) for flag in flags_of(command)} | flags_of(TREE)
    text = (ROOT / document).read_text()
    for quoted in re.findall(r"`([^`\n]*)`", text):
        if quoted.startswith(("--", "ivbpr ")):
            assert set(re.findall(r"(?<!\S)--[a-z][a-z-]*", quoted)) <= every, quoted
        if quoted.startswith("ivbpr "):
            command, _, rest = resolve(quoted.split())
            group = getattr(command, "commands", {})
            assert not group or not rest or rest[0].startswith("-"), f"{document}: no command in '{quoted}'"


def test_the_readme_names_every_command() -> None:
    text = (ROOT / "README.md").read_text()
    assert [name for name, _ in leaves(TREE) if name not in text] == []


@pytest.mark.parametrize("name", [name for name, _ in leaves(TREE)])
def test_every_command_and_option_has_help(name: str) -> None:
    command = dict(leaves(TREE))[name]
    assert command.help and command.help.strip().endswith(".")
    assert [p.name for p in command.params if not getattr(p, "help", None)] == []


def test_the_map_of_rooms_names_rooms_that_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    named = {
        room for room in re.findall(r"`([a-z_]+(?:/[\w/.]*)?)`", text) if "/" in room or room.endswith(".py")
    }
    assert len(named) > 30
    homes = (ROOT, ROOT / "ivbpr_numba", ROOT / "cli" / "ivbpr_cli")
    for room in named:
        assert any((base / room).exists() for base in homes), room
    rooms = {path.parent.name for path in (ROOT / "ivbpr_numba").glob("*/__init__.py")} - {"kernels"}
    assert {f"{room}/" for room in rooms} - named == {"training/"}, "a room that the map does not name"


# --- what the README shows is what comes out ---------------------------------------------------------------


def shown(start: str) -> list[list[str]]:
    """Rows of the README's table that begins after the line `start`: cells, without the header."""
    lines = (ROOT / "README.md").read_text().splitlines()
    first = next(n for n, line in enumerate(lines) if line.startswith(start)) + 3
    last = next(n for n in range(first, len(lines)) if lines[n].startswith("```"))
    return [line.split() for line in lines[first:last]]


def numbers(cells: list[str]) -> list[float]:
    return [float(cell.replace(",", "").replace("–", "nan")) for cell in cells]


def test_the_demo_prints_what_the_readme_shows(ivbpr: Any, tmp_path: Path) -> None:
    """Within what another CPU's rounding may do to two thousand shoppers."""
    done = ivbpr("demo", "-o", tmp_path / "d", "--format", "json")
    rows = {row["model"]: row for row in json.loads(done.out)["models"]}
    table = shown("AUC on the test items")
    assert [cells[0] for cells in table] == list(rows)
    for cells in table:
        found = [rows[cells[0]][key] for key in ("all", "all_stderr", "cold", "cold_stderr", "of_the_way")]
        assert found == pytest.approx(numbers(cells[1:6]), abs=0.01), cells[0]


@pytest.mark.real_data
def test_the_real_example_prints_what_the_readme_shows(
    ivbpr: Any, tmp_path: Path, real_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("articles.csv.gz", "transactions.csv.gz"):
        (tmp_path / name).symlink_to(real_data / "hm" / name)
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "README.md").read_text()
    block = text[text.index("```console") : text.index("test items, ties")].replace("\\\n", " ")
    commands = [shlex.split(line[2:]) for line in block.splitlines() if line.startswith("$ ")]
    assert [words[1] for words in commands] == ["features", "prepare", "fit", "auc"]
    for words in commands[:-1]:
        assert ivbpr(*words[1:]).code == 0
    done = ivbpr(*commands[-1][1:], "--format", "jsonl")
    rows = [json.loads(line) for line in done.out.splitlines()]
    table = shown("test items, ties")
    assert [cells[:2] for cells in table] == [[row["scorer"], row["setting"]] for row in rows]
    for cells, row in zip(table, rows):
        auc, users, pairs, tied = numbers(cells[2:6])
        assert (row["users"], row["pairs"]) == (users, pairs)
        assert row["auc"] == pytest.approx(auc, abs=0.004) and row["tied_pairs"] == pytest.approx(
            tied, rel=0.05
        )


def python_example(after: str) -> str:
    """The first Python block of the README behind a heading."""
    text = (ROOT / "README.md").read_text()
    text = text[text.index(after) :]
    code = text[text.index("```python") + 9 :]
    return code[: code.index("```")]


def test_the_python_example_runs(tiny_demo: DemoRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shutil.copytree(tiny_demo.folder, tmp_path / "d"))
    said: list[Any] = []
    exec(python_example("## Python\n"), {"print": said.append})
    assert said[0]["users"] > 10 and said[1] == (1, 280) and said[2]["term"] == "item bias"
    assert 0.8 < said[3] < 1
    assert (tmp_path / "d" / "model.h5").exists()


def test_the_example_with_data_frames_runs(
    tiny_demo: DemoRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("purchases.csv", "catalogue.csv"):
        shutil.copy(tiny_demo.folder / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    said: list[Any] = []
    exec(python_example("### From a DataFrame\n"), {"print": lambda *values: said.append(values)})
    (frame,), *rows = said
    assert frame.loc[0, ["scorer", "setting"]].tolist() == ["i-vbpr", "all"] and 0.8 < frame.loc[0, "auc"] < 1
    items = (tmp_path / "catalogue.csv").read_text()
    assert len(rows) == 3 and rows[0][1] > rows[1][1] > rows[2][1]
    for item, _, reasons in rows:
        assert f"\n{item}," in items and all("=" in reason for reason in reasons)
    assert any(reasons for _, _, reasons in rows)
