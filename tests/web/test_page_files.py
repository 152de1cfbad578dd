"""The files of the page as they lie there: nothing inline, nothing foreign, scripts that parse."""

from __future__ import annotations

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from ivbpr_cli.web.files import FOLDER, page_files

SCRIPTS = sorted(FOLDER.rglob("*.js"))


class Page(HTMLParser):
    """What a page refers to, and what stands inline."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.inline: list[str] = []
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.addresses += [str(given[name]) for name in ("src", "href") if name in given]
        self.inline += [name for name in given if name == "style" or name.startswith("on")]
        self._inside = tag

    def handle_data(self, data: str) -> None:
        if self._inside in ("script", "style") and data.strip():
            self.inline.append(data)


def test_the_page_refers_only_to_its_own_files_and_holds_nothing_inline() -> None:
    page = Page()
    page.feed((FOLDER / "index.html").read_text("utf-8"))
    assert not page.inline
    own = [one for one in page.addresses if one.startswith("/static/")]
    assert {one.removeprefix("/static/") for one in own} <= set(page_files())
    assert own and all(one in own or one == "/" or one.startswith("#") for one in page.addresses)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_scripts_import_what_is_there_and_write_no_markup(path: Path) -> None:
    text = path.read_text("utf-8")
    for name in re.findall(r'^import .*? from "([^"]+)";$', text, re.M):
        assert (path.parent / name).is_file(), name
    assert not re.search(
        r"\b(innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval|new Function)\b", text
    )
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text)
    assert len(text.splitlines()) < 300


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_scripts_parse(path: Path, tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node")
    module = tmp_path / "module.mjs"  # by its name node knows that it is a module
    module.write_bytes(path.read_bytes())
    done = subprocess.run([node, "--check", module], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
