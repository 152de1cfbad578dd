"""HTML pages as trees, for tests that look at what is on them."""

from __future__ import annotations

import itertools
import re
from html.parser import HTMLParser

VOID = {"meta", "br", "link", "img", "input", "hr"}


class Node:
    """An element with its attributes, children and text."""

    def __init__(self, name: str, attributes: dict[str, str], parent: Node | None) -> None:
        self.name, self.attributes, self.parent = name, attributes, parent
        self.children: list[Node | str] = []

    def text(self) -> str:
        return "".join(child if isinstance(child, str) else child.text() for child in self.children)

    def words(self) -> str:
        return " ".join(self.text().split())

    def all(self, name: str = "", class_: str = "") -> list[Node]:
        found = []
        for child in self.children:
            if isinstance(child, Node):
                if name in ("", child.name) and {*class_.split()} <= {*child.classes()}:
                    found.append(child)
                found += child.all(name, class_)
        return found

    def classes(self) -> list[str]:
        return self.attributes.get("class", "").split()

    def number(self, name: str) -> float:
        return float(self.attributes[name])


class Tree(HTMLParser):
    """Builds nodes; an element that isn't closed in order is an error."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.root = self.here = Node("", {}, None)
        self.feed(page)
        self.close()
        assert self.here is self.root, f"<{self.here.name}> is not closed"

    def handle_starttag(self, name: str, attributes: list[tuple[str, str | None]]) -> None:
        assert len({key for key, _ in attributes}) == len(attributes), f"<{name}> repeats an attribute"
        node = Node(name, {key: value or "" for key, value in attributes}, self.here)
        self.here.children.append(node)
        if name not in VOID:
            self.here = node

    def handle_endtag(self, name: str) -> None:
        assert name == self.here.name, f"</{name}> closes <{self.here.name}>"
        assert self.here.parent is not None
        self.here = self.here.parent

    def handle_data(self, data: str) -> None:
        self.here.children.append(data)


def tree(page: str) -> Node:
    return Tree(page).root


def check_page(text: str, sections: list[str]) -> Node:
    """What every page keeps: sections and links in order, no request, whole tables, pictures with words."""
    found = tree(text)
    ids = [node.attributes["id"] for node in found.all() if "id" in node.attributes]
    assert len(ids) == len(set(ids))
    assert [h2.attributes["id"] for h2 in found.all("h2")] == sections
    links = [link.attributes["href"] for link in found.all("nav")[0].all("a")]
    assert links == [f"#{name}" for name in sections]
    levels = [int(node.name[1]) for node in found.all() if re.fullmatch("h[1-6]", node.name)]
    assert levels[0] == 1 and all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert not re.search(r"[−-]0\.0*(?![0-9])", found.text())  # no negative nothing
    assert "None" not in found.text() and "nan" not in found.text().split()
    assert not re.search(r"https?:|url\(|<script", text)
    for table in found.all("table"):
        columns = len(table.all("thead")[0].all("th"))
        assert table.all("caption")
        for row in table.all("tr"):
            assert len([cell for cell in row.children if isinstance(cell, Node)]) == columns
    for svg in found.all("svg"):
        assert svg.attributes["role"] == "img"
        assert svg.all("title")[0].words() and svg.all("desc")[0].words()
    return found
