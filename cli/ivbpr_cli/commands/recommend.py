"""``ivbpr recommend``: the best items for one user, or for all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from ivbpr_cli.commands.options import argument, option
from ivbpr_cli.commands.users import known_user
from ivbpr_cli.output import Answer, Format, Screen, Table
from ivbpr_cli.paths import input_file, output_file, spare_features
from ivbpr_numba.errors import UsageError
from ivbpr_numba.store.kinds import refuse_form

__all__ = ["recommend"]

Texts = list[str] | None


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
    features: Annotated[Path | None, option("Feature file, if it is not where the model says.")] = None,
) -> None:
    """The best items over the whole catalogue; what the user already has is left out."""
    if all_users and user is not None:
        raise UsageError("Name a user or --all-users.", "One of the two.")
    if all_users != (out is not None):
        raise UsageError("--all-users and --out belong together.", "Give both or neither.")
    conditions = parse_where(where)
    input_file(model, "model")
    if features is not None:
        input_file(features, "feature file")
    if out is not None:
        refuse_form(out, lines=screen.format == Format.jsonl)
        output_file(out, model, features)

    from ivbpr_numba.documents import items, many
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
        screen.show(Answer.of(many.recommend_all(fitted, out, n, reasons=explain, lines=lines, **asked)))
        return
    known_user(fitted, user, model, "or --all-users")
    reasons = (
        True if explain else None if screen.format in (Format.json, Format.jsonl) else because is not None
    )
    shown = explain or because is not None
    found = items.recommend(fitted, user, n, reasons=reasons, reasons_in_rows=shown, **asked)
    rows = found.rows
    if not any(row.get("because") for row in rows):
        rows = [{key: cell for key, cell in row.items() if key != "because"} for row in rows]
    table = Table(rows, f"For {user}, by {fitted.name}")
    screen.show(Answer.of(found, [table], found.content["notes"]))


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
