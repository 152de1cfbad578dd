"""The command line of ivbpr: thin commands over the library ``ivbpr_numba``."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Entry point of the ``ivbpr`` script.

    While the commands are imported Ctrl-C just ends the process; from then on it ends the command in order.
    """
    import signal

    guarded = (
        signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )  # not in the background of a shell
    if guarded:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from ivbpr_cli.app import main as start

    if guarded:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    start()
