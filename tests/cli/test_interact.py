"""``ivbpr interact``: by a pipe, at a pretended terminal, from a saved session."""

from __future__ import annotations

import io
import json
import os
import pty
import select
import signal
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_models import ATTRIBUTES, DATA, made

from ivbpr_numba import Dataset, Features, Session, load

Run = Callable[..., Any]
HUE = np.array(
    ["red blue green".split()[row[2:].argmax()] for row in ATTRIBUTES.values(range(len(DATA.items)))]
)


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("talk")
    ATTRIBUTES.write(folder / "f.h5")
    d = DATA
    titled = Dataset(d.users, d.items, d.train, d.valid, d.test, {"hue": HUE.astype("S5")}, d.source)
    made("i-vbpr", iterations=2).fit(titled, Features.read(folder / "f.h5"), out=folder / "m.h5")
    made("pop").fit(DATA, out=folder / "pop.h5")
    return folder / "m.h5"


@pytest.fixture
def talk(ivbpr: Run, model_file: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `interact` with these lines as its input."""

    def run(lines: list[str], *arguments: object, model: Path = model_file) -> Any:
        monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
        return ivbpr("interact", model, *arguments)

    return run


def documents(text: str) -> list[dict[str, Any]]:
    """Several JSON documents, one after the other."""
    found, decoder = [], json.JSONDecoder()
    while text := text.strip():
        one, end = decoder.raw_decode(text)
        found.append(one)
        text = text[end:]
    return found


def test_a_script_gets_the_documents_of_its_session(talk: Run, model_file: Path, tmp_path: Path) -> None:
    saved = tmp_path / "s.json"
    lines = [
        "# black coats, more or less", "", "more red", "like 2", "less left 1", "why 1", "undo", "steps",
        "show 3", "where hue=blue", "by knn", "taste 2", f"save {saved}", "quit", "more nonsense",
    ]  # fmt: skip
    done = talk(lines, "u003", "--format", "json")
    assert done.code == 0, done.err
    found = documents(done.out)
    session = Session(load(model_file), "u003").boost("red")
    second = session.recommend(10)[1]["item"]
    assert found[0]["items"] == session.recommend(10)
    session = session.toward(second)
    assert found[1]["items"] == session.recommend(10)
    steered = session.boost("left", -1)
    assert found[2]["session"]["steps"] == list(steered.steps)
    assert found[3] | {"schema": None} == {
        "schema": None, **steered.explain(steered.recommend(1)[0]["item"]), "at": None, "model": "i-vbpr", "warnings": [],
    }  # fmt: skip
    assert found[4]["items"] == session.recommend(10)
    assert found[5]["schema"] == "ivbpr.session/1" and found[5]["steps"] == list(session.steps)
    assert found[6]["items"] == session.recommend(3)
    blue = {DATA.items[k] for k in np.flatnonzero(HUE == "blue")}
    assert {row["item"] for row in found[7]["items"]} <= blue and len(found[7]["items"]) == 3
    assert found[8]["items"] == session.by("knn").recommend(3, where={"hue": "blue"})
    assert found[9]["features"] == session.by("knn").affinity(2)
    assert len(found) == 10
    again = Session.from_json(saved.read_text(), load(model_file))
    assert again.recommend(9) == session.by("knn").recommend(9)
    assert f"The session is in {saved}." in done.err
    more = talk(["show 9"], "--session", saved, "--format", "json")
    assert documents(more.out)[0]["items"] == again.recommend(9)


def test_people_see_tables(talk: Run) -> None:
    done = talk(["more red 1", "where hue=red", "steps", "help", "where", "show 2"], "u003")
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[0] == "For u003, by i-vbpr; more hue=red (1)"
    assert "For u003, by i-vbpr; more hue=red (1); where hue=red" in lines
    assert any("hue=red +" in line for line in lines)
    assert any(line.split() == ["1", "more", "hue=red", "(1)"] for line in lines)
    assert any(line.startswith("less NAME [AMOUNT]") for line in lines)
    assert "\x1b" not in done.out + done.err
    assert ">" not in done.out.replace("i-vbpr;", "")


def test_lines_that_fail_are_told_and_the_rest_is_done(talk: Run) -> None:
    done = talk(["like nothing", "moer red", "more red", "like 99"], "u003", "--format", "jsonl")
    assert done.code == 3  # of the first
    told = done.err.splitlines()
    assert told[0].startswith("Error: Line 1: ") and "nothing" in told[0]
    assert told[1] == "Error: Line 2: There is no command 'moer'. Did you mean 'more'?"
    assert told[2].startswith("Error: Line 4: There is no number 99 in the list. It has 10 items")
    assert told[3] == "Error: 3 lines were not done, the first is line 1. What failed is said above."
    assert len(done.out.splitlines()) == 10
    assert talk(["more redd 1"], "u003").code == 2


def test_a_wrong_line_changes_nothing(talk: Run) -> None:
    done = talk(
        ["more red", "where hue=pink", "where hue", "show 0", "by knn", "at 2020", "show"],
        "u003",
        "--format",
        "json",
    )
    found = documents(done.out)
    assert [len(one["items"]) for one in found] == [10, 10, 10]
    assert found[2]["items"] == found[1]["items"] and done.code == 2


def test_a_new_shopper_and_his_likes(talk: Run, model_file: Path) -> None:
    done = talk(["like i010", "unlike i001"], "--likes", "i001,i002", "--format", "json")
    assert documents(done.out)[1]["session"]["likes"] == ["i002", "i010"]
    assert documents(done.out)[1]["items"] == load(model_file).recommend(likes=["i002", "i010"])
    assert documents(talk(["show"], "--format", "json").out)[0]["user"] is None


def test_models_without_attributes(talk: Run, model_file: Path) -> None:
    done = talk(
        ["show 2", "why 1", "more red", "like 1", "taste"], "u003", model=model_file.with_name("pop.h5")
    )
    assert done.code == 2 and done.err.count("pop knows no attributes") == 3
    assert "item bias" in done.out


def test_what_save_may_replace(talk: Run, tmp_path: Path) -> None:
    mine = tmp_path / "notes.json"
    mine.write_text('{"mine": 1, "too": 2}\n')
    done = talk([f"save {mine}", f"save {tmp_path / 'x.csv'}", f"save {tmp_path / 'no' / 's.json'}"], "u003")
    assert done.code == 2 and mine.read_text().startswith('{"mine"') and done.err.count("Line ") == 3
    own = tmp_path / "own.json"
    assert talk([f"save {own}", "more red", f"save {own}"], "u003").code == 0
    assert json.loads(own.read_text())["steps"][0]["feature"] == "hue=red"


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["nobody"], 3, "nobody"),
        (["u003", "--likes", "i001"], 2, "--likes is about a new shopper"),
        (["u003", "--session", "s.json"], 2, "USER can't"),
        (["--by", "knn", "--session", "s.json"], 2, "--by can't"),
        (["--session", "none.json"], 2, "none.json"),
        (["--session", "s.json"], 3, "'s.json': This is no session"),
        (["u003", "--where", "hue"], 2, "--where hue"),
    ],
)
def test_contradictions_are_refused(
    talk: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("s.json").write_text("[]")
    done = talk(["show"], *arguments)
    assert done.code == code and text in " ".join(done.err.split()), done.err
    assert done.out == ""


def test_another_models_session_is_refused(talk: Run, model_file: Path, tmp_path: Path) -> None:
    talk([f"save {tmp_path / 's.json'}"], "u003")
    done = talk(["show"], "--session", tmp_path / "s.json", model=model_file.with_name("pop.h5"))
    assert done.code == 3 and "belongs to another model" in done.err


def test_at_a_terminal(model_file: Path) -> None:
    """A prompt, the list at once, completion by Tab; Ctrl-C gives up a line, errors leave no exit code."""
    leader, follower = pty.openpty()
    attributes = termios.tcgetattr(follower)
    attributes[3] &= ~termios.ECHO
    termios.tcsetattr(follower, termios.TCSANOW, attributes)
    script = Path(sys.executable).with_name("ivbpr")
    process = subprocess.Popen(
        [script, "interact", model_file, "u003", "-n", "3"],
        stdin=follower, stdout=follower, stderr=subprocess.PIPE, text=True, close_fds=True,
        env={**os.environ, "TERM": "dumb", "COLUMNS": "200", "NO_COLOR": "1"},
    )  # fmt: skip
    os.close(follower)
    told = _answer_prompts(leader, process, [b"mo\thue=gr\t 2\n", b"moer red\n", None, b"steps\n", b"\x04"])
    assert process.wait(60) == 0
    assert process.stderr is not None
    errors = process.stderr.read()
    assert "more hue=green (2)" in told
    assert "There is no command 'moer'. Did you mean 'more'?" in errors and "'help' lists" in errors


def _answer_prompts(leader: int, process: subprocess.Popen[str], lines: list[bytes | None]) -> str:
    """Write a line after each prompt, or, for None, interrupt; all that was printed.

    An interrupt that comes after the prompt was printed and before Python waits for a key is not seen until
    there is a key: as a person would, it is sent again where nothing happens.
    """
    told = b""
    waiting = list(lines)
    interrupted = False
    while True:
        if interrupted and not select.select([leader], [], [], 10)[0]:
            process.send_signal(signal.SIGINT)
            continue
        try:
            got = os.read(leader, 65536)
        except OSError:  # the other end was closed
            break
        if not got:
            break
        told += got
        if waiting and told.endswith(b"> "):
            line = waiting.pop(0)
            interrupted = line is None
            if line is None:
                process.send_signal(signal.SIGINT)
            else:
                os.write(leader, line)
    os.close(leader)
    assert not waiting, told
    return told.decode()
