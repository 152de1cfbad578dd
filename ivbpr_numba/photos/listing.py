"""Which item each image shows: by its name, or by a table; and what is left aside, counted."""

from __future__ import annotations

import posixpath
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ivbpr_numba.photos.kinds import ENDINGS, ending_of, image_format, is_never_photo, stem_of
from ivbpr_numba.photos.sources import Source
from ivbpr_numba.store.atomic import PathLike

__all__ = ["Found", "Picture", "listed_by_name", "listed_by_table"]

FIRST = 3  # names of each kind of other files


@dataclass(frozen=True)
class Picture:
    """One image.

    Attributes
    ----------
    item : str
        Id of the item it shows.
    name : str
        Its path within the folder or archive, with slashes.
    """

    item: str
    name: str


@dataclass
class Found:
    """What a place holds.

    Attributes
    ----------
    wanted : list of Picture
    missing, others, notes
        See `Pictures`.
    respelled : dict
        Ids that are not as the files' names have them, with what they have.
    """

    wanted: list[Picture] = field(default_factory=list)
    missing: list[tuple[Picture, str]] = field(default_factory=list)
    others: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    respelled: dict[str, str] = field(default_factory=dict)


def listed_by_name(place: Source) -> Found:
    """Every file that is an image by its ending, or else by its first bytes; its item is its name."""
    listing = place.listing()
    others = list(listing.others)
    named, unsure = [], []
    for name in listing.names:
        if name.lower().endswith(ENDINGS):
            named.append(name)
        elif is_never_photo(name):
            others.append((name, _kind(name)))
        else:
            unsure.append(name)
    for name, start in zip(unsure, place.starts(unsure)):
        if image_format(start) is None:
            others.append((name, _kind(name)))
        else:
            named.append(name)
    unreadable = []
    for name, reason in listing.bad:
        if name.endswith("/") or name.lower().endswith(ENDINGS):
            unreadable.append((name, reason))
        else:
            others.append((name, _kind(name)))
    found = Found(others=_counted(others))
    forms = _composed({stem_of(name) for name in (*named, *(name for name, _ in unreadable))}, found)
    found.wanted = [Picture(forms[stem_of(name)], name) for name in named]
    found.notes += _in_several_folders(found.wanted)
    found.missing = [(Picture(forms[stem_of(name)], name), reason) for name, reason in unreadable]
    return found


def _in_several_folders(pictures: Iterable[Picture]) -> list[str]:
    """A note where photos in different folders become one item: views of it, or other items by accident."""
    first: dict[str, Picture] = {}
    pairs: dict[str, tuple[str, str]] = {}
    for picture in pictures:
        one = first.setdefault(picture.item, picture)
        if posixpath.dirname(one.name) != posixpath.dirname(picture.name):
            pairs.setdefault(picture.item, (one.name, picture.name))
    if not pairs:
        return []
    item = min(pairs)
    return [
        f"{len(pairs):,} items have photos in several folders, '{item}' for one ({', '.join(pairs[item])}); "
        "an item is called as its file is, so they count as photos of one item. Where they show different "
        "items, a table can name the item of each file."
    ]


def _kind(name: str) -> str:
    return ending_of(name).lower() or "without an ending"


def _counted(others: Iterable[tuple[str, str]]) -> list[dict[str, Any]]:
    """Rows ``kind files first``, the most frequent kind first."""
    kinds: dict[str, list[str]] = {}
    for name, kind in others:
        kinds.setdefault(kind, []).append(name)
    rows = [
        {"kind": kind, "files": len(names), "first": sorted(names)[:FIRST]} for kind, names in kinds.items()
    ]
    return sorted(rows, key=lambda row: (-row["files"], row["kind"]))


def _composed(stems: Iterable[str], found: Found) -> dict[str, str]:
    """The id of each name: its composed form, unless two names would become one item."""
    forms = {stem: stem if stem.isascii() else unicodedata.normalize("NFC", stem) for stem in stems}
    count = Counter(forms.values())
    alike = sorted(stem for stem, form in forms.items() if count[form] > 1)
    if alike:
        found.notes.append(
            f"{len(alike):,} ids of images look like another one, '{alike[0]}' for one, and differ only in "
            "their Unicode form: they stay items of their own."
        )
        forms |= {stem: stem for stem in alike}
    found.respelled = {form: stem for stem, form in forms.items() if form != stem}
    if found.respelled:
        first = min(found.respelled)
        found.notes.append(
            f"{len(found.respelled):,} ids, '{first}' for one, are written with composed letters (NFC), as "
            "catalogues have them; the names of the files hold them in parts, as Macs write them."
        )
    return forms


def listed_by_table(place: Source, path: PathLike, id_column: str, file_column: str) -> Found:
    """The images that a table names."""
    from ivbpr_numba.readers.tables import read_table

    columns = [id_column] if id_column == file_column else [id_column, file_column]
    table = read_table(path, columns)
    wanted: dict[Picture, None] = {}
    found = Found()
    listing = place.listing()
    names = _Names(place, listing.names)
    for item, file in zip(table[id_column].tolist(), table[file_column].tolist()):
        name = posixpath.normpath(file) if file else ""
        if Picture(item, name) in wanted:
            continue
        if not item or "\0" in item:
            found.missing.append((Picture(item, name), "the table gives it no item id"))
        elif not file:
            found.missing.append((Picture(item, name), "the table names no file"))
        else:
            name = names.find(name)
            if name.startswith(("/", "../")) or name == "..":
                found.missing.append((Picture(item, file), "the path leads out of the folder or archive"))
            else:
                wanted[Picture(item, name)] = None
    found.wanted = list(wanted)
    found.notes = names.notes()
    used = {picture.name for picture in found.wanted}
    unused = [(name, "not in the table") for name in listing.names if name not in used]
    found.others = _counted(unused)
    return found


class _Names:
    """Paths of a table as a place spells them."""

    def __init__(self, place: Source, names: list[str]) -> None:
        self._place = place
        self._names = names
        self._forms: dict[str, list[str]] | None = None
        self._respelled: dict[str, str] = {}

    def find(self, name: str) -> str:
        """`name`, or the only one in the place that differs in nothing but slashes or Unicode form."""
        # Most names are ASCII with slashes: there is no other spelling of them.
        if (name.isascii() and "\\" not in name) or isinstance(self._place.size(name), int):
            return name
        if self._forms is None:
            self._forms = {}
            for own in self._names:
                self._forms.setdefault(_form(own), []).append(own)
        candidates = self._forms.get(posixpath.normpath(_form(name)), [])
        if len(candidates) != 1:
            return name
        self._respelled[name] = candidates[0]
        return candidates[0]

    def notes(self) -> list[str]:
        """What was found under another spelling."""
        if not self._respelled:
            return []
        return [
            f"{len(self._respelled):,} paths of the table, '{min(self._respelled)}' for one, are spelled "
            "otherwise in the folder or archive (slashes, or composed letters) and were found there."
        ]


def _form(name: str) -> str:
    return unicodedata.normalize("NFC", name.replace("\\", "/"))
