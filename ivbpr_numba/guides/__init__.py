"""The guides: Markdown files that travel with the package, read on the web or by ``ivbpr guide``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ivbpr_numba.errors import UsageError, did_you_mean

__all__ = ["TOPICS", "Guide", "guides", "read_guide"]

FOLDER = Path(__file__).parent
# In the order in which somebody new would read them.
TOPICS = (
    *("answers", "steering", "evaluation", "tuning", "table2", "results", "photos", "trends"),
    *("model", "python", "files", "gpu", "cluster", "commands", "glossary"),
)


@dataclass(frozen=True)
class Guide:
    """One guide.

    Attributes
    ----------
    topic : str
        Name of its file, and of the argument of ``ivbpr guide``.
    title : str
        Its first line.
    summary : str
        What it is about, in one sentence: the paragraph below the title.
    text : str
        All of it, as Markdown.
    """

    topic: str
    title: str
    summary: str
    text: str


def guides() -> list[Guide]:
    """All guides, in reading order."""
    return [read_guide(topic) for topic in TOPICS]


def read_guide(topic: str) -> Guide:
    """The guide to a topic.

    Raises
    ------
    UsageError
        There is none of that name.
    """
    if topic not in TOPICS:
        hint = did_you_mean(topic.lower(), TOPICS) or f"There are: {', '.join(TOPICS)}."
        raise UsageError(f"There is no guide '{topic}'.", hint)
    text = (FOLDER / f"{topic}.md").read_text(encoding="utf-8")
    title, summary = text.split("\n\n", 2)[:2]
    return Guide(topic, title.removeprefix("# "), " ".join(summary.split()), text)
