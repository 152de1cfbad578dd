"""What a file holds, by its content, and the one rule of what an output may replace.

A new file may take the place of an empty one and of one of its own kind, which the same command wrote before.
Whatever else lies there stays: it is somebody's, and a name is easily mistyped.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from ivbpr_numba import expected
from ivbpr_numba.errors import UsageError

__all__ = ["HDF5", "OURS", "is_log", "kind_of", "refuse_form", "refuse_name", "refuse_other", "refuse_unlike"]

HDF5 = b"\x89HDF\r\n\x1a\n"
PathLike = str | os.PathLike[str]

_HEAD = 1 << 16
_OTHER_NAMES = {
    *(".csv", ".tsv", ".json", ".jsonl", ".txt", ".html", ".svg", ".png", ".jpg", ".zip", ".parquet"),
    *(".pkl", ".pickle", ".joblib", ".npy", ".npz", ".onnx", ".pt", ".toml", ".md", ".py"),
}
_MAGIC = {
    HDF5: "an HDF5 file",
    b"\x89PNG\r\n\x1a\n": "a PNG picture",
    b"PK\x03\x04": "a zip archive",
    b"\x1f\x8b": "a gzip file",
    b"PAR1": "a Parquet file",
}
_OUR_NETWORK = b"ivbpr.format"  # a key in its metadata
OURS = "generator: ivbpr"  # stands near the beginning of our pages and figures
_MARKED = {"a page of HTML", "an SVG figure", "a PNG picture"}
# Endings of names that promise something else than a table of text.
_PACKED = {".gz", ".bz2", ".xz", ".zst", ".zip", ".tar", ".7z"}
_NO_TEXT = {
    *_PACKED,
    *(
        ".parquet",
        ".feather",
        ".arrow",
        ".xlsx",
        ".xls",
        ".ods",
        ".sqlite",
        ".db",
    ),
}
_JSON = {".json", ".jsonl", ".ndjson"}
_NO_TEXT |= {
    ".pkl",
    ".pickle",
    ".npy",
    ".npz",
    ".html",
    ".svg",
    ".png",
    ".jpg",
    ".pdf",
    ".xml",
    ".yaml",
    ".toml",
}


def refuse_name(path: PathLike, what: str) -> None:
    """Refuse a name that promises something else than HDF5.

    Parameters
    ----------
    path : path
    what : str
        What will be written, "model" for one.

    Raises
    ------
    UsageError
    """
    expected.path(path)
    suffix = Path(path).suffix
    if suffix.lower() in _OTHER_NAMES:
        raise UsageError(
            f"'{path}' would be an HDF5 file, the only form of a {what} here.",
            f"Name it .h5: '{Path(path).with_suffix('.h5')}'.",
        )


def refuse_form(path: PathLike, lines: bool = False) -> None:
    """Refuse a name that promises something else than the text that will be written.

    Parameters
    ----------
    path : path
    lines : bool
        JSON lines will be written; else CSV.

    Raises
    ------
    UsageError
    """
    suffix = Path(path).suffix.lower()
    form, ending, other = ("JSON lines", ".jsonl", {".csv", ".tsv"}) if lines else ("CSV", ".csv", _JSON)
    if suffix in _NO_TEXT | other:
        stem = Path(path).with_suffix("") if suffix in _PACKED else Path(path)
        plain = stem.with_suffix(ending)
        raise UsageError(
            f"'{path}' would be plain text, {form}, which its name doesn't promise.", f"Name it '{plain}'."
        )


def refuse_unlike(path: PathLike, begin: bytes) -> None:
    """Refuse to replace a file of another kind than that of `begin`, the first piece of the new one.

    Raises
    ------
    UsageError
        Something else lies there; a table of text is something else when it has mostly other columns.
    """
    target = Path(path)
    if not os.path.isfile(target) or target.stat().st_size == 0:
        return
    with open(target, "rb") as file:
        head = file.read(_HEAD)
    old, new = kind_of(head), kind_of(begin[:_HEAD])
    alike = old == new
    if old == "a table of text" == new or old == "JSON" == new:
        alike = _mostly_alike(_columns(head), _columns(begin[:_HEAD]))
    if alike and new in _MARKED and OURS.encode() in begin[:_HEAD]:
        alike = OURS.encode() in head
        old += " that ivbpr didn't write"
    if alike and new == "an ONNX network" and _OUR_NETWORK in begin:
        alike = _OUR_NETWORK in target.read_bytes()
    if not alike:
        raise refuse_other(path, old)


def refuse_other(path: PathLike, old: str) -> UsageError:
    """The error about `path`, which holds `old` ("a dataset") and stays."""
    return UsageError(
        f"'{path}' holds {old}, which is not replaced by a file of another kind.",
        "Choose another name, or remove that file first.",
    )


def is_log(head: bytes) -> bool:
    """Whether a file that begins with `head` is a log of ours: objects of events, the configuration first."""
    return head.startswith(b"{") and re.search(rb'"(config|event)":', head.partition(b"\n")[0]) is not None


def kind_of(head: bytes) -> str:
    """What a file that begins with `head` seems to be, in words: "a table of text" for one."""
    for magic, kind in _MAGIC.items():
        if head.startswith(magic):
            return kind
    begin = head[:4096].lstrip().lower()
    if begin.startswith((b"<!doctype html", b"<html")):
        return "a page of HTML"
    if begin.startswith((b"<svg", b"<?xml")) and b"<svg" in begin:
        return "an SVG figure"
    if begin.startswith((b"{", b"[")):
        return "JSON"
    if b"\0" in head or not _is_text(head):
        return "an ONNX network" if head.startswith(b"\x08") else "something that ivbpr didn't write"
    return "a table of text"


def _is_text(head: bytes) -> bool:
    try:
        head.decode()
    except UnicodeDecodeError as problem:
        return problem.start > len(head) - 4  # a letter cut off at the end
    return True


def _columns(head: bytes) -> set[str]:
    """Names in the header of a table, or of the first JSON object."""
    line = head.partition(b"\n")[0].decode("utf-8", "replace").strip()
    try:
        first = json.loads(line)
    except ValueError:
        return set(re.split("[,;\t]", line.lstrip("\ufeff")))
    return set(first) if isinstance(first, dict) else {line}


def _mostly_alike(one: set[str], other: set[str]) -> bool:
    """Optional columns may come and go: more than half of all names are common."""
    return 2 * len(one & other) > len(one | other)
