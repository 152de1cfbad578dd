"""``ivbpr inspect``: what a file of ours holds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from ivbpr_cli.commands.options import argument, option
from ivbpr_cli.output import Answer, Screen, Table, percent
from ivbpr_cli.paths import input_file
from ivbpr_cli.tables import as_cell

__all__ = ["inspect"]

NAMED = 6  # values of a network's group
GROUPS = 12  # in the table; --full has all


def inspect(
    screen: Screen,
    file: Annotated[Path, argument("A file that ivbpr wrote, or a network.")],
    users: Annotated[
        int, option("Also show so many users to try, from many purchases to few.", metavar="N")
    ] = 0,
    items: Annotated[int, option("The same of items.", metavar="N")] = 0,
    full: Annotated[
        bool, typer.Option("--full", help="Also every object, configuration and record, and the digests.")
    ] = False,
    digests: Annotated[bool, typer.Option("--digests", help="Also the digests.")] = False,
) -> None:
    """What a file is, how it was made, how good it is, what it needs, and what can be done with it next."""
    input_file(file, "file")
    from ivbpr_numba.documents import files as documents
    from ivbpr_numba.errors import UsageError

    if users < 0 or items < 0:
        raise UsageError("--users and --items count examples.", "Give a number of 1 or more.")
    document = documents.inspect(file, users, items)
    content = document.content
    if content.get("changed"):
        screen.warn(
            f"{file} changed since it was written: {', '.join(content['changed'])}; see 'ivbpr verify'."
        )
    if content.get("problem"):
        screen.warn(f"There is no summary: {content['problem']}")
    tables = [_summary(content, full or digests), *_groups(content, full)]
    for name in ("users", "items"):
        if content.get(name):
            held = ("valid", "test")
            tables.append(Table(content[name], f"{name.capitalize()} to try", whole=held, drop=held))
    if full:
        tables += _tree(content)
    summary = content["summary"] or {}
    steps = summary.get("next", [])
    # What was just done is no next step.
    notes = [f"Next: {line}" for line in steps if not (users and "--users" in line.split())]
    screen.show(Answer.of(document, tables, notes))


def _summary(content: Mapping[str, Any], digests: bool) -> Table:
    size = f"{content['file']} ({_bytes(content['bytes'])})"
    rows = [{"what": "file", "value": size}]
    if content["summary"] is None:
        rows.append({"what": "format", "value": content["format"]})
    for name, value in (content["summary"] or {}).items():
        if name != "next":
            rows.append({"what": name.replace("_", " "), "value": _words(value)})
    if digests:
        for name in ("payload_sha256", "content_sha256", "sha256"):
            if content.get(name):
                rows.append({"what": name, "value": content[name]})
    return Table(rows)


def _groups(content: Mapping[str, Any], full: bool) -> list[Table]:
    rows = [dict(row) for row in content["groups"]]
    if not rows:
        return []
    shown = rows if full else rows[:GROUPS]
    for row in shown:
        if "names" in row:
            named = row["names"] if full else row["names"][:NAMED]
            more = "" if len(named) == len(row["names"]) else ", …"
            row["names"] = ", ".join(named) + more
    left = len(rows) - len(shown)
    title = "Groups of columns" + (f"; {left:,} more, --full shows all" if left else "")
    return [Table(shown, title, wrap=("names",), formats={"valid_accuracy": percent})]


def _tree(content: Mapping[str, Any]) -> list[Table]:
    """Every object and every document of the file."""
    if "objects" not in content:
        return [Table(_pairs(content["record"]), "How it was trained")] if content["record"] else []
    objects = [{**row, "shape": " × ".join(f"{n:,}" for n in row["shape"])} for row in content["objects"]]
    tables = [Table(_pairs(content["attrs"]), "Attributes")] if content["attrs"] else []
    tables.append(Table(objects, "Objects", whole=("path",)))
    return tables + [
        Table(_pairs(document), path) for path, document in content["documents"].items() if document
    ]


def _pairs(document: Any) -> list[dict[str, Any]]:
    """Keys and values of a JSON document; what is nested stays JSON."""
    pairs = document.items() if isinstance(document, dict) else enumerate(document)
    return [{"key": str(key), "value": _text(value)} for key, value in pairs]


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value)


def _words(value: Any) -> str:
    """A value of a summary; names and values of one level in one line."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name.replace('_', ' ')} {_plain(own)}" for name, own in value.items())
    return _plain(value)


def _plain(value: Any) -> str:
    """Like `as_cell`, but small numbers keep their digits and large ones of options have no commas."""
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    return as_cell(value)


def _bytes(size: int) -> str:
    for unit, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if size >= unit:
            return f"{size / unit:.3g} {name}"
    return f"{size} bytes"
