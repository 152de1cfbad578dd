"""``ivbpr guide``: topics, one guide, near misses, at a terminal and in a pipe; guides in the wheel."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from doc_blocks import blocks

from ivbpr_cli.commands.guide import by_name
from ivbpr_numba.errors import UsageError
from ivbpr_numba.guides import FOLDER, TOPICS, guides, read_guide

Run = Callable[..., Any]


def test_every_file_is_a_topic() -> None:
    assert sorted(TOPICS) == sorted(path.stem for path in FOLDER.glob("*.md"))


def test_every_guide_has_a_title_and_one_sentence_about_it() -> None:
    for guide in guides():
        assert guide.text.startswith(f"# {guide.title}\n\n")
        assert guide.title.split(":")[0].lower() == guide.topic, guide.title
        assert guide.summary.endswith(".") and len(guide.summary) <= 68, guide.summary  # 80 columns


def test_without_a_topic_the_topics(ivbpr: Run) -> None:
    done = ivbpr("guide")
    lines = done.out.splitlines()
    assert done.code == 0 and max(map(len, lines)) <= 120
    for guide in guides():
        assert any(line.split()[:1] == [guide.topic] and guide.summary in line for line in lines)
    found = json.loads(ivbpr("guide", "--format", "json").out)
    assert [row["topic"] for row in found["guides"]] == list(TOPICS)


@pytest.mark.parametrize("topic", TOPICS)
def test_in_a_pipe_a_guide_is_its_file(topic: str, ivbpr: Run) -> None:
    done = ivbpr("guide", topic)
    assert (done.code, done.out) == (0, (FOLDER / f"{topic}.md").read_text(encoding="utf-8"))
    found = json.loads(ivbpr("guide", topic, "--format", "json").out)
    assert found == {"schema": "ivbpr.guide/1", **vars(read_guide(topic))}


def test_a_near_miss(ivbpr: Run) -> None:
    done = ivbpr("guide", "evalution")
    assert done.code == 2 and "Did you mean 'evaluation'?" in done.err
    assert "There are: answers, steering, evaluation" in ivbpr("guide", "xyz").err
    with pytest.raises(UsageError, match=r"no guide '\.\./errors'"):
        read_guide("../errors")


@pytest.mark.parametrize("topic", ["evaluation", "commands"])
def test_at_a_terminal_a_guide_is_set(topic: str) -> None:
    """In a pseudo-terminal of 80 columns: no marks of Markdown, no line too long, links by their command."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": "80", "TERM": "xterm", "NO_COLOR": "1"}
    command = [sys.executable, "-c", "from ivbpr_cli import main; main()", "guide", topic]
    with subprocess.Popen(command, stdout=theirs, stderr=subprocess.PIPE, env=environment) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # the other side is closed
                break
            if not piece:
                break
            shown += piece
        assert process.wait() == 0, process.stderr and process.stderr.read()
    os.close(ours)
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in shown.decode().splitlines()]
    text = " ".join(" ".join(lines).split())
    assert "```" not in text and "## " not in text and "](" not in text and "**" not in text
    code = {
        f"  {line}".rstrip()
        for block in blocks(by_name(read_guide(topic).text))
        for line in block.text.splitlines()
    }
    assert code <= {line.rstrip() for line in lines}, "a line of code that is broken"
    assert max(len(line.rstrip()) for line in lines if line.rstrip() not in code) <= 80
    last = read_guide(topic).text.rstrip().splitlines()[-1].split()[-1].strip("`|.")
    assert topic == "commands" or text.rstrip(".").endswith(last)


def test_links_by_name() -> None:
    text = "See [results](results.md), [both](model.md#the-block-rule), [here](#x), [a](../../data/FORMAT.md#7) [w](https://x.y/z)."
    assert by_name(text) == (
        "See results (`ivbpr guide results`), both (`ivbpr guide model`), here, a (data/FORMAT.md) w (https://x.y/z)."
    )
