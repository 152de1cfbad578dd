"""``ivbpr inspect``: what a file of ours holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from ivbpr_cli.commands.options import argument
from ivbpr_cli.output import Answer, Screen, Table
from ivbpr_cli.paths import input_file

__all__ = ["inspect"]


def inspect(screen: Screen, file: Annotated[Path, argument("A file that ivbpr wrote.")]) -> None:
    """The tree of a file with shapes and types, its configuration and its provenance."""
    input_file(file, "file")
    from ivbpr_numba.store.verify import inspect as read

    content = read(file)
    head = {k: v for k, v in content.items() if not isinstance(v, dict | list)} | content["attrs"]
    objects = [{**row, "shape": " × ".join(f"{n:,}" for n in row["shape"])} for row in content["objects"]]
    tables = [Table(_pairs(head)), Table(objects)]
    tables += [Table(_pairs(document), path) for path, document in content["documents"].items() if document]
    if content["changed"]:
        screen.warn(
            f"{file} changed since it was written: {', '.join(content['changed'])}; see 'ivbpr verify'."
        )
    screen.show(Answer("inspect", content, content["objects"], tables))


def _pairs(document: Any) -> list[dict[str, Any]]:
    """Keys and values of a JSON document; what is nested stays JSON."""
    pairs = document.items() if isinstance(document, dict) else enumerate(document)
    return [{"key": str(key), "value": _text(value)} for key, value in pairs]


def _text(value: Any) -> str:
    import orjson

    return orjson.dumps(value).decode() if isinstance(value, dict | list) else str(value)
