"""What somebody types in a session, line by line: commands and steps, and what could come next in a line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ivbpr_numba.answers.steps import split_amount
from ivbpr_numba.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from ivbpr_numba.questions.session import Session

__all__ = ["COMMANDS", "Command", "Line", "completions", "item_of", "number_of", "parse", "stepped"]


@dataclass(frozen=True)
class Command:
    """Something that can be typed.

    Attributes
    ----------
    usage, meaning : str
        For the list of commands.
    needs : bool
        Whether something must follow the word.
    """

    usage: str
    meaning: str
    needs: bool = False


COMMANDS = {
    "more": Command("more NAME [AMOUNT]", "more of an attribute", True),
    "less": Command("less NAME [AMOUNT]", "less of it", True),
    "like": Command(
        "like N|ITEM [AMOUNT]", "toward an item; a new shopper without AMOUNT: one that he likes", True
    ),
    "toward": Command("toward N|ITEM [AMOUNT]", "toward an item, below 0 away from it", True),
    "unlike": Command("unlike N|ITEM", "a new shopper: no longer liked", True),
    "why": Command("why N|ITEM", "the terms of a score", True),
    "show": Command("show [N]", "the list, from now on of N items"),
    "where": Command(
        "where [COL=VALUE]", "only such items; same column: or, other column: and; alone: all items"
    ),
    "by": Command("by model|knn", "rank by the model's scores, or by nearness in attribute space", True),
    "at": Command("at [DATE]", "a model in time: at that date; alone: its last epoch"),
    "taste": Command("taste [N]", "the shopper's affinity to the attributes (equation 5 and the steps)"),
    "steps": Command("steps", "what was asked for so far"),
    "undo": Command("undo [NUMBER]", "without the last step, or that of this number"),
    "reset": Command("reset", "without any step"),
    "save": Command("save FILE", "the session as JSON, to go on with another time", True),
    "help": Command("help", "this list"),
    "quit": Command("quit", "the end; so does the end of the input"),
}
SAME = {"exit": "quit", "?": "help"}


@dataclass(frozen=True)
class Line:
    """A line that was understood: its command, and what follows it."""

    command: str
    rest: str = ""


def parse(text: str) -> Line | None:
    """The command of a line; None of an empty one, and of a comment after ``#``.

    Raises
    ------
    UsageError
        An unknown command, with a near miss; one that needs more, or nothing.
    """
    word, _, rest = text.strip().partition(" ")
    if not word or word.startswith("#"):
        return None
    name, rest = SAME.get(word.lower(), word.lower()), rest.strip()
    if name not in COMMANDS:
        hint = did_you_mean(name, COMMANDS) or "'help' lists the commands."
        raise UsageError(f"There is no command '{word}'.", hint)
    command = COMMANDS[name]
    if command.needs and not rest:
        raise UsageError(f"'{name}' alone says too little.", f"Write {command.usage}.")
    if rest and " " not in command.usage:
        raise UsageError(f"'{name}' takes nothing more.", f"Write {name}.")
    return Line(name, rest)


def stepped(session: Session, line: Line, shown: Sequence[str]) -> Session:
    """The session after a line that changes it.

    Parameters
    ----------
    session : Session
    line : Line
    shown : sequence of item ids
        The list that numbers mean, the best first.

    Raises
    ------
    UsageError, DataError
        See `Session`; a number that is not in the list.
    """
    return STEPS[line.command](session, line.rest, shown)


def _more(session: Session, rest: str, shown: Sequence[str]) -> Session:
    return session.boost(*_named(session, rest))


def _less(session: Session, rest: str, shown: Sequence[str]) -> Session:
    name, amount = _named(session, rest)
    if amount is not None and not amount > 0:
        raise UsageError(f"'less' by {amount:g} is no less.", "Give a number above 0, or leave it out.")
    if amount is None:
        amount = session.boost(name).steps[-1]["amount"]
    return session.boost(name, -amount)


def _like(session: Session, rest: str, shown: Sequence[str]) -> Session:
    text, amount = split_amount(rest, " ")
    item = item_of(session, text, shown)
    return session.like(item) if session.user is None and amount is None else session.toward(item, amount)


def _toward(session: Session, rest: str, shown: Sequence[str]) -> Session:
    text, amount = split_amount(rest, " ")
    return session.toward(item_of(session, text, shown), amount)


def _unlike(session: Session, rest: str, shown: Sequence[str]) -> Session:
    return session.unlike(item_of(session, rest, shown))


def _undo(session: Session, rest: str, shown: Sequence[str]) -> Session:
    if not rest:
        return session.undo()
    count = len(session.steps)
    if not count:
        return session.undo()  # says that there is none
    number = number_of(rest)
    if not 1 <= number <= count:
        raise UsageError(f"There is no step {number}.", f"They have the numbers 1 to {count}: 'steps'.")
    return session.without(number - 1)


STEPS: dict[str, Callable[[Session, str, Sequence[str]], Session]] = {
    "more": _more,
    "less": _less,
    "like": _like,
    "toward": _toward,
    "unlike": _unlike,
    "undo": _undo,
    "reset": lambda session, rest, shown: session.reset(),
    "by": lambda session, rest, shown: session.by(rest),
    "at": lambda session, rest, shown: session.at(rest or None),
}


def _named(session: Session, rest: str) -> tuple[str, float | None]:
    """A feature and an amount: what is a name as a whole has none."""
    if session.model.features_ is not None:
        try:
            session.boost(rest)
        except UsageError as problem:
            for mark in (" ", "="):
                name, amount = split_amount(rest, mark)
                if amount is not None:
                    return name.strip(), amount
            raise problem
    return rest, None


def item_of(session: Session, text: str, shown: Sequence[str]) -> str:
    """An item by its number in the list, or by its id; ``item=7`` is always an id.

    Raises
    ------
    UsageError
        A number that is neither.
    """
    given = text.removeprefix("item=")
    if given == text and re.fullmatch("[0-9]{1,9}", text):
        number = int(text)
        if 1 <= number <= len(shown):
            return shown[number - 1]
        if text not in session.model.data_.items:
            raise UsageError(
                f"There is no number {number} in the list.",
                f"It has {len(shown):,} items; 'show {number}' makes it longer."
                if number
                else "It begins with 1.",
            )
    return given


def number_of(text: str) -> int:
    """A whole number above 0.

    Raises
    ------
    UsageError
    """
    if not re.fullmatch("[0-9]{1,9}", text) or int(text) < 1:
        raise UsageError(f"'{text}' is no whole number above 0.", "Write one, such as 10.")
    return int(text)


def completions(
    session: Session, text: str, shown: Sequence[str], columns: Mapping[str, Sequence[str]]
) -> list[str]:
    """How a line could go on: whole lines that begin as `text` does.

    Parameters
    ----------
    session : Session
    text : str
    shown : sequence of item ids
    columns : mapping of kept column to its values
    """
    word, space, rest = text.lstrip().partition(" ")
    if not space:
        begun = [name for name in COMMANDS if name.startswith(word.lower())]
        return [f"{name} " if COMMANDS[name].needs else name for name in begun]
    return [
        f"{word} {one}" for one in _following(session, word.lower(), shown, columns) if _begins(one, rest)
    ]


def _following(
    session: Session, word: str, shown: Sequence[str], columns: Mapping[str, Sequence[str]]
) -> Iterator[str]:
    record = session.model.features_
    if word in ("more", "less") and record is not None:
        yield from record.names
        yield from dict.fromkeys(name.partition("=")[2] for name in record.names if "=" in name)
    elif word in ("like", "toward", "why"):
        yield from shown
    elif word == "unlike":
        yield from session.likes
    elif word == "where":
        for column, values in columns.items():
            yield from (f"{column}={value}" for value in values)
    elif word == "by":
        yield from ("model", "knn")


def _begins(one: str, text: str) -> bool:
    return one.lower().startswith(text.lower())
