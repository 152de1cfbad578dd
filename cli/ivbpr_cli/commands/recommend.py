"""``ivbpr recommend``: the best items for one user, or for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from ivbpr_cli.commands.options import Scheduler, Workers, argument, client_of, names, option, say_device
from ivbpr_cli.commands.users import known_user
from ivbpr_cli.output import Answer, Format, Screen, Table
from ivbpr_cli.paths import input_file, output_file, spare_features
from ivbpr_numba.errors import UsageError
from ivbpr_numba.store.kinds import refuse_form

if TYPE_CHECKING:
    from ivbpr_numba.models.base import Model
    from ivbpr_numba.questions.session import Session

__all__ = ["begin", "parse_where", "recommend", "stepped"]

Texts = list[str] | None
STEERING = "Steering"


def recommend(
    screen: Screen,
    model: Annotated[Path, argument("A file written by 'ivbpr fit'.")],
    user: Annotated[str | None, argument("The user's id.")] = None,
    all_users: Annotated[bool, option("Every user, streamed to --out.")] = False,
    out: Annotated[
        Path | None,
        option("File for --all-users: CSV, or JSON lines with --format jsonl.", flags=("--out", "-o")),
    ] = None,
    n: Annotated[int, option("How many items.", flags=("--number", "-n"))] = 10,
    where: Annotated[
        Texts, option("Kept column and value; same column: or, other column: and.", metavar="COL=VALUE")
    ] = None,
    at: Annotated[
        str | None, option("Date for a model in time; the last epoch where not given.", metavar="DATE")
    ] = None,
    because: Annotated[
        str | None, option("Rank by this feature's contribution alone, then by the score; shows the reasons.")
    ] = None,
    exclude: Annotated[Texts, option("Parts of the split to leave out; all where not given.")] = None,
    explain: Annotated[
        bool, option("Show the attributes that raise each score most, also in the file.")
    ] = False,
    boost: Annotated[
        Texts,
        option(
            "More of a feature: an item that has it gains A standard deviations (.5); below 0 less.",
            metavar="NAME[=A]",
            panel=STEERING,
        ),
    ] = None,
    toward: Annotated[
        Texts,
        option(
            "More like an item: it gains A standard deviations over the average item (1).",
            metavar="ITEM[=A]",
            panel=STEERING,
        ),
    ] = None,
    likes: Annotated[
        str | None,
        option("Instead of USER: items that a new shopper likes.", metavar="A,B,C", panel=STEERING),
    ] = None,
    by: Annotated[
        str,
        option(
            "Rank by the model's scores, or by nearness in attribute space (knn), where A is .25 and .5.",
            metavar="model|knn",
            panel=STEERING,
        ),
    ] = "model",
    features: Annotated[Path | None, option("Feature file, if it is not where the model says.")] = None,
    device: Annotated[
        str, option("What ranks for --all-users: cpu, cuda or auto; the items are the same.")
    ] = "cpu",
    scheduler: Scheduler = None,
    workers: Workers = None,
) -> None:
    """The best items over the whole catalogue; what the user already has is left out.

    Without USER, and with --likes, --boost or --toward, the shopper is new.
    """
    if all_users and user is not None:
        raise UsageError("Name a user or --all-users.", "One of the two.")
    if likes is not None and (all_users or user is not None):
        raise UsageError(
            f"--likes is about a new shopper, {'--all-users' if all_users else user} about another.",
            "Give one of the two; a user can go --toward items.",
        )
    if all_users and (boost or toward or by != "model"):
        raise UsageError("--boost, --toward and --by are about one shopper.", "Name a user.")
    if all_users != (out is not None):
        raise UsageError("--all-users and --out belong together.", "Give both or neither.")
    if device != "cpu" and not all_users:
        raise UsageError("--device is about --all-users; one user is answered by the CPU.", "Leave it out.")
    if (scheduler is not None or workers is not None) and (not all_users or device != "cpu"):
        raise UsageError(
            "--scheduler and --workers are about --all-users, and rank with CPUs.", "Leave them out."
        )
    conditions = parse_where(where)
    input_file(model, "model")
    if features is not None:
        input_file(features, "feature file")
    if out is not None:
        refuse_form(out, lines=screen.format == Format.jsonl)
        output_file(out, model, features)

    from ivbpr_numba.documents import many, sessions
    from ivbpr_numba.features.features import Features
    from ivbpr_numba.models import load

    fitted = load(model)
    asked: dict[str, Any] = {
        "at": at,
        "where": conditions,
        "because": because,
        "exclude": tuple(exclude or ("train", "valid", "test")),
        "features": Features.read(features) if features is not None else None,
    }
    if out is not None:
        spare_features(out, fitted)
        lines = screen.format == Format.jsonl
        asked |= {"reasons": explain, "lines": lines, "device": device}
        with client_of(scheduler, workers) as client:
            written = many.recommend_all(fitted, out, n, **asked, client=client)
        say_device(screen, written.content)
        screen.show(Answer.of(written))
        return
    if not (likes is not None or boost or toward) or user is not None:
        known_user(fitted, user, model, "or --all-users, or what a new shopper --likes")
    reasons = (
        True if explain else None if screen.format in (Format.json, Format.jsonl) else because is not None
    )
    shown = explain or because is not None
    session = begin(fitted, user, likes, at=at, by=by, exclude=asked["exclude"], features=asked["features"])
    session = stepped(session, boost or (), toward or ())
    found = sessions.recommend(
        session, n, where=conditions, because=because, reasons=reasons, reasons_in_rows=shown
    )
    rows = found.rows
    if not any(row.get("because") for row in rows):
        rows = [{key: cell for key, cell in row.items() if key != "because"} for row in rows]
    asked_for = "".join(f", {sessions.step_text(step)}" for step in session.steps)
    table = Table(rows, f"For {sessions.who(session)}, by {fitted.name}{asked_for}")
    screen.show(Answer.of(found, [table], found.content["notes"]))


def begin(model: Model, user: str | None, likes: str | None, **options: Any) -> Session:
    """The session of a user, or of a new shopper who likes the items of a list with commas."""
    from ivbpr_numba.questions.session import Session

    return Session(model, user, likes=names(likes), **options)


def stepped(session: Session, boosts: Sequence[str], towards: Sequence[str]) -> Session:
    """The session after boosts ``NAME[=A]`` and steps toward items ``ITEM[=A]``."""
    from ivbpr_numba.answers.steps import split_amount

    record = session.model.features_
    for text in boosts:
        session = session.boost(*split_amount(text, known=record.names if record is not None else ()))
    for text in towards:
        session = session.toward(*split_amount(text, known=session.model.data_.items))
    return session


def parse_where(conditions: Texts) -> dict[str, list[str]]:
    """Values by column from ``COL=VALUE``.

    Raises
    ------
    UsageError
        A condition without ``=``.
    """
    found: dict[str, list[str]] = {}
    for condition in conditions or ():
        column, equals, value = condition.partition("=")
        if not (column and equals):
            raise UsageError(f"--where {condition}: not of the form COLUMN=VALUE.", "Write colour=Black.")
        found.setdefault(column, []).append(value)
    return found
