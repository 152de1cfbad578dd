"""What one cell of a table of items says: one value, several, or something that is neither.

Lists come as lists (JSON lines, Parquet, data frames) or as their text (CSV files that a program wrote). The
text of a list is never a value: it is read where it is plain, and refused where it is not.
"""

from __future__ import annotations

import ast
import re
import warnings
from typing import Any

import numpy as np
import orjson

from ivbpr_numba import ids

__all__ = ["Parts", "id_text", "key_of", "list_in_text", "looks_written", "parts_in"]

Parts = tuple[str, ...]

_TEXT = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
_ITEM = rf"(?:{_TEXT}|[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|None|null|nan|NaN)"
_LIST = re.compile(rf"\s*(?:{_ITEM}(?:\s*,\s*{_ITEM})*\s*,?\s*)?", re.DOTALL)
_ITEMS = re.compile(_ITEM, re.DOTALL)
_MISSING = ("None", "null", "nan", "NaN")
_OPENED = re.compile(r"""\[\s*['"]""")
_CLOSING = {"[": "]", "(": ")", "{": "}"}


def key_of(value: Any) -> str | Parts:
    """One cell as text (empty where nothing is there) or, of a list, as the texts of its values.

    Raises
    ------
    ValueError
        It is neither, with the words for what it is.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, (list, tuple, set, frozenset, np.ndarray)):
        return _parts(value)
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, dict):
        raise ValueError("an object")
    if isinstance(value, bytes):
        raise ValueError("bytes")
    return "" if _is_missing(value) else str(value)


def _parts(values: Any) -> Parts:
    """The texts of a list's values; missing ones are left out, a set has an order."""
    if isinstance(values, np.ndarray) and values.ndim != 1:
        raise ValueError(f"an array of {values.ndim} dimensions")
    found = []
    for value in values.tolist() if isinstance(values, np.ndarray) else values:
        if isinstance(value, str):
            found.append(value)
        elif isinstance(value, (bool, bytes, dict, list, tuple, set, frozenset, np.ndarray)):
            raise ValueError("a list of what is neither text nor a number")
        elif not _is_missing(value):
            found.append(str(value))
    return tuple(sorted(found) if isinstance(values, (set, frozenset)) else found)


def _is_missing(value: Any) -> bool:
    if value is None or isinstance(value, (int, float)):
        return value is None or value != value
    import pandas as pd  # of data frames: NA and NaT

    return bool(pd.isna(value))


def parts_in(key: str | Parts, separator: str) -> tuple[Parts, bool]:
    """The values of a cell of tags, and whether they stood there as the text of a list.

    Raises
    ------
    ValueError
        The cell looks like a list, but can't be read as one.
    """
    if not isinstance(key, str):
        return key, False
    listed = list_in_text(key)
    return (tuple(key.split(separator)), False) if listed is None else (listed, True)


def list_in_text(text: str) -> Parts | None:
    """The values of a list whose text this is, as JSON or Python write it; None where it is no list.

    Text in square brackets is a list; in other brackets only where quotes follow.

    Raises
    ------
    ValueError
        It is the text of a list or object, but not of texts and numbers alone, or not whole.
    """
    text = text.strip()
    if len(text) < 2 or _CLOSING.get(text[0]) != text[-1]:
        if _OPENED.match(text):
            raise ValueError("the text of a list that is cut off")
        return None
    inner = text[1:-1]
    if text[0] != "[" and not inner.lstrip().startswith(("'", '"')):
        return None
    if not _LIST.fullmatch(inner):
        raise ValueError("the text of a structure that is no plain list of texts and numbers")
    return tuple(_value(item) for item in _ITEMS.findall(inner) if item not in _MISSING)


def looks_written(text: str) -> bool:
    """Whether text in brackets begins as a program writes a list of texts, or an object."""
    return re.match(r"""\s*(?:\[\s*['"\[{(]|\{)""", text) is not None


def _value(item: str) -> str:
    if item[0] not in "'\"":
        return item
    if "\\" not in item:
        return item[1:-1]
    try:
        return str(orjson.loads(item))
    except orjson.JSONDecodeError:
        pass  # escapes as Python writes them
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd escapes
            value = str(ast.literal_eval(item.replace("\n", "\\n")))
        value.encode()
    except (ValueError, SyntaxError) as problem:
        raise ValueError("the text of a list with broken escapes") from problem
    return value


def id_text(value: Any) -> str:
    """An id as text (see `ids.id_text`), empty where there is none.

    Raises
    ------
    ValueError
        It is neither text nor a whole number.
    """
    try:
        text = ids.id_text(value) or ""
        text.encode()
    except TypeError as problem:
        raise ValueError(f"{str(value)[:40]}, which is {problem}") from None
    except UnicodeEncodeError:
        raise ValueError(f"{value!r}, which is no valid text") from None
    except ValueError:
        raise ValueError("a number of thousands of digits") from None
    return text
