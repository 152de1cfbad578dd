"""``ivbpr interact``: a session at the terminal, or by a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from ivbpr_cli.commands.options import argument, option
from ivbpr_cli.commands.recommend import Texts, begin, parse_where
from ivbpr_cli.commands.users import known_user
from ivbpr_cli.failures import printable
from ivbpr_cli.output import Screen, say_error
from ivbpr_cli.paths import input_file
from ivbpr_numba.errors import DataError, IvbprError, Mention, UsageError

if TYPE_CHECKING:
    from ivbpr_cli.conversation import Conversation
    from ivbpr_numba.features.features import Features
    from ivbpr_numba.models.base import Model
    from ivbpr_numba.questions.session import Session

__all__ = ["interact"]

PROMPT = "> "
LONGEST = 10_000_000  # bytes of a saved session


def interact(
    screen: Screen,
    model: Annotated[Path, argument("A file written by 'ivbpr fit'.")],
    user: Annotated[
        str | None, argument("The user's id; a new shopper where not given.", metavar="USER")
    ] = None,
    session: Annotated[
        Path | None, option("Continue a session that 'save' wrote; instead of USER and its options.")
    ] = None,
    likes: Annotated[
        str | None, option("Instead of USER: items that a new shopper likes.", metavar="A,B,C")
    ] = None,
    n: Annotated[int, option("How many items.", flags=("--number", "-n"))] = 10,
    where: Annotated[
        Texts, option("Kept column and value; same column: or, other column: and.", metavar="COL=VALUE")
    ] = None,
    at: Annotated[
        str | None, option("Date for a model in time; the last epoch where not given.", metavar="DATE")
    ] = None,
    by: Annotated[
        str | None,
        option("Rank by the model's scores, or by nearness in attribute space.", metavar="model|knn"),
    ] = None,
    exclude: Annotated[Texts, option("Parts of the split to leave out; all where not given.")] = None,
    features: Annotated[Path | None, option("Feature file, if it is not where the model says.")] = None,
) -> None:
    """Push recommendations around in words: more of this, less of that, like number 3; 'help' lists all.

    At a terminal lines are edited, kept for the arrow keys, and completed by Tab. A pipe is read without a
    prompt: a line that fails is told on stderr, the others are done, and the exit code is that of the first
    that failed.
    """
    whose = {"USER": user, "--likes": likes, "--at": at, "--by": by, "--exclude": exclude}
    if session is not None and any(value is not None for value in whose.values()):
        given = next(name for name, value in whose.items() if value is not None)
        raise UsageError(f"--session says who it is and how it goes on, so {given} can't.", "Leave one out.")
    if user is not None and likes is not None:
        raise UsageError(f"--likes is about a new shopper, {user} about another.", "Give one of the two.")
    conditions = parse_where(where)
    input_file(model, "model")
    for path, what in ((features, "feature file"), (session, "session")):
        if path is not None:
            input_file(path, what)

    from ivbpr_cli.conversation import Conversation
    from ivbpr_numba.features.features import Features
    from ivbpr_numba.models import load

    fitted = load(model)
    given_features = Features.read(features) if features is not None else None
    if session is not None:
        started = read_session(session, fitted, given_features)
    else:
        if user is not None:
            known_user(fitted, user, model)
        parts = {"exclude": tuple(exclude)} if exclude else {}
        started = begin(fitted, user, likes, at=at, by=by or "model", features=given_features, **parts)
    talk = Conversation(started, n, conditions)
    if sys.stdin.isatty() and sys.stdout.isatty():
        _at_a_terminal(screen, talk)
    else:
        _from_a_pipe(screen, talk)


def read_session(path: Path, model: Model, features: Features | None = None) -> Session:
    """A session that was saved.

    Raises
    ------
    DataError
        The file holds none, or one of another model.
    """
    from ivbpr_numba.questions.session import Session

    with open(path, "rb") as file:
        text = file.read(LONGEST + 1)
    if len(text) > LONGEST:
        raise DataError(f"'{path}' is too long for a session.", "Name a file that 'save' wrote.")
    try:
        return Session.from_json(text, model, features)
    except IvbprError as problem:
        raise type(problem)(f"'{path}': {problem.marked[0]}", problem.marked[1]) from None


def _at_a_terminal(screen: Screen, talk: Conversation) -> None:
    _edit_lines(talk)
    _show(screen, talk.begin())
    screen.note("'help' lists the commands, 'quit' ends.")
    for text in _typed():
        try:
            reply = talk.say(text)
        except IvbprError as problem:
            say_error(_in_words(problem))
            continue
        _show(screen, reply)
        if reply.over:
            return


def _typed() -> Iterator[str]:
    """Lines until the end of the input; Ctrl-C gives up the line."""
    while True:
        try:
            yield input(PROMPT)
        except KeyboardInterrupt:
            sys.stdout.write("\n")
        except EOFError:
            sys.stdout.write("\n")
            return


def _edit_lines(talk: Conversation) -> None:
    """Complete lines by Tab, where Python was built with readline."""
    try:
        import readline
    except ImportError:
        return
    found: list[str] = []

    def complete(text: str, state: int) -> str | None:
        if state == 0:
            found[:] = talk.complete(text)
        return found[state] if state < len(found) else None

    readline.set_completer(complete)
    readline.set_completer_delims("")  # names have blanks in them: a completion is a whole line
    readline.parse_and_bind("tab: complete")


def _from_a_pipe(screen: Screen, talk: Conversation) -> None:
    failed: list[tuple[int, IvbprError]] = []
    reconfigure: Any = getattr(sys.stdin, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="replace")
    for number, text in enumerate(sys.stdin, 1):
        try:
            reply = talk.say(text)
        except IvbprError as problem:
            say_error(f"Line {number}: {_in_words(problem)}")
            failed.append((number, problem))
            continue
        _show(screen, reply)
        if reply.over:
            break
    if failed:
        number, first = failed[0]
        lines = "1 line was" if len(failed) == 1 else f"{len(failed):,} lines were"
        raise type(first)(f"{lines} not done, the first is line {number}.", "What failed is said above.")


def _show(screen: Screen, reply: Any) -> None:
    if reply.answer is not None:
        screen.show(reply.answer)
    if reply.said:
        screen.note(reply.said)


def _in_words(problem: IvbprError) -> str:
    """The text of an error for somebody who types lines: neither flags nor Python."""

    def say(mention: Mention) -> str:
        return f"{mention.name} {mention.text}".strip()

    return printable(problem.told(say))
