"""A session that is talked to line by line: a line goes in, an answer comes out; no terminal is needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ivbpr_cli.commands.explain import term_rows
from ivbpr_cli.output import Answer, Table
from ivbpr_numba.documents import sessions as documents
from ivbpr_numba.documents.document import Document
from ivbpr_numba.errors import UsageError
from ivbpr_numba.questions import lines
from ivbpr_numba.questions.session import Session
from ivbpr_numba.store.atomic import write_bytes
from ivbpr_numba.store.kinds import refuse_form

__all__ = ["Conversation", "Reply"]

MOST_VALUES = 200  # of a column that are offered
TASTE = 10  # features


@dataclass(frozen=True)
class Reply:
    """What a line led to.

    Attributes
    ----------
    answer : Answer or None
        What is to be shown.
    said : str
        A sentence beside it.
    over : bool
        Whether it was the last line.
    """

    answer: Answer | None = None
    said: str = ""
    over: bool = False


@dataclass
class Conversation:
    """A session, and how its list is shown.

    Attributes
    ----------
    session : Session
    n : int
        Items in a list.
    where : dict of column to values
    """

    session: Session
    n: int = 10
    where: dict[str, list[str]] = field(default_factory=dict)
    _shown: list[str] | None = None

    def say(self, text: str) -> Reply:
        """Do what a line says; where that fails, nothing has changed.

        Raises
        ------
        UsageError, DataError, EnvironmentProblem
            With the line, or with what it asks for.
        """
        line = lines.parse(text)
        if line is None:
            return Reply()
        if line.command in lines.STEPS:
            return self._changed(lines.stepped(self.session, line, self.shown), self.n, self.where)
        return getattr(self, f"_{line.command}")(line.rest)

    @property
    def shown(self) -> list[str]:
        """Ids of the list that numbers mean."""
        if self._shown is None:
            rows = self.session.recommend(self.n, where=self.where, reasons=False)
            self._shown = [row["item"] for row in rows]
        return self._shown

    def begin(self) -> Reply:
        """The list now."""
        return self._changed(self.session, self.n, self.where)

    def complete(self, text: str) -> Sequence[str]:
        """Whole lines that begin as `text` does."""
        return lines.completions(self.session, text, self.shown, self._columns)

    @cached_property
    def _columns(self) -> Mapping[str, Sequence[str]]:
        kept = self.session.model.data_.item_columns
        found = {column: np.unique(cells).tolist() for column, cells in kept.items() if column != "title"}
        return {column: [cell.decode() for cell in cells[:MOST_VALUES]] for column, cells in found.items()}

    def _changed(self, session: Session, n: int, where: dict[str, list[str]]) -> Reply:
        """Show the list of a changed conversation, and only then be it."""
        found = documents.recommend(session, n, where=where, reasons_in_rows=True)
        self.session, self.n, self.where = session, n, where
        self._shown = [row["item"] for row in found.content["items"]]
        rows = found.rows
        if not any(row.get("because") for row in rows):
            rows = [{key: cell for key, cell in row.items() if key != "because"} for row in rows]
        said = "; ".join(documents.step_text(step) for step in session.steps)
        only = ", ".join(f"{column}={value}" for column, values in where.items() for value in values)
        title = f"For {documents.who(session)}, by {session.model.name}" + (
            ", the nearest" if session.ranked_by == "knn" else ""
        )
        table = Table(rows, "; ".join(filter(None, (title, said, only and f"where {only}"))))
        return Reply(Answer.of(found, [table], [*session.visit.remarks, *found.content["notes"]]))

    # --- commands that are no steps ---

    def _show(self, rest: str) -> Reply:
        return self._changed(self.session, lines.number_of(rest) if rest else self.n, self.where)

    def _where(self, rest: str) -> Reply:
        if not rest:
            return self._changed(self.session, self.n, {})
        column, equals, value = rest.partition("=")
        if not (equals and column):
            raise UsageError(f"'where {rest}': not of the form COLUMN=VALUE.", "Write where colour=Black.")
        values = dict.fromkeys([*self.where.get(column, ()), value])
        return self._changed(self.session, self.n, {**self.where, column: list(values)})

    def _why(self, rest: str) -> Reply:
        found = documents.explain(self.session, lines.item_of(self.session, rest, self.shown))
        title = f"{found.content['item']} for {documents.who(self.session)}, by {self.session.model.name}"
        if found.content["title"]:
            title = f"{found.content['title']} ({title})"
        return Reply(Answer.of(found, [Table(list(term_rows(found.content)), title)]))

    def _taste(self, rest: str) -> Reply:
        found = documents.affinity(self.session, lines.number_of(rest) if rest else TASTE)
        return Reply(Answer.of(found, [Table(found.rows, f"What {documents.who(self.session)} likes")]))

    def _steps(self, rest: str) -> Reply:
        found = documents.saved(self.session)
        rows = [
            {"number": number, "step": documents.step_text(step)}
            for number, step in enumerate(self.session.steps, 1)
        ]
        return Reply(Answer.of(found, [Table(rows, f"For {documents.who(self.session)}")]))

    def _save(self, rest: str) -> Reply:
        refuse_form(rest, lines=True)
        write_bytes(Path(rest), (self.session.to_json() + "\n").encode())
        return Reply(said=f"The session is in {rest}.")

    def _help(self, rest: str) -> Reply:
        rows = [{"command": one.usage, "meaning": one.meaning} for one in lines.COMMANDS.values()]
        content: dict[str, Any] = {"commands": rows}
        return Reply(Answer.of(Document("help", content, rows), [Table(rows, whole=("command", "meaning"))]))

    def _quit(self, rest: str) -> Reply:
        return Reply(over=True)
