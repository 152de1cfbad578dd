"""HTML pages as trees, for tests that look at what is on them."""

from __future__ import annotations

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
