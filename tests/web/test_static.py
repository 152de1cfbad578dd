"""The files of the page keep what the policy of the server asks for, and come as they are."""

from __future__ import annotations

import re

import pytest
from web_shop import Client

from ivbpr_cli.web.files import FOLDER, MEDIA, page_files

FILES = page_files()
NAMESPACES = ("http://www.w3.org/",)


def test_every_file_is_served(client: Client) -> None:
    assert {path.suffix for path in FOLDER.rglob("*") if path.is_file()} <= set(MEDIA)
    for name, file in FILES.items():
        found = client.ask(f"/static/{name}")
        assert (found.status, found.headers["content-type"]) == (200, file.media) and found.body == file.body
        assert client.ask(f"/static/{name}", headers={"If-None-Match": found.headers["etag"]}).status == 304
    assert client.ask("/").body == FILES["index.html"].body


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith((".html", ".js", ".css", ".svg"))])
def test_nothing_is_from_elsewhere(name: str) -> None:
    text = FILES[name].body.decode()
    for address in re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s\"'`)]*", text):
        assert address.startswith(NAMESPACES), address


def test_the_page_has_nothing_inline() -> None:
    text = FILES["index.html"].body.decode()
    assert not re.search(r"<script(?![^>]*\bsrc=)[^>]*>", text) and "<style" not in text
    assert not re.search(r"<[^>]*\s(?:style|on\w+)=", text)
    for named in re.findall(r"(?:src|href)=\"([^\"#]+)\"", text):
        assert named == "/" or (named.startswith("/static/") and named[8:] in FILES), named


def test_scripts_write_text_not_markup() -> None:
    """Titles come from anybody's catalogue: they are put in by textContent and the like."""
    for name, file in FILES.items():
        if name.endswith(".js"):
            found = re.search(
                r"\b(innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function)",
                file.body.decode(),
            )
            assert not found, (name, found)
