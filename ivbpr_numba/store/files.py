"""Writing and reading whole trees: model, dataset, checkpoint and truth files."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ivbpr_numba.errors import DataError, IvbprError, parameter
from ivbpr_numba.store.atomic import Lock, PathLike, replacing
from ivbpr_numba.store.digest import Digested, Entry, digest_objects
from ivbpr_numba.store.hdf5 import image_of, opened, read_attributes, read_entries
from ivbpr_numba.store.kinds import refuse_name, refuse_other
from ivbpr_numba.store.tree import NEWEST_VERSION, Tree, Value, as_bytes, as_canonical, as_text, entries_of
from ivbpr_numba.store.writers import unreadable
from ivbpr_numba.wording import first_of

__all__ = [
    "Sealed",
    "check_format",
    "check_target",
    "compare_digests",
    "format_of",
    "read_sealed",
    "read_tree",
    "refuse_changed",
    "seal",
    "write_tree",
]

# Part of every file: which values make up the payload, and one digest a value, so that damage has a name.
PAYLOAD_NAMES = "/digests/payload"
VALUE_NAMES = "/digests/name"
VALUE_DIGESTS = "/digests/sha256"
# Payload values that the file does not hold under their own name (a model's learning options, for one).
EXTRA = "/payload/"
OURS = ("/digests/", EXTRA)

Payload = Sequence[str] | Mapping[str, np.ndarray | str]
Attributes = dict[str, str | int | float]


def seal(
    tree: Tree, payload: Payload, outside: Mapping[str, Digested] | None = None
) -> tuple[dict[str, Value], Attributes]:
    """Add digests to a tree and return the objects and root attributes of its file.

    `outside` names matrices that count as values of the file, but are no objects of the tree.

    Raises
    ------
    KeyError
        For a payload name that the tree does not hold.
    ValueError
        For a path that is not absolute or belongs to the digests, and for a text with NUL.
    """
    objects = {path: as_canonical(value) for path, value in tree.objects.items()}
    for path in objects:
        if not path.startswith("/") or path.startswith(OURS):
            raise ValueError(f"{path!r} is not a path for an object of a tree")
    # Fixed-length storage drops NUL at the end of a text.
    for name, text in [*objects.items(), *tree.attrs.items()]:
        if isinstance(text, str) and "\0" in text:
            raise ValueError(f"the text {name} contains NUL")
    attrs: Attributes = {**tree.attrs, "format": tree.format, "format_version": tree.version}
    entries: dict[str, Entry] = {**entries_of(objects, attrs), **(outside or {})}
    chosen: dict[str, Entry]
    if isinstance(payload, Mapping):
        chosen = {name: as_canonical(value) for name, value in payload.items()}
        for name, value in chosen.items():
            if name not in entries or digest_objects({"": entries[name]}) != digest_objects({"": value}):
                objects[EXTRA + name.lstrip("/")] = as_canonical(payload[name])
    else:
        chosen = {name: entries[name] for name in payload}
    objects[PAYLOAD_NAMES] = _names(chosen)
    entries = {**entries_of(objects, attrs), **(outside or {})}
    objects[VALUE_NAMES] = _names(entries)
    objects[VALUE_DIGESTS] = np.array([digest_objects({k: entries[k]}) for k in sorted(entries)], dtype="S64")
    attrs["payload_sha256"] = digest_objects(chosen)
    attrs["content_sha256"] = digest_objects({**entries_of(objects, attrs), **(outside or {})})
    return objects, attrs


def _names(entries: Mapping[str, Entry]) -> np.ndarray:
    return as_canonical(np.array([as_bytes(name) for name in sorted(entries)], dtype=np.bytes_))  # type: ignore[return-value]


def write_tree(
    path: PathLike,
    tree: Tree,
    *,
    payload: Payload,
    keep_lock: Lock | None = None,
    outside: Mapping[str, Digested] | None = None,
) -> str:
    """Write a tree atomically: the file is complete or stays what it was.

    The file is built in memory by HDF5 and written by ``os.pwrite``, read back and compared, synced and
    renamed. `/digests` and, where needed, `/payload` are added (see `data/FORMAT.md`).

    Parameters
    ----------
    path : path
        Target, in an existing folder.
    tree : Tree
        What to write. Attributes ``format_version``, ``payload_sha256`` and ``content_sha256`` of a tree
        that was read are replaced; everything else, known or not, is kept.
    payload : sequence of str, or mapping of str to ndarray or str
        What ``payload_sha256`` covers: names of objects (``"/ids/users"``) and root attributes
        (``"/@model"``) of the tree, or explicit values by name.
    keep_lock : Lock, optional
        A lock that the caller holds and that covers this target.
    outside : mapping of str to Digested, optional
        Values that objects of the tree stand for (see `seal`).

    Returns
    -------
    str
        ``payload_sha256``.

    Raises
    ------
    UsageError
        The folder does not exist, the target is not a regular file or one of another kind (see
        `check_target`), or another process writes it.
    EnvironmentProblem
        No space or no permission; the old file is intact.
    """
    check_target(path, tree.format)
    objects, attrs = seal(tree, payload, outside)
    image = image_of(objects, attrs)
    with replacing(path, keep_lock) as temporary:
        temporary.reserve(len(image))
        temporary.write(image, 0)
        temporary.check(image, 0)
        with opened(temporary.path) as file:
            check_format(read_attributes(file, path), path, tree.format)
    return str(attrs["payload_sha256"])


def check_target(path: PathLike, format: str) -> None:
    """Refuse a target that a file of `format` must not replace, or that is named as something else.

    Raises
    ------
    UsageError
        There is a file of another format, of another program, or a damaged one; it stays.
    """
    refuse_name(path, _noun(format))
    target = Path(path)
    if not os.path.isfile(target) or target.stat().st_size == 0:
        return
    found = format_of(path)
    if found != format:
        ours = found.startswith("ivbpr-")
        old = f"an ivbpr {_noun(found)} file" if ours else "what is no file of ivbpr, or a damaged one"
        raise refuse_other(path, old)


def format_of(path: PathLike) -> str:
    """The format that a file says it has, such as ``ivbpr-model``; empty where it can't be read as ours."""
    try:
        with opened(path) as file:
            return str(read_attributes(file, path).get("format", ""))
    except IvbprError:
        return ""


def _noun(format: str) -> str:
    return format.removeprefix("ivbpr-")


@dataclass
class Sealed:
    """A file as read, with its digests recomputed.

    Attributes
    ----------
    objects, attrs
        Everything in the file.
    changed : list of str
        Names of values (objects, ``PATH@attribute``) that differ from their digest, are missing, or, with
        a leading ``+``, were added since. Empty when ``content_sha256`` agrees.
    """

    objects: dict[str, Value]
    attrs: Attributes
    changed: list[str]


def check_format(attrs: Attributes, path: PathLike, expected: str | None) -> None:
    """Refuse a file of another kind or of a newer major version."""
    found = attrs.get("format")
    if not isinstance(found, str) or not found.startswith("ivbpr-"):
        raise DataError(
            f"'{path}' is an HDF5 file, but has no ivbpr format.", "Name a file that ivbpr wrote."
        )
    if expected is not None and found != expected:
        if found == "ivbpr-checkpoint":
            unfinished = DataError(
                f"'{path}' is the state of an unfinished fit, not an {expected} file.",
                f"Finish the fit with {parameter('resume', True, of='fit')}, and name its result.",
            )
            raise unreadable(path, unfinished)
        raise DataError(
            f"'{path}' is an {found} file; this needs an {expected} file.", "Name the other file."
        )
    version = str(attrs.get("format_version", ""))
    major = version.partition(".")[0]
    if not re.fullmatch("[0-9]{1,9}", major):
        raise DataError(f"'{path}' does not say its format version.", "Make the file again.")
    if int(major) > int(NEWEST_VERSION.partition(".")[0]):
        raise DataError(
            f"'{path}' has format version {version}; this program knows {NEWEST_VERSION}.",
            "Install a newer ivbpr.",
        )


def compare_digests(objects: dict[str, Value], attrs: Attributes, entries: Mapping[str, Entry]) -> list[str]:
    """Return what changed since the file was written (see `Sealed`)."""
    recorded_content = attrs.get("content_sha256")
    if digest_objects(entries) == recorded_content:
        return []
    table = [objects.get(path) for path in (VALUE_NAMES, VALUE_DIGESTS)]
    names, digests = [v.tolist() if isinstance(v, np.ndarray) and v.dtype.kind == "S" else [] for v in table]
    recorded = {as_text(name): as_text(digest) for name, digest in zip(names, digests)}
    recorded.update(dict.fromkeys((VALUE_NAMES, VALUE_DIGESTS), ""))
    changed = [f"+{name}" for name in entries if name not in recorded]
    for name, digest in recorded.items():
        if name not in entries or (digest and digest_objects({name: entries[name]}) != digest):
            changed.append(name)
    known = {name: value for name, value in entries.items() if name in recorded}
    if all(name.startswith("+") for name in changed) and digest_objects(known) != recorded_content:
        changed.append("/@content_sha256")  # every value agrees with the table: the sum or the table is wrong
    return sorted(changed)


def read_sealed(path: PathLike, expected: str | None = None) -> Sealed:
    """Read a whole file and recompute its content digest."""
    with opened(path) as file:
        # The version first: a newer major version may hold things that the rest does not understand.
        check_format(read_attributes(file, path), path, expected)
        objects, attrs = read_entries(file, path)
    return Sealed(objects, attrs, compare_digests(objects, attrs, entries_of(objects, attrs)))


def read_tree(path: PathLike, format: str) -> Tree:
    """Read a file written by `write_tree` and check it against its content digest.

    Parameters
    ----------
    path : path
        The file.
    format : str
        The format it must have, ``"ivbpr-model"`` for one.

    Returns
    -------
    Tree
        Unknown objects and attributes are kept, also such as were added to the file later.

    Raises
    ------
    UsageError
        The file does not exist.
    DataError
        Not HDF5, cut short, of another format or a newer major version, or changed since it was written.
    """
    sealed = read_sealed(path, format)
    refuse_changed(path, sealed.changed)
    objects = {name: value for name, value in sealed.objects.items() if not name.startswith(OURS)}
    attrs = {name: value for name, value in sealed.attrs.items() if name != "format"}
    return Tree(format, objects, attrs)


def refuse_changed(path: PathLike, changed: list[str]) -> None:
    """Raise DataError when values differ from their digests; additions are let pass."""
    wrong = [name for name in changed if not name.startswith("+")]
    if wrong:
        raise DataError(
            f"'{path}' changed since it was written: {first_of(wrong)}.",
            "Make the file again or restore a copy; `ivbpr verify` lists every difference.",
        )
