"""The code blocks of a Markdown page, and running them: one mechanism for README and guides.

A block's first word is its language, the rest of its first line says what is special about it:

- ``console``: lines that begin with ``$`` are commands of ivbpr, what follows a command is what it prints;
- ``console torch``: needs torch, and is left out where there is none;
- ``console not run: REASON``: is never run;
- ``python``: is run, in one namespace for the whole page;
- ``text output``: what the Python block before it prints;
- ``toml NAME``, ``json NAME``, ``text NAME.txt``: a file that the next blocks use, ``< NAME.txt`` as the input of a
  command;
- ``text``, ``bibtex``: to be read only.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

NOT_RUN = "not run: "
FILES = ("toml", "json")
READ_ONLY = ("text", "bibtex")
_FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NUMBER = re.compile(r"[+−-]?[\d,]*\.?\d+(?:e[+-]?\d+)?%?")


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, what its first line says besides, its text, its line in the page."""

    language: str
    mark: str
    text: str
    line: int

    @property
    def reason(self) -> str | None:
        """Why it is not run; None where it is."""
        return self.mark.removeprefix(NOT_RUN) if self.mark.startswith(NOT_RUN) else None


def blocks(page: str) -> Iterator[Block]:
    """The fenced blocks of a page."""
    for found in _FENCE.finditer(page):
        language, _, mark = found[1].partition(" ")
        yield Block(language, mark, found[2], page[: found.start()].count("\n") + 1)


def commands(block: Block) -> Iterator[tuple[list[str], str]]:
    """The commands of a console block as words, each with what it prints according to the page."""
    lines = re.sub(r"\\\n\s*", " ", block.text).splitlines()
    starts = [n for n, line in enumerate(lines) if line.startswith("$ ")]
    assert starts and starts[0] == 0, f"line {block.line}: a console block begins with a command: $ ivbpr …"
    for start, stop in pairwise([*starts, len(lines)]):
        yield shlex.split(lines[start][2:], comments=True), "\n".join(lines[start + 1 : stop]).strip()


@dataclass
class Runner:
    """Runs the blocks of a page in the current folder, one after the other.

    Parameters
    ----------
    ivbpr : callable
        The fixture of that name.
    same : callable
        Called with what the page shows and what came out; raises AssertionError.
    stand_for : mapping
        What words of commands stand for: a page must not name a real customer.
    """

    ivbpr: Callable[..., Any]
    same: Callable[[str, str], None]
    stand_for: dict[str, Callable[[], str]] = field(default_factory=dict)
    namespace: dict[str, Any] = field(default_factory=dict)
    printed: str = ""

    def run(self, page: str) -> None:
        """Run everything that the page does not exempt."""
        for block in blocks(page):
            if block.reason is not None or (block.mark == "torch" and not has_torch()):
                continue
            if block.language == "console":
                for words, shown in commands(block):
                    self._command(block, words, shown)
            elif block.language == "python":
                self._python(block)
            elif block.language in FILES or block.mark.endswith(".txt"):
                Path(block.mark).write_text(block.text)
            elif block.mark == "output":
                self.same(block.text, self.printed)

    def _command(self, block: Block, words: list[str], shown: str) -> None:
        where = f"line {block.line}: {' '.join(words)}"
        if "<" in words:
            words, (_, name) = words[:-2], words[-2:]
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("sys.stdin", io.StringIO(Path(name).read_text()))
                self._command(block, words, shown)
            return
        assert words[0] == "ivbpr", f"{where}: only ivbpr can be run here; say 'not run: …' and why"
        done = self.ivbpr(*(self.stand_for[word]() if word in self.stand_for else word for word in words[1:]))
        assert done.code == 0, f"{where}: {done.err}"
        if shown:
            self.same(shown, done.out)

    def _python(self, block: Block) -> None:
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            exec(compile(block.text, f"<line {block.line}>", "exec"), self.namespace)
        self.printed = said.getvalue()


def has_torch() -> bool:
    """Whether the extra ``train`` is installed."""
    return importlib.util.find_spec("torch") is not None


def same_columns(shown: str, found: str) -> None:
    """Every table that is shown has the header that came out; of text without tables only that some came."""
    assert found.strip(), "nothing came out"
    headers = [" ".join(line.split()) for line in _headers(found)]
    for line in _headers(shown):
        assert " ".join(line.split()) in headers, f"{line.strip()!r} is no header of\n{found}"


def _headers(text: str) -> Iterator[str]:
    for line, rule in pairwise(text.splitlines()):
        if rule and set(rule.strip()) == {"─"}:
            yield line


def same_text(shown: str, found: str) -> None:
    """Line by line the same words, and numbers within what another CPU's rounding may do; … skips lines."""
    rest = (line.split() for line in found.splitlines() if line.strip())
    skipping = False
    for line in shown.splitlines():
        words = line.split()
        if not words or words == ["…"]:
            skipping |= bool(words)
            continue
        other = next(rest, [])
        while skipping and other and not _alike(words, other):
            other = next(rest, [])
        assert _alike(words, other), f"{line!r} did not come out in its place, but {other} in\n{found}"
        skipping = False


def _alike(shown: list[str], found: list[str]) -> bool:
    return len(shown) == len(found) and all(map(_same_word, shown, found))


def _same_word(shown: str, found: str) -> bool:
    if shown == found or set(shown) == set(found) == {"─"}:
        return True
    if not (_NUMBER.fullmatch(shown) and _NUMBER.fullmatch(found)):
        return False
    one, other = (float(word.replace(",", "").replace("−", "-").rstrip("%")) for word in (shown, found))
    return one == pytest.approx(other, abs=0.01, rel=0.01)
