"""Images of items: which there are, in a folder, tar or zip, and their pixels."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ivbpr_numba.errors import DataError, UsageError, parameter
from ivbpr_numba.events import Observer
from ivbpr_numba.ids import Ids, encode_ids
from ivbpr_numba.photos.decoding import LARGEST_FILE, LARGEST_IMAGE, Decoded, decode
from ivbpr_numba.photos.kinds import ENDINGS
from ivbpr_numba.photos.listing import Found, Picture, listed_by_name, listed_by_table
from ivbpr_numba.photos.pipeline import in_order
from ivbpr_numba.photos.sources import Source, open_source
from ivbpr_numba.processes import cores
from ivbpr_numba.store.atomic import PathLike
from ivbpr_numba.wording import first_of

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = [
    "ENDINGS",
    "LARGEST_FILE",
    "LARGEST_IMAGE",
    "Decoded",
    "Picture",
    "Pictures",
    "Pixels",
    "decode",
    "load_pixels",
    "pixels_from",
    "pixels_of",
]


class Pictures:
    """The images of a folder or archive; made by `open`.

    Attributes
    ----------
    path : path
        Folder or archive.
    kind : str
        ``folder``, ``zip``, ``tar``, ``tar, gzip`` …
    pictures : list of Picture
        Sorted by the UTF-8 bytes of item id, then name.
    sizes : list of int
        Bytes of each.
    order : list of int
        Positions in `pictures` in the order in which they are read: as sorted, or, in a compressed tar, as
        they lie in the archive.
    missing : list of (Picture, str)
        What a table names, or a folder holds, and can't be read, with the reason.
    others : list of dict
        Files that are not taken for photos, as rows ``kind files first``: an ending, or what else they are;
        how many; the first names.
    notes : list of str
        What might surprise about names and ids, for people.
    """

    def __init__(
        self, path: PathLike, source: Source, listed: Found, found: list[tuple[Picture, int]]
    ) -> None:
        found = sorted(found, key=lambda entry: (entry[0].item.encode(), entry[0].name.encode()))
        self.path = path
        self.kind = source.kind
        self.pictures = [picture for picture, _ in found]
        self.sizes = [size for _, size in found]
        self.missing = listed.missing
        self.others = listed.others
        self.notes = [*source.notes, *listed.notes]
        self._respelled = listed.respelled
        self._source = source
        self.order = self._reading_order(range(len(found)))

    def __len__(self) -> int:
        return len(self.pictures)

    def __repr__(self) -> str:
        return f"Pictures({len(self):,} images, {self.kind})"

    def __enter__(self) -> Pictures:
        return self

    def __exit__(self, *problem: object) -> None:
        """Nothing is held open between two readings, unless `hold` asks for it."""

    @classmethod
    def open(
        cls,
        source: PathLike,
        items_table: PathLike | None = None,
        id_column: str | None = None,
        file_column: str | None = None,
    ) -> Pictures:
        """List the images of a folder (and its folders), tar (plain, gzip, bzip2, xz) or zip.

        Parameters
        ----------
        source : path
        items_table : path, optional
            A table (see `readers.tables.read_table`) that names the item of each image. Without it every
            file is one that ends, or begins, like an image, and its item is the name without folder and
            ending, in the composed form of Unicode (NFC), which catalogues have and Macs don't. Hidden files
            and links to folders are left out.
        id_column, file_column : str, optional
            Its columns of item ids and of paths within `source`.

        Raises
        ------
        UsageError
            `source` or the table does not exist; a table without both columns, or columns without a table.
        DataError
            No images, a damaged archive, or a table that can't be read.
        EnvironmentProblem
            `source` may not be read.
        """
        if items_table is None and (id_column is not None or file_column is not None):
            raise UsageError(
                f"{parameter('id_column')} and {parameter('file_column')} are columns of a table.",
                f"Name it with {parameter('items_table')}.",
            )
        if items_table is not None and (id_column is None or file_column is None):
            raise UsageError(
                f"{parameter('items_table')} needs the columns of ids and of files.",
                f"Add {parameter('id_column', 'COL')} {parameter('file_column', 'COL')}.",
            )
        place = open_source(source)
        if items_table is None:
            listed = listed_by_name(place)
        else:
            listed = listed_by_table(place, items_table, str(id_column), str(file_column))
        found = []
        for picture in listed.wanted:
            size = place.size(picture.name)
            if isinstance(size, int):
                found.append((picture, size))
            else:
                listed.missing.append((picture, size))
        if not found:
            raise _nothing(source, listed, items_table is not None)
        return cls(source, place, listed, found)

    def renamed(self, item_of: Callable[[str], str]) -> Pictures:
        """The same images under other ids: `item_of` takes the name of an image and gives its item."""
        found = [(Picture(item_of(one.name), one.name), size) for one, size in zip(self.pictures, self.sizes)]
        notes = [note for note in self.notes if note not in self._source.notes]
        listed = Found([picture for picture, _ in found], self.missing, self.others, notes)
        return Pictures(self.path, self._source, listed, found)

    def _reading_order(self, indices: Sequence[int]) -> list[int]:
        if not self._source.sequential:
            return list(indices)
        return sorted(indices, key=lambda index: self._source.position(self.pictures[index].name))

    def read(self, indices: Sequence[int]) -> Iterator[tuple[int, bytes | str]]:
        """Read files one after the other.

        Parameters
        ----------
        indices : sequence of int
            Positions in `pictures`.

        Yields
        ------
        (int, bytes or str)
            Position, and the content or the reason why it can't be read; in the order given, or, in a
            compressed tar, as they lie in the archive.

        Raises
        ------
        DataError
            The archive was damaged since it was listed.
        """
        order = self._reading_order(indices)
        with closing(self._source.read([self.pictures[index].name for index in order])) as contents:
            yield from zip(order, contents)

    def hold(self) -> None:
        """Keep an archive open from now on, a compressed tar unpacked, for many readings of few files.

        Raises
        ------
        DataError
            The archive was damaged since it was listed.
        EnvironmentProblem
            There is no room for temporary files.
        """
        self._source.hold()

    def rows_in(self, ids: Ids) -> np.ndarray:
        """Row of each image's item among `ids`, int64; −1 where it is none of them.

        An id that differs only in its Unicode form counts as the same, unless another one does as well.
        """
        rows = ids.find(encode_ids(self._respelled.get(one.item, one.item) for one in self.pictures))
        rows = np.where(rows < 0, ids.find(encode_ids(one.item for one in self.pictures)), rows)
        unknown = [k for k in np.flatnonzero(rows < 0).tolist() if not self.pictures[k].item.isascii()]
        if unknown:
            forms: dict[str, int] = {}
            for row, text in enumerate(ids.texts()):
                if not text.isascii():
                    form = unicodedata.normalize("NFC", text)
                    forms[form] = -1 if form in forms else row
            for k in unknown:
                rows[k] = forms.get(unicodedata.normalize("NFC", self.pictures[k].item), -1)
        return rows

    def digest(self) -> str:
        """SHA-256 over items, names and sizes in reading order."""
        total = hashlib.sha256()
        for index in self.order:
            picture = self.pictures[index]
            total.update(f"{picture.item}\0{picture.name}\0{self.sizes[index]}\n".encode())
        return total.hexdigest()


def _nothing(source: PathLike, listed: Found, by_table: bool) -> DataError:
    more = ""
    if listed.missing:
        picture, reason = listed.missing[0]
        more = f"; {len(listed.missing):,} can't be read, '{picture.name}' for one: {reason}"
    elif listed.others:
        held = first_of(f"{row['files']:,} {row['kind']}" for row in listed.others)
        more = f"; it holds {held}"
    hint = f"Files count that end in {', '.join(ENDINGS)}, or that begin as such images do."
    if by_table:
        hint = "Paths in the table are relative to the folder or archive."
    return DataError(f"There are no images in '{source}'{more}.", hint)


@dataclass(frozen=True)
class Pixels:
    """One image, scaled: its position, uint8 pixels (H, W, 3) or the reason for none, and a note."""

    index: int
    pixels: np.ndarray | None
    reason: str | None
    note: str | None


def pixels_of(
    pictures: Pictures,
    indices: Sequence[int],
    fit: Callable[[Image], Image],
    size: tuple[int, int],
    threads: int | None = None,
    ahead: int = 64,
) -> Generator[Pixels, None, None]:
    """Decode and scale images in threads; in the order of `Pictures.read`.

    Parameters
    ----------
    pictures : Pictures
    indices : sequence of int
        Positions in ``pictures.pictures``.
    fit : callable
        Scales an RGB image to `size`; called in several threads.
    size : (int, int)
        Height and width.
    threads : int, optional
        One a core where not given.
    ahead : int
        At most so many images are held.

    Yields
    ------
    Pixels
        Close the iterator where it isn't read to its end.
    """
    return pixels_from(pictures.read(indices), fit, size, threads or cores(), ahead)


def pixels_from(
    contents: Iterable[tuple[int, bytes | str]],
    fit: Callable[[Image], Image],
    size: tuple[int, int],
    threads: int,
    ahead: int,
) -> Generator[Pixels, None, None]:
    """`pixels_of` files whose contents are read already, as `Pictures.read` gives them."""
    return in_order(contents, partial(_fitted, fit=fit, size=size), threads, ahead)


def _fitted(read: tuple[int, bytes | str], fit: Callable[[Image], Image], size: tuple[int, int]) -> Pixels:
    index, data = read
    if isinstance(data, str):
        return Pixels(index, None, data, None)
    decoded = decode(data, size)
    if decoded.image is None:
        return Pixels(index, None, decoded.reason, None)
    pixels = np.asarray(fit(decoded.image), dtype=np.uint8)
    if pixels.shape != (*size, 3):
        raise RuntimeError(f"an image was scaled to {pixels.shape}, not {(*size, 3)}")
    return Pixels(index, pixels, None, decoded.note)


def load_pixels(
    pictures: Pictures,
    chosen: Sequence[int],
    fit: Callable[[Image], Image],
    size: tuple[int, int],
    threads: int | None = None,
    progress: Observer | None = None,
) -> tuple[np.ndarray, np.ndarray, list[dict[str, str]]]:
    """Hold the pixels of many images in memory, for training.

    Parameters
    ----------
    pictures : Pictures
    chosen : sequence of int
        n distinct positions in ``pictures.pictures``.
    fit, size, threads
        As in `pixels_of`.
    progress : callable, optional
        Called with ``{"done": images, "total": n}``.

    Returns
    -------
    pixels : ndarray of uint8, shape (n, H, W, 3)
        In the order of `chosen`; zeros where there is no image.
    ok : ndarray of bool, shape (n,)
    problems : list of dict
        ``image item reason`` of those that can't be used.
    """
    pixels = np.zeros((len(chosen), *size, 3), dtype=np.uint8)
    ok = np.zeros(len(chosen), dtype=bool)
    problems = []
    row_of = {int(index): row for row, index in enumerate(chosen)}
    with closing(pixels_of(pictures, [int(index) for index in chosen], fit, size, threads)) as stream:
        for done, entry in enumerate(stream, 1):
            row = row_of[entry.index]
            if entry.pixels is not None:
                pixels[row], ok[row] = entry.pixels, True
            else:
                picture = pictures.pictures[entry.index]
                problems.append({"image": picture.name, "item": picture.item, "reason": entry.reason or ""})
            if progress is not None and (done % 64 == 0 or done == len(chosen)):
                progress({"done": done, "total": len(chosen)})
    return pixels, ok, problems
