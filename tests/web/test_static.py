"""The files of the page come as they are, and name no other host."""

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
