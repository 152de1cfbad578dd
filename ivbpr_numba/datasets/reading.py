"""Inputs → interactions, here or by a crew; what the inputs must have in common is checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ivbpr_numba.datasets.intake import Intake
from ivbpr_numba.datasets.pairs import Pairs
from ivbpr_numba.datasets.sharing import Shares
from ivbpr_numba.errors import DataError, parameter
from ivbpr_numba.events import Observer
from ivbpr_numba.readers.id_index import IdIndex
from ivbpr_numba.readers.rows import Reader

__all__ = ["read_pairs"]

IDS_A_BLOCK = 1 << 20  # ids compared at once


def read_pairs(
    readers: Sequence[Reader],
    strict: bool = False,
    progress: Observer | None = None,
    shares: Shares | None = None,
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
    shares : Shares, optional
        Of these readers: a crew that reads them. What comes out is the same.

    Returns
    -------
    pairs : Pairs
        With one row of the report per input.
    inputs : list of dict
        About each input: ``name bytes compression sha256 recognised kind why columns lines used
        milliseconds microseconds nanoseconds bad_lines``.

    Raises
    ------
    DataError
        An input has no usable line, dates that may be read both ways, or dates that disagree; only some of
        the inputs have times; only some write all ids of a kind with ``.0``; or two ids differ by blanks
        around them alone.
    """
    users, items = IdIndex(), IdIndex()
    intakes: list[Intake] = []
    sizes = [reader.stream.size for reader in readers]
    total = None if None in sizes else sum(size or 0 for size in sizes)

    def tell() -> None:
        if progress is not None:
            done, lines = sum(one.bytes for one in intakes), sum(one.lines for one in intakes)
            progress({"done": done, "total": total, "lines": lines})

    for number, reader in enumerate(readers):
        if progress is not None:
            progress({"step": f"reading {reader.stream.name}"})
        intakes.append(Intake(reader, users, items, strict))
        if shares is None or not shares.into(number, intakes[-1], tell):
            intakes[-1] = Intake(reader, users, items, strict)
            for rows in reader.read(intakes[-1].bad):
                intakes[-1].take(rows)
                tell()
            intakes[-1].end()
        intakes[-1].finish()
    _refuse_half_timed(readers)
    _refuse_half_float(intakes)
    for what, ids in (("user", users), ("item", items)):
        _refuse_half_blank(what, ids)
    blocks: list[list[np.ndarray]] = [[], [], []]
    for intake in intakes:
        for column, own in zip(blocks, (intake.users, intake.items, intake.times)):
            column += own
            own.clear()
    times = _joined(blocks[2], np.int64) if blocks[2] else None
    pairs = Pairs(_joined(blocks[0], np.int32), _joined(blocks[1], np.int32), times, users, items)
    _note_inputs(pairs, intakes)
    return pairs, [intake.about() for intake in intakes]


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
            f"Name its column with {parameter('time')}, or prepare them without times.",
        )


def _refuse_half_float(intakes: Sequence[Intake]) -> None:
    """One input that writes 17.0 where another writes 17 would make two of each user or item."""
    for number, what in enumerate(("user", "item")):
        roles = [(intake.reader.stream.name, intake.roles[number]) for intake in intakes]
        floats = [entry for entry in roles if entry[1].all_float_text]
        others = [(name, role) for name, role in roles if role.example.isascii() and role.example.isdecimal()]
        if floats and others:
            raise DataError(
                f"The {what} ids of '{floats[0][0]}' all end in '.0' ('{floats[0][1].example}'), those of "
                f"'{others[0][0]}' don't ('{others[0][1].example}'): they would be different {what}s.",
                f"Write whole numbers into '{floats[0][0]}'; in pandas: astype('Int64') before to_csv.",
            )


def _refuse_half_blank(what: str, ids: IdIndex) -> None:
    """A blank after some of the commas would make two of a user or item."""
    for start in range(0, len(ids), IDS_A_BLOCK):
        written = ids.take(np.arange(start, min(start + IDS_A_BLOCK, len(ids))))
        bare = np.strings.strip(written)
        blank = np.flatnonzero(bare != written)
        twins = blank[ids.find_bytes(bare[blank]) >= 0]
        if len(twins):
            one, other = (values[twins[0]].decode() for values in (written, bare))
            raise DataError(
                f"The {what} ids {one!r} and {other!r} differ by blanks alone: they would be two {what}s.",
                "Take the blanks around ids, as after commas, out of the input.",
            )


def _note_inputs(pairs: Pairs, intakes: Sequence[Intake]) -> None:
    end = 0
    for intake in intakes:
        end += intake.used
        # Counts of everything read so far, as every row of the report gives what is there after its step.
        so_far = Pairs(
            pairs.users[:end], pairs.items[:end], None, pairs.user_ids, pairs.item_ids, pairs.report
        )
        bad = intake.bad
        why = "; ".join(filter(None, (intake.why, bad.summary())))
        so_far.note(f"read {intake.reader.stream.name}", bad.count, why)
