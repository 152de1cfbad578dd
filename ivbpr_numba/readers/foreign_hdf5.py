"""HDF5 files that somebody else wrote, read by a process of its own.

Most such files have the layout that h5py writes by default. It carries no checksums, and a single damaged
byte can make the HDF5 library loop for ever or end the process. So it never reads them here: a child does,
which watches itself, and what happens to it becomes a `DataError`. Values come through a pipe.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ivbpr_numba.errors import DataError, IvbprError
from ivbpr_numba.store.atomic import PathLike
from ivbpr_numba.store.writers import unreadable

__all__ = ["ForeignHdf5"]

SECONDS = 60.0  # without any progress, after which the child gives up
_ROOT = Path(__file__).parents[2]
_CODE = "from ivbpr_numba.readers.foreign_hdf5 import serve; serve()"


class ForeignHdf5:
    """An HDF5 file, open in another process.

    Attributes
    ----------
    arrays : dict of str to (shape, dtype)
        All datasets by path, without the leading ``/``. The dtype is object where NumPy has no simple one.

    Raises
    ------
    DataError
        On opening or reading: damaged, or too large for the memory.
    UsageError
        It can't be read because another process is writing it.
    """

    def __init__(self, path: PathLike) -> None:
        self._path = path
        import_path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
        self._child = subprocess.Popen(
            [sys.executable, "-c", _CODE, os.fspath(path), str(SECONDS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": import_path},
        )
        try:
            listed: dict[str, Any] = json.loads(self._line())
        except BaseException:
            self.close()
            raise
        self.arrays = {name: (tuple(shape), np.dtype(kind)) for name, (shape, kind) in listed.items()}

    def texts(self, name: str) -> list[Any]:
        """The values of a one-dimensional array: text or numbers."""
        self._ask({"texts": name})
        values: list[Any] = json.loads(self._line())
        return values

    def rows(self, name: str, step: int) -> Iterator[np.ndarray]:
        """The rows of a matrix, `step` at a time; the child is gone afterwards."""
        shape, dtype = self.arrays[name]
        self._ask({"rows": name, "step": step})
        stream = self._child.stdout
        assert stream is not None
        try:
            for start in range(0, shape[0], step):
                block = np.empty((min(step, shape[0] - start), *shape[1:]), dtype)
                if stream.readinto(block.reshape(-1).view(np.uint8).data) != block.nbytes:  # type: ignore[attr-defined]
                    raise self._failed()
                yield block
        finally:
            self.close()

    def close(self) -> None:
        """End the child."""
        self._child.kill()
        self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout, self._child.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def __del__(self) -> None:
        if hasattr(self, "_child"):
            self.close()

    def _ask(self, question: dict[str, Any]) -> None:
        assert self._child.stdin is not None
        try:
            self._child.stdin.write(json.dumps(question).encode() + b"\n")
            self._child.stdin.flush()
        except BrokenPipeError:
            raise self._failed() from None

    def _line(self) -> bytes:
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        if not line.endswith(b"\n"):
            raise self._failed()
        return line

    def _failed(self) -> IvbprError:
        """What the end of the child says about the file."""
        assert self._child.stderr is not None
        said = self._child.stderr.read().decode("utf-8", "replace")
        code = self._child.wait()
        if code < 0:
            reason = f"the HDF5 library ended with {signal.Signals(-code).name}"
        else:
            reason = " ".join(said.split())[:300] or f"the HDF5 library came to no end in {SECONDS:.0f} s"
        damaged = DataError(
            f"'{self._path}' is damaged or cut short ({reason}).", "Make the file again or restore a copy."
        )
        return unreadable(self._path, damaged)


# --- the child ---


def serve() -> None:
    """Answer the questions on stdin about the file named by the first argument; never returns."""
    import faulthandler

    for number in (signal.SIGINT, signal.SIGPIPE):  # the parent speaks to the user
        signal.signal(number, signal.SIG_DFL)
    quiet = open(os.devnull, "w")
    limit = float(sys.argv[2])

    def watch() -> None:
        """Begin to wait anew, in a thread that needs no help of Python."""
        faulthandler.dump_traceback_later(limit, exit=True, file=quiet)

    watch()
    try:
        _answer(sys.argv[1], sys.stdin.buffer, sys.stdout.buffer, watch)
        code = 0
    except Exception as problem:
        sys.stderr.write(str(problem) or type(problem).__name__)
        code = 1
    sys.stderr.flush()
    os._exit(code)  # closing a damaged file may crash, too


def _answer(path: str, questions: BinaryIO, out: BinaryIO, watch: Any) -> None:
    import faulthandler

    import h5py

    def say(document: Any) -> None:
        out.write(json.dumps(document).encode() + b"\n")
        out.flush()

    found: dict[str, Any] = {}

    def visit(name: str, node: Any) -> None:
        if isinstance(node, h5py.Dataset) and node.shape is not None:
            simple = node.dtype.kind in "biufcSU"
            found[name] = (node.shape, node.dtype.str if simple else "O")

    file = h5py.File(path, "r", locking=False)
    file.visititems(visit)
    say(found)
    faulthandler.cancel_dump_traceback_later()
    for line in questions:
        watch()
        question = json.loads(line)
        if "texts" in question:
            values = file[question["texts"]][()].tolist()
            say([v.decode("utf-8", "surrogateescape") if isinstance(v, bytes) else v for v in values])
            faulthandler.cancel_dump_traceback_later()
            continue
        dataset, step = file[question["rows"]], question["step"]
        for start in range(0, dataset.shape[0], step):
            watch()
            block = np.ascontiguousarray(dataset[start : start + step])
            faulthandler.cancel_dump_traceback_later()  # the parent may take its time
            out.write(block.reshape(-1).view(np.uint8).data)
        out.flush()
