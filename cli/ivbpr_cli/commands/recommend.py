"""``ivbpr recommend``: the best items for one user, or for all of them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from ivbpr_cli.commands.options import argument, option
from ivbpr_cli.output import Answer, Format, Screen, Table
from ivbpr_cli.paths import input_file, output_file
from ivbpr_numba.errors import UsageError

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
    because: Annotated[str | None, option("Rank by this feature's contribution alone.")] = None,
    exclude: Annotated[Texts, option("Parts of the split to leave out; all where not given.")] = None,
    explain: Annotated[bool, option("Show the attributes that raise each score most.")] = False,
    features: Annotated[Path | None, option("Feature file, if it is not where the model says.")] = None,
) -> None:
    """The best items over the whole catalogue; what the user already has is left out."""
    if (user is None) == (not all_users):
        raise UsageError("Name a user or --all-users.", "One of the two.")
    if all_users and (because or explain):
        raise UsageError("--because and --explain are for one user.", "Leave them out with --all-users.")
    if all_users != (out is not None):
        raise UsageError("--all-users and --out belong together.", "Give both or neither.")
    conditions = parse_where(where)
    input_file(model, "model")
    if features is not None:
        input_file(features, "feature file")
    if out is not None:
        output_file(out, model, features)

    from ivbpr_numba.features.features import Features
    from ivbpr_numba.models import load

    fitted = load(model)
    given = Features.read(features) if features is not None else None
    parts = tuple(exclude or ("train", "valid", "test"))
    if out is not None:
        from ivbpr_numba.answers.answers import recommend_all
        from ivbpr_numba.store.atomic import write_bytes

        answers = recommend_all(fitted.view(at, given), n, where=conditions, exclude=parts)
        counted = _Counted()
        write_bytes(out, _lines(answers, screen.format == Format.jsonl, counted))
        row = {"out": str(out), "users": counted.users, "rows": counted.rows}
        screen.show(Answer("recommend-all", row, [row]))
        return
    reasons = explain or screen.format in (Format.json, Format.jsonl)
    items = fitted.recommend(
        user, n, at=at, where=conditions, because=because, exclude=parts, reasons=reasons, features=given
    )
    document = {"user": user, "at": at, "model": fitted.name, "items": items}
    rows = [flat(item, explain) for item in items]
    screen.show(Answer("recommend", document, rows, [Table(rows, f"For {user}, by {fitted.name}")]))


def flat(item: dict[str, Any], with_reasons: bool = True) -> dict[str, Any]:
    """One recommendation as a row; a column without content is left out."""
    row = {key: value for key, value in item.items() if key != "because" and value is not None}
    if with_reasons:
        row["because"] = ", ".join(f"{t['term']} {t['contribution']:+.2f}" for t in item["because"])
    return row


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


class _Counted:
    users = 0
    rows = 0


def _lines(
    answers: Iterator[tuple[str, list[dict[str, Any]]]], as_json: bool, counted: _Counted
) -> Iterator[bytes]:
    """Pieces of the file, about a megabyte each."""
    import orjson

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if not as_json:
        writer.writerow(("user", "rank", "item", "score"))
    for user, items in answers:
        counted.users += 1
        counted.rows += len(items)
        if as_json:
            plain = [{key: item[key] for key in ("rank", "item", "score")} for item in items]
            text.write(
                orjson.dumps({"schema": "ivbpr.recommend/1", "user": user, "items": plain}).decode() + "\n"
            )
        else:
            writer.writerows((user, item["rank"], item["item"], repr(item["score"])) for item in items)
        if text.tell() > 1 << 20:
            yield text.getvalue().encode()
            text.seek(0)
            text.truncate()
    yield text.getvalue().encode()
