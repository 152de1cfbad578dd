"""Standard streams that can be written to, whatever the shell has made of them."""

from __future__ import annotations

import contextlib
import io
import os
import sys

__all__ = ["open_streams"]


def open_streams() -> None:
    """Let a closed stream lead nowhere, and show letters that the encoding of a stream lacks as ``?``.

    Also keeps the numbers of closed streams from files that are opened later, which would then be printed to.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number: this one
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            descriptor = {"stdout": 1, "stderr": 2}[name]
            nowhere = open(descriptor, "w", encoding="utf-8", errors="replace", closefd=False)
            setattr(sys, name, nowhere)
            setattr(sys, f"__{name}__", nowhere)
        elif isinstance(stream, io.TextIOWrapper):
            with contextlib.suppress(OSError, ValueError):
                stream.reconfigure(errors="replace")
