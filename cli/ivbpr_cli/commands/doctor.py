"""``ivbpr doctor``: what this installation is and what it can use."""

from __future__ import annotations

from ivbpr_cli.output import Answer, Screen

__all__ = ["doctor"]


def doctor(screen: Screen) -> None:
    """Versions, threads, which device is used and why, where compiled code is kept."""
    from ivbpr_numba import backends
    from ivbpr_numba.documents import installation as documents

    screen.show(Answer.of(documents.doctor(backends.describe())))
