"""``ivbpr verify``: is every digest of a file still right?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from ivbpr_cli.commands.options import argument
from ivbpr_cli.output import Answer, Screen, facts
from ivbpr_cli.paths import input_file

__all__ = ["verify"]


def verify(screen: Screen, file: Annotated[Path, argument("A file that ivbpr wrote.")]) -> None:
    """Check every digest of a file: exit code 0 if all are right, 5 if one is not, 3 if unreadable."""
    input_file(file, "file")
    from ivbpr_numba.store.verify import verify as check

    report = check(file)
    document = report.as_dict()
    row = {**document, "mismatches": len(report.mismatches)}
    screen.show(Answer("verify", document, [row], [facts(row)]))
    report.raise_for_mismatch()
