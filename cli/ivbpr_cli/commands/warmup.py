"""``ivbpr warmup``: compile everything once, so that later commands start at once."""

from __future__ import annotations

from ivbpr_cli.output import Answer, Screen

__all__ = ["warmup"]


def warmup(screen: Screen) -> None:
    """Compile all kernels and keep them in the cache."""
    from ivbpr_numba.documents import installation as documents
    from ivbpr_numba.models.warmup import warmup as compile_all

    with screen.progress("compiling") as observer:
        report = compile_all(observer)
    screen.show(Answer.of(documents.warmup(report)))
