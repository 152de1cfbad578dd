"""The journal of an unfinished search, beside its target: one JSON line for every rung that a trial ended."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ivbpr_numba.errors import DataError, UsageError, parameter
from ivbpr_numba.events import JsonLines
from ivbpr_numba.store.atomic import PathLike, os_problem
from ivbpr_numba.store.digest import canonical_json

__all__ = ["Journal", "journal_path"]

Key = tuple[int, int]  # number of the trial, rung


def journal_path(out: PathLike) -> Path:
    """Where an unfinished search for `out` keeps what it knows: ``t.h5`` → ``t.partial.jsonl``."""
    target = Path(out)
    return target.with_name(f"{target.stem}.partial.jsonl")


class Journal:
    """Results by trial and rung, each written down as soon as it is known.

    Parameters
    ----------
    out : path or None
        The target; None keeps everything in memory.
    identity : mapping
        What a search that goes on must have in common.
    resume : bool
        Take over what is in the file.

    Raises
    ------
    UsageError
        The file belongs to another search.
    DataError
        It can't be read.
    """

    def __init__(self, out: PathLike | None, identity: Mapping[str, Any], resume: bool) -> None:
        self.path = None if out is None else journal_path(out)
        self.known: dict[Key, dict[str, Any]] = {}
        self.elapsed = 0.0
        self._lines: JsonLines | None = None
        if self.path is None:
            return
        there = resume and self.path.exists()
        if there and not self._read(identity):  # cut off before the first line was whole
            self.remove()
            there = False
        self._lines = JsonLines(self.path, append=there)
        if not there:
            self._lines.write({"event": "tuning", "identity": canonical_json(identity)})

    def add(self, key: Key, result: Mapping[str, Any], elapsed: float) -> None:
        """Write a result down; `elapsed` are the seconds of the whole search so far."""
        self.known[key] = dict(result)
        if self._lines is not None:
            number, rung = key
            self._lines.write({"number": number, "rung": rung, "elapsed": elapsed, "result": result})

    def close(self) -> None:
        """Sync and close."""
        if self._lines is not None:
            self._lines.close()
            self._lines = None

    def remove(self) -> None:
        """Remove the file."""
        self.close()
        if self.path is not None:
            try:
                self.path.unlink(missing_ok=True)
            except OSError as problem:
                raise os_problem(problem, self.path, "remove") from problem

    def _read(self, identity: Mapping[str, Any]) -> bool:
        """Take over the whole lines; False where not even the first was finished."""
        assert self.path is not None
        try:
            text = self.path.read_bytes()
        except OSError as problem:
            raise os_problem(problem, self.path, "read") from problem
        lines = text.split(b"\n")[:-1]  # behind the last end of a line is nothing, or one that was cut off
        if not lines:
            return False
        try:
            found = json.loads(lines[0])["identity"]
            known = [json.loads(line) for line in lines[1:]]
            for row in known:
                self.known[row["number"], row["rung"]] = row["result"]
                self.elapsed = float(row["elapsed"])
            before, own = json.loads(found), json.loads(canonical_json(identity))
            different = sorted(key for key in {*before, *own} if before.get(key) != own.get(key))
        except (ValueError, KeyError, TypeError, AttributeError) as problem:
            raise DataError(
                f"The journal '{self.path}' can't be read ({problem}).",
                f"Start anew with {parameter('overwrite', True)}.",
            ) from problem
        if different:
            raise UsageError(
                f"'{self.path}' belongs to another search; different: "
                f"{', '.join(name.replace('_', ' ') for name in different)}.",
                f"Repeat the first command with {parameter('resume', True)}, or start anew with "
                f"{parameter('overwrite', True)}.",
            )
        return True
