"""``ivbpr verify``: is every digest of a file still right?

Of several files the document is ``{"files": […]}``, for each what it is for one; of an unreadable one
``file ok error``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from ivbpr_cli.commands.options import argument
from ivbpr_cli.output import Answer, Screen, Table, facts
from ivbpr_cli.paths import input_file
from ivbpr_numba.errors import CheckFailed, IvbprError

if TYPE_CHECKING:
    from ivbpr_numba.store.verify import Report

__all__ = ["verify"]


def verify(screen: Screen, files: Annotated[list[Path], argument("Files that ivbpr wrote.")]) -> None:
    """Check every digest of files: exit code 0 if all are right, 3 if one is unreadable, 5 if one differs.

    A file that is missing gives 2; the others are checked all the same.
    """
    from ivbpr_numba.store.verify import verify as check

    if len(files) == 1:
        report = check(input_file(files[0], "file"))
        row = _row(report)
        screen.show(Answer("verify", report.as_dict(), [row], [facts(row)]))
        report.raise_for_mismatch()
        return
    documents: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    problems: list[IvbprError] = []
    for file in files:
        try:
            report = check(input_file(file, "file"))
            documents.append(report.as_dict())
            rows.append(_row(report))
            report.raise_for_mismatch()
        except IvbprError as problem:
            problems.append(problem)
            if not isinstance(problem, CheckFailed):
                row = {"ok": False, "file": str(file), "error": problem.message}
                documents.append(row)
                rows.append(row)
    brief = [{key: row.get(key) for key in ("file", "ok", "format", "values", "mismatches")} for row in rows]
    screen.show(Answer("verify", {"files": documents}, rows, [Table(brief)]))
    _raise(problems, len(files))


def _row(report: Report) -> dict[str, Any]:
    return {**report.as_dict(), "mismatches": len(report.mismatches)}


def _raise(problems: list[IvbprError], total: int) -> None:
    """One error about all files that are wrong; missing weighs most, then unreadable, then different."""
    if not problems:
        return
    worst = min(problems, key=lambda problem: problem.exit_code)
    texts = " ".join(problem.message for problem in problems)
    raise type(worst)(f"{len(problems)} of {total} files are not right. {texts}", worst.hint)
