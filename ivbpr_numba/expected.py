"""Arguments of the wrong kind: a sentence, and the right call.

A list of names may be given as one name alone, everywhere: ``settings="all"`` is ``settings=["all"]``.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Iterable, Sequence
from typing import Any

from ivbpr_numba.errors import UsageError, parameter

__all__ = ["dataset", "features", "model", "names", "several", "whole"]

LARGEST = 2**63 - 1


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
    raise UsageError(f"{who} takes a Dataset, not a {type(value).__name__}.", hint)


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
    raise UsageError(f"{who} takes Features, not a {type(value).__name__}.", hint)


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
    raise UsageError(f"{who} takes a model, not a {type(value).__name__}.", hint)
