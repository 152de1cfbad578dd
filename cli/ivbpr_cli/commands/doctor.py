"""``ivbpr doctor``: what this installation is and what it can use."""

from __future__ import annotations

from ivbpr_cli.output import Answer, Screen

__all__ = ["doctor"]


def doctor(screen: Screen) -> None:
    """Versions, threads, which device models and networks use and why, where compiled code is kept."""
    from ivbpr_numba import backends
    from ivbpr_numba.documents import installation as documents
    from ivbpr_numba.network.shipped import network_facts

    screen.show(Answer.of(documents.doctor({**backends.describe(), "networks": network_facts()})))
