"""Which reader an input needs: told by its content, or by the user and checked against the content."""

from __future__ import annotations

from ivbpr_numba.errors import DataError, UsageError, did_you_mean, parameter
from ivbpr_numba.readers.amazon import ratings, reviews
from ivbpr_numba.readers.columns import purchases
from ivbpr_numba.readers.jsonl import looks_like_json
from ivbpr_numba.readers.rows import SOURCES, Reader
from ivbpr_numba.readers.simple import simple
from ivbpr_numba.readers.streams import ByteStream
from ivbpr_numba.readers.tables import open_table
from ivbpr_numba.store.atomic import PathLike

__all__ = ["check_source", "recognise"]


def check_source(source: str | None, *columns: str | None) -> None:
    """Refuse an unknown source, and column names for a source that has its own.

    Raises
    ------
    UsageError
    """
    if source is not None and source not in SOURCES:
        hint = did_you_mean(source, SOURCES) or f"Known are {', '.join(SOURCES)}."
        raise UsageError(f"Unknown source '{source}'.", hint)
    if source not in (None, "table") and any(columns):
        raise UsageError(
            f"The source {source} has its own columns.", f"Leave out {parameter('source')} or the columns."
        )


def recognise(
    path: PathLike,
    source: str | None = None,
    user: str | None = None,
    item: str | None = None,
    time: str | None = None,
    time_format: str | None = None,
) -> Reader:
    """Open an input and choose its reader.

    Parameters
    ----------
    path : path
    source : str, optional
        One of `SOURCES`; otherwise the content decides.
    user, item, time : str, optional
        Columns; a file whose columns are named is a table.
    time_format : str, optional
        Form of a table's times, as in `datetime.strptime`.

    Raises
    ------
    UsageError
        No such file, unknown source.
    DataError
        Empty, of no known format, without the columns, or not what `source` says.
    """
    check_source(source, user, item, time, time_format)
    stream = ByteStream(path)
    try:
        return _choose(stream, source, user, item, time, time_format)
    except BaseException:
        stream.close()
        raise


def _choose(
    stream: ByteStream,
    source: str | None,
    user: str | None,
    item: str | None,
    time: str | None,
    time_format: str | None,
) -> Reader:
    if not stream.head.strip():
        raise DataError(f"'{stream.path}' is empty.", "Check how it was made.")
    found = None
    if source != "table" and not (user or item or time or time_format):
        json = looks_like_json(stream.head)
        wanted = None if source == "simple" else source
        if source == "simple" or (source is None and not json):
            found = simple(stream)
        if found is None and source != "simple":
            found = reviews(stream, wanted) if json else ratings(stream, wanted)
    if found is None and source in (None, "table"):
        found = purchases(open_table(stream), user, item, time, time_format)
    if found is None:
        raise DataError(
            f"'{stream.path}' is not {source}: its first lines look different.",
            f"Leave out {parameter('source')} to have it recognised, or use {parameter('source', 'table')} "
            f"with {parameter('user')} and {parameter('item')}.",
        )
    if source is not None and found.source == source:
        found.why = f"the source {source} was named; {found.why}"
    return found
