"""Inputs → interactions: ids become numbers block by block, bad lines are counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ivbpr_numba.datasets.pairs import Pairs
from ivbpr_numba.errors import DataError
from ivbpr_numba.readers.badlines import BadLines
from ivbpr_numba.readers.id_index import REASONS, IdIndex
from ivbpr_numba.readers.rows import Reader, Rows
from ivbpr_numba.readers.times import MISSING, parse_times, settle_times

__all__ = ["Progress", "read_pairs"]

Progress = Callable[[dict[str, Any]], None]


@dataclass
class _Columns:
    """Numbers of the interactions read so far, in blocks."""

    users: list[np.ndarray]
    items: list[np.ndarray]
    times: list[np.ndarray]


def read_pairs(
    readers: Sequence[Reader], strict: bool = False, progress: Progress | None = None
) -> tuple[Pairs, list[dict[str, Any]]]:
    """Read all inputs into one set of interactions.

    In memory stay 16 bytes an interaction and the distinct ids.

    Parameters
    ----------
    readers : sequence of Reader
    strict : bool
        A bad line is an error.
    progress : callable, optional
        Called with ``{"step"}`` when an input begins and with ``{"done", "total", "lines"}`` after each
        block: bytes on disk read and in all (None when a pipe is among the inputs), lines read.

    Returns
    -------
    pairs : Pairs
        With one row of the report per input.
    inputs : list of dict
        About each input: ``name bytes compression sha256 recognised kind why columns lines used
        milliseconds bad_lines``.

    Raises
    ------
    DataError
        An input has no usable line, or only some of the inputs have times.
    """
    users, items = IdIndex(), IdIndex()
    columns = _Columns([], [], [])
    inputs, notes = [], []
    sizes = [reader.stream.size for reader in readers]
    total = None if None in sizes else sum(size or 0 for size in sizes)
    lines_before = 0
    for reader in readers:
        bad = BadLines(reader.stream.name, strict, reader.unit)
        if progress is not None:
            progress({"step": f"reading {reader.stream.name}"})
        used, n_milli = 0, 0
        for rows in reader.read(bad):
            kept, milli = _take(rows, users, items, columns, bad, reader.compact_dates)
            used, n_milli = used + kept, n_milli + milli
            if progress is not None:
                done = sum(other.stream.done for other in readers)
                progress({"done": done, "total": total, "lines": lines_before + reader.stream.lines})
        if not used:
            raise DataError(
                f"'{reader.stream.path}' has no usable {reader.unit}"
                f"{': ' if bad.count else ''}{bad.summary()}.",
                "Check the format, the columns, or name it with --source.",
            )
        lines_before += reader.stream.lines
        inputs.append(_describe(reader, used, n_milli, bad))
        why = f"{reader.source} {reader.kind}: {reader.why}"
        notes.append((reader.stream.name, used, bad, why))
    _refuse_half_timed(readers)
    times = _joined(columns.times, np.int64) if columns.times else None
    pairs = Pairs(_joined(columns.users, np.int32), _joined(columns.items, np.int32), times, users, items)
    _note_inputs(pairs, notes)
    return pairs, inputs


def _take(
    rows: Rows, users: IdIndex, items: IdIndex, columns: _Columns, bad: BadLines, compact: bool
) -> tuple[int, int]:
    """Number the ids of one block and keep its good rows; how many, and how many times in milliseconds."""
    user_codes, item_codes = users.add(rows.users), items.add(rows.items)
    good = (user_codes >= 0) & (item_codes >= 0)
    n_milli = 0
    if rows.times is not None:
        numbers = parse_times(rows.times, compact)
        seconds, timely, n_milli = settle_times(numbers)
        good &= timely
        columns.times.append(seconds if good.all() else seconds[good])
    if not good.all():
        for k in np.flatnonzero(~good).tolist():
            if user_codes[k] < 0:
                reason = f"user id {REASONS[int(user_codes[k])]}"
            elif item_codes[k] < 0:
                reason = f"item id {REASONS[int(item_codes[k])]}"
            elif numbers[k] != MISSING:
                reason = "time before 1970 or after 2099"
            else:
                reason = "no time" if rows.times[k] in (None, "") else "time that can't be read"  # type: ignore[index]
            bad.add(int(rows.lines[k]), reason)
        user_codes, item_codes = user_codes[good], item_codes[good]
    columns.users.append(user_codes)
    columns.items.append(item_codes)
    return len(user_codes), n_milli


def _joined(blocks: list[np.ndarray], dtype: type) -> np.ndarray:
    """Concatenate and let go of each block at once, so that a column is not held twice."""
    out: np.ndarray = np.empty(sum(map(len, blocks)), dtype)
    end = len(out)
    while blocks:
        block = blocks.pop()
        out[end - len(block) : end] = block
        end -= len(block)
    return out


def _refuse_half_timed(readers: Sequence[Reader]) -> None:
    timed = [reader.stream.name for reader in readers if "time" in reader.columns]
    untimed = [reader.stream.name for reader in readers if "time" not in reader.columns]
    if timed and untimed:
        raise DataError(
            f"'{timed[0]}' has times and '{untimed[0]}' has none.",
            "Name its column with --time, or prepare them without times.",
        )


def _describe(reader: Reader, used: int, n_milli: int, bad: BadLines) -> dict[str, Any]:
    stream = reader.stream
    return {
        "name": stream.name,
        "bytes": stream.done,
        "compression": stream.codec,
        "sha256": stream.sha256,
        "recognised": reader.source,
        "kind": reader.kind,
        "why": reader.why,
        "columns": reader.columns,
        "lines": stream.lines,
        "used": used,
        "milliseconds": n_milli,
        "bad_lines": bad.rows(),
    }


def _note_inputs(pairs: Pairs, notes: list[tuple[str, int, BadLines, str]]) -> None:
    end = 0
    for name, used, bad, why in notes:
        end += used
        # Counts of everything read so far, as every row of the report gives what is there after its step.
        so_far = Pairs(
            pairs.users[:end], pairs.items[:end], None, pairs.user_ids, pairs.item_ids, pairs.report
        )
        so_far.note(f"read {name}", bad.count, "; ".join(filter(None, (why, bad.summary()))))
