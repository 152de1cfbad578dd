"""``ivbpr guide``: the documentation that travels with the package."""

from __future__ import annotations

import re
from typing import Annotated

from ivbpr_cli.commands.options import argument
from ivbpr_cli.output import Answer, Screen, Table

__all__ = ["guide"]

_LINK = re.compile(r"\[([^]\n]+)\]\(([^)\s]+)\)")


def guide(
    screen: Screen,
    topic: Annotated[str | None, argument("What to read about; the list of topics where not given.")] = None,
) -> None:
    """Guides to read: how to do something, what a figure means, what a word means."""
    from ivbpr_numba.documents import guides as documents
    from ivbpr_numba.guides import guides, read_guide

    if topic is None:
        found = documents.topics(guides())
        screen.show(Answer.of(found, [Table(found.rows)], ["Read one: ivbpr guide answers"]))
        return
    one = read_guide(topic)
    screen.show(Answer.of(documents.guide(one), markdown=by_name(one.text) if screen.reader else one.text))


def by_name(text: str) -> str:
    """Links as somebody at a terminal follows them: guides by their command, the rest by address."""
    return _LINK.sub(_followed, text)


def _followed(link: re.Match[str]) -> str:
    text, target = link.groups()
    page = target.split("#")[0]
    if not page:  # a place in the same guide
        return text
    if "/" not in page:
        return f"{text} (`ivbpr guide {page.removesuffix('.md')}`)"
    return f"{text} ({target if '://' in target else page.replace('../', '')})"
