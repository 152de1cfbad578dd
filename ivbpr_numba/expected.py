"""Arguments of the wrong kind: a sentence, and the right call.

A list of names may be given as one name alone, everywhere: ``settings="all"`` is ``settings=["all"]``.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ivbpr_numba.errors import UsageError, parameter, shown

__all__ = [
    "dataset",
    "features",
    "frame",
    "kind_of",
    "label",
    "model",
    "names",
    "ordered",
    "path",
    "paths",
    "several",
    "text",
    "values_by_column",
    "whole",
]

LARGEST = 2**63 - 1


def kind_of(value: Any) -> str:
    """What was given instead, as a message says it: ``an int``, ``a DataFrame``, ``Features``, ``None``."""
    name = type(value).__name__
    if value is None or name == "Features":
        return "None" if value is None else name
    return f"{'an' if name[:1] in 'aeioAEIO' or name == 'ndarray' else 'a'} {name}"


def path(value: Any, what: str = "") -> None:
    """Refuse what can't be the name of a file; `what` is the parameter, mentioned, where it is known.

    Raises
    ------
    UsageError
        Neither text nor a path: numbers would be taken for open files; or text with NUL, or none.
    """
    if not isinstance(value, str | os.PathLike):
        given = what or shown(value)
        raise UsageError(f"{given} is no path.", "Give the name of a file, as text or as a Path.")
    if "\0" in os.fsdecode(value):
        raise UsageError(f"The path {shown(value)} contains NUL.", "Give the name of a file without it.")


def paths(name: str, value: Any) -> list[str | os.PathLike[str]]:
    """A list of paths; one path alone is a list of one.

    Raises
    ------
    UsageError
        It is neither, or something in it is no path.
    """
    listed: list[Any]
    if isinstance(value, str | os.PathLike) or not isinstance(value, Iterable) or hasattr(value, "columns"):
        listed = [value]
    else:
        listed = list(value)
    for one in listed:
        path(one, parameter(name, value))
    return listed


def text(name: str, value: Any) -> None:
    """Refuse what is no text.

    Raises
    ------
    UsageError
    """
    if not isinstance(value, str):
        raise UsageError(f"{parameter(name, value)}: it must be text.", "Give a name in quotes.")


def ordered(what: str, value: Any) -> None:
    """Refuse a set where the first belongs to the first row: its order is chance.

    Raises
    ------
    UsageError
    """
    if isinstance(value, set | frozenset):
        raise UsageError(
            f"{what} were given as a {type(value).__name__}, which has no order.",
            "Give a list, in the order of the rows.",
        )


def frame(value: Any, who: str, hint: str) -> None:
    """Refuse what is no data frame; `who` wants one.

    Raises
    ------
    UsageError
    """
    if not hasattr(value, "columns"):
        raise UsageError(f"{who} takes a data frame, not {kind_of(value)}.", hint)


def label(name: str, value: Any) -> None:
    """Refuse what can't be the name of a column, such as the column itself.

    Raises
    ------
    UsageError
    """
    try:
        hash(value)
    except TypeError:
        raise UsageError(
            f"{parameter(name, value)}: it can't be the name of a column.", "Give its name, not the column."
        ) from None


def values_by_column(name: str, value: Any) -> dict[str, list[str]]:
    """Wanted values by column, ``{"colour": ["red", "blue"]}``; one value alone is a list of one.

    Raises
    ------
    UsageError
        No mapping, or values that are neither text nor lists of text.
    """
    if value is None:
        return {}
    example = 'Give the values of each column, as text: {"colour": ["red", "blue"]}.'
    if not isinstance(value, Mapping):
        raise UsageError(f"{parameter(name, value)}: it is no mapping of columns to values.", example)
    found = {}
    for column, wanted in value.items():
        listed = [wanted] if isinstance(wanted, str) else wanted
        listed = list(listed) if isinstance(listed, Iterable) and not isinstance(listed, bytes) else [listed]
        for one in listed:
            if not isinstance(one, str):
                raise UsageError(f"{parameter(name, value)}: {shown(one)} is no text.", example)
        found[str(column)] = listed
    return found


def whole(name: str, value: Any, least: int, most: int = LARGEST) -> int:
    """A whole number from `least` to `most`.

    Raises
    ------
    UsageError
        It is none, or lies outside; text and 1.5 are none.
    """
    try:
        found = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        found = None
    if found is None or not least <= found <= most:
        wanted = f"at least {least}" if most >= LARGEST else f"from {least} to {most}"
        raise UsageError(f"{parameter(name, value)}: it must be a whole number.", f"Give one, {wanted}.")
    return found


def names(name: str, value: Any) -> list[str]:
    """A list of names; one name alone is a list of one.

    Raises
    ------
    UsageError
        It is neither.
    """
    if isinstance(value, str):
        return [value]
    if not isinstance(value, Iterable) or isinstance(value, bytes):
        raise UsageError(
            f"{parameter(name, value)}: it is neither a name nor a list of names.", "Give a list."
        )
    return list(value)


def several(what: str, value: Any) -> Sequence[Any]:
    """A list of ids, not one id.

    Raises
    ------
    UsageError
    """
    ordered(f"The ids of {what}", value)
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise UsageError(f"{what} takes a list of ids, not one id.", f"Put it in brackets: [{value!r:.60}].")
    return value if isinstance(value, Sequence) else list(value)


def dataset(value: Any, who: str) -> None:
    """Refuse what is not a `Dataset`; `who` wants one.

    Raises
    ------
    UsageError
    """
    if hasattr(value, "train_counts"):
        return
    if isinstance(value, str | os.PathLike):
        hint = "Read the file first: Dataset.read(path)."
    elif hasattr(value, "rows_of_all"):
        hint = "The data come first, then the features: fit(data, features)."
    elif hasattr(value, "columns"):
        hint = "Make one: Dataset.from_frame(frame, user=…, item=…, time=…)."
    elif hasattr(value, "shape"):
        hint = "Make one: Dataset.from_matrix(matrix, users=…, items=…)."
    else:
        hint = "Make one with Dataset.from_frame, Dataset.from_matrix or Dataset.from_pairs."
    raise UsageError(f"{who} takes a Dataset, not {kind_of(value)}.", hint)


def features(value: Any, who: str) -> None:
    """Refuse what is neither `Features` nor None; `who` wants them.

    Raises
    ------
    UsageError
    """
    if value is None or hasattr(value, "rows_of_all"):
        return
    if isinstance(value, str | os.PathLike):
        hint = "Read the file first: Features.read(path)."
    elif hasattr(value, "columns"):
        hint = "Make them: Features.from_frame(frame, id=…, columns=[…]), of numbers Features.from_matrix."
    elif hasattr(value, "shape"):
        hint = "Make them: Features.from_matrix(matrix, ids=…)."
    else:
        hint = "Make them with Features.from_frame or Features.from_matrix."
    raise UsageError(f"{who} takes Features, not {kind_of(value)}.", hint)


def model(value: Any, who: str) -> None:
    """Refuse what is no model of this package; `who` wants one.

    Raises
    ------
    UsageError
    """
    if hasattr(type(value), "views"):
        return
    is_path = isinstance(value, str | os.PathLike)
    hint = "Load the file first: load(path)." if is_path else "Make one with create, or load a model file."
    raise UsageError(f"{who} takes a model, not {kind_of(value)}.", hint)
