"""Lists of labelled images as DeepFashion and CelebA have them, recognised by content.

The first line counts the rows, the second one names the columns, and each further one holds a path and, for
every attribute, 1 (has it), −1 (has not) or 0 (nobody knows), or the number of one category::

    2                                       2
    image_name  attribute_labels            image_name  category_label
    img/Floral_Dress/img_00000001.jpg 1 -1  img/Floral_Dress/img_00000001.jpg  41
    img/Denim_Jacket/img_00000002.jpg 0 1   img/Denim_Jacket/img_00000002.jpg  14

Where the second line does not name the attributes themselves, a list of the same form beside the file does:
``list_attr_cloth.txt`` or ``list_category_cloth.txt``, rows of a name and the number of its type.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ivbpr_numba.errors import DataError
from ivbpr_numba.readers.badlines import BadLines
from ivbpr_numba.readers.delimited import decode_lines
from ivbpr_numba.readers.streams import ByteStream, line_blocks
from ivbpr_numba.store.atomic import PathLike

__all__ = ["ImageGroup", "ImageList", "is_image_list", "read_image_list"]

ATTRIBUTES, CATEGORIES = "list_attr_cloth.txt", "list_category_cloth.txt"
# What the types of DeepFashion's attributes are; lists with further types have others.
TYPES = {"1": "texture", "2": "fabric", "3": "shape", "4": "part", "5": "style"}
_CODE = {"-1": 0, "0": 0xFF, "1": 1}  # as bytes of int8
_ENDINGS = (".gz", ".zst")


class ImageGroup(NamedTuple):
    """Attributes that belong together.

    Attributes
    ----------
    name : str
    exclusive : bool
        An image has one of the values.
    values : tuple of str
    labels : ndarray
        Exclusive: int32 (n,), the number of the value. Else int8 (n, C): 1 has, 0 has not, −1 unknown.
    """

    name: str
    exclusive: bool
    values: tuple[str, ...]
    labels: np.ndarray


@dataclass(frozen=True)
class ImageList:
    """A list as it was read: the n paths in its order, and the groups of their labels."""

    paths: list[str]
    groups: list[ImageGroup]


def is_image_list(head: bytes) -> bool:
    """Whether the first lines of a file are a count, names, and a row that ends in a whole number."""
    lines = head[: 1 << 16].decode("utf-8", "replace").splitlines()
    if len(lines) < 3 or not re.fullmatch("[0-9]+", lines[0].strip()) or len(lines[1].split()) < 2:
        return False
    row = lines[2].split()
    return len(row) > 1 and re.fullmatch("-?[0-9]+", row[1]) is not None


def read_image_list(path: PathLike) -> ImageList:
    """Read a list, plain or packed.

    Parameters
    ----------
    path : path
        A file for which `is_image_list` holds.

    Returns
    -------
    ImageList
        Attributes by their type (``texture fabric shape part style``, or ``type N``), one group
        ``attributes`` where they have none; categories as one exclusive group ``category``.

    Raises
    ------
    UsageError
        No such file.
    DataError
        It is damaged, names or rows are missing, a value is none, or an image is listed twice.
    """
    rows = _Rows(path)
    try:
        header, width = rows.header, rows.width
        if width < 1:
            raise DataError(f"'{path}' has no row with labels.", "Check how it was made.")
        paths: list[str] = []
        if width == 1 and header[-1] == "category_label":
            numbers = [_category(path, line, paths, row) for line, row in rows]
            _check_paths(path, paths)
            return ImageList(paths, [_categories(path, np.array(numbers, dtype=np.int32))])
        # In a file of hundreds of millions of marks each must cost little: they are kept as bytes.
        marks = bytearray()
        for line, row in rows:
            marks += _marks(path, line, paths, row, width)
    finally:
        rows.close()
    _check_paths(path, paths)
    labels = np.frombuffer(marks, dtype=np.uint8).reshape(len(paths), width).view(np.int8)
    named = header if len(header) == width else header[1:]
    if len(named) == width and not (width == 1 and named[0] == "attribute_labels"):
        names, types = named, [""] * width
    else:
        names, types = _kin(path, ATTRIBUTES, width)
    _check_names(path, names)
    return ImageList(paths, list(_by_type(names, types, labels)))


class _Rows:
    """Lines of a list after its header: numbers from 1 and their fields, none of them empty."""

    def __init__(self, path: PathLike) -> None:
        self.path = path
        self._stream = ByteStream(path)
        self._lines = self._read()
        try:
            first = next(self._lines, (1, ""))[1].strip()
            if not re.fullmatch("[0-9]+", first):
                raise DataError(
                    f"'{path}', line 1: '{first[:40]}' is no number of rows.",
                    "Lists of this form begin with one.",
                )
            self.count = int(first)
            self.header = next(self._lines, (2, ""))[1].split()
            self._first = next(self._lines, None)
        except BaseException:
            self.close()
            raise
        self.width = 0 if self._first is None else len(self._first[1].split()) - 1

    def close(self) -> None:
        self._stream.close()

    def _read(self) -> Iterator[tuple[int, str]]:
        too_long: list[int] = []
        bad = BadLines(os.fspath(self.path))
        for first, block in line_blocks(self._stream, too_long):
            for line, text in enumerate(decode_lines(first, block, bad).split("\n"), start=first):
                if text.strip():
                    yield line, text
            if bad.count or too_long:
                said = bad.summary() or f"line {too_long[0]} is too long"
                raise DataError(f"'{self.path}': {said}.", "Check how it was made.")

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        found = 0
        while self._first is not None:
            line, text = self._first
            yield line, text.split()
            found += 1
            self._first = next(self._lines, None)
        if found != self.count:
            raise DataError(f"'{self.path}' announces {self.count:,} rows and has {found:,}.", "Is it whole?")


def _marks(path: PathLike, line: int, paths: list[str], row: list[str], width: int) -> bytes:
    """What is known of one image, a byte an attribute."""
    if len(row) != width + 1:
        raise DataError(
            f"'{path}', line {line}: {len(row) - 1:,} labels where the first row has {width:,}.",
            "Names of images must hold no blanks.",
        )
    paths.append(row[0])
    try:
        return bytes([_CODE[mark] for mark in row[1:]])
    except KeyError as problem:
        raise DataError(
            f"'{path}', line {line}: {problem} is no label.", "Attributes are 1, -1 or 0 (unknown)."
        ) from None


def _category(path: PathLike, line: int, paths: list[str], row: list[str]) -> int:
    if len(row) != 2 or not re.fullmatch(r"[1-9]\d{0,8}", row[1]):
        raise DataError(
            f"'{path}', line {line}: no image and the number of its category.",
            "Names of images must hold no blanks; categories count from 1.",
        )
    paths.append(row[0])
    return int(row[1]) - 1


def _check_paths(path: PathLike, paths: list[str]) -> None:
    seen: set[str] = set()
    for name in paths:
        if name in seen:
            raise DataError(f"'{path}' lists '{name}' twice.", "Keep one row an image.")
        seen.add(name)


def _check_names(path: PathLike, names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise DataError(f"The attributes of '{path}' have the name '{name}' twice.", "Rename one.")


def _categories(path: PathLike, numbers: np.ndarray) -> ImageGroup:
    names, _ = _kin(path, CATEGORIES, None)
    _check_names(path, names)
    if numbers.max() >= len(names):
        raise DataError(
            f"'{path}' has a category {numbers.max() + 1:,}, and '{CATEGORIES}' names {len(names):,}.",
            "Put the two files of one release together.",
        )
    return ImageGroup("category", True, tuple(names), numbers)


def _by_type(names: list[str], types: list[str], labels: np.ndarray) -> Iterator[ImageGroup]:
    known = set(types) <= set(TYPES)
    for kind in sorted(set(types), key=lambda one: (len(one), one)):
        columns = [k for k, own in enumerate(types) if own == kind]
        name = "attributes" if not kind else TYPES[kind] if known else f"type {kind}"
        yield ImageGroup(name, False, tuple(names[k] for k in columns), labels[:, columns])


def _kin(path: PathLike, name: str, width: int | None) -> tuple[list[str], list[str]]:
    """Names and types from the list beside the file; `width` names where that is known."""
    folder = Path(path).parent
    found = next((one for end in ("", *_ENDINGS) if (one := folder / (name + end)).is_file()), None)
    if found is None:
        raise DataError(
            f"'{path}' does not name its labels, and there is no '{name}' beside it.",
            "Put that file of the same release into its folder.",
        )
    rows = _Rows(found)
    try:
        # Names hold blanks, and the last field is the type, where the header announces one.
        typed = len(rows.header) > 1
        split = [(" ".join(row[:-1]), row[-1]) if typed else (" ".join(row), "") for _, row in rows]
    finally:
        rows.close()
    if width is not None and len(split) != width:
        raise DataError(
            f"'{found}' names {len(split):,} attributes, and '{path}' has {width:,}.",
            "Put the two files of one release together.",
        )
    if not all(text for text, _ in split):
        raise DataError(f"'{found}': a row has no name.", "Check how it was made.")
    return [text for text, _ in split], [kind for _, kind in split]
