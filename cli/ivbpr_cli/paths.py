"""Checks of paths before any work starts."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ivbpr_numba.errors import EnvironmentProblem, UsageError
from ivbpr_numba.events import check_log, same_file
from ivbpr_numba.store.atomic import companions
from ivbpr_numba.store.writers import unreadable

if TYPE_CHECKING:
    from ivbpr_numba.models.base import Model

__all__ = ["input_file", "input_images", "output_file", "output_folder", "plot_file", "spare_features"]


def input_file(path: Path, what: str) -> Path:
    """Return `path` if it is a file that can be read.

    Raises
    ------
    UsageError
        When there is no such file.
    EnvironmentProblem
        When it may not be read.
    """
    if not path.exists():
        raise unreadable(path, UsageError(f"The {what} {path} does not exist.", "Check the path."))
    if path.is_dir():
        raise UsageError(f"The {what} {path} is a folder.", "Name a file.")
    if not os.access(path, os.R_OK):
        raise EnvironmentProblem(f"The {what} {path} may not be read.", "Check its owner and mode.")
    return path


def input_images(path: Path) -> Path:
    """Return `path` if there is a folder or file that may hold photos; what it holds is seen when opened.

    Raises
    ------
    UsageError
        When there is none.
    EnvironmentProblem
        When it may not be read.
    """
    if not path.exists():
        raise unreadable(path, UsageError(f"The images {path} do not exist.", "Check the path."))
    if not os.access(path, os.R_OK | (os.X_OK if path.is_dir() else 0)):
        raise EnvironmentProblem(f"The images {path} may not be read.", "Check their owner and mode.")
    return path


def output_file(
    path: Path,
    *inputs: Path | None,
    flag: str = "--out",
    states: Sequence[Path] = (),
    log: Path | None = None,
) -> Path:
    """Return `path` if a file can be put there and nothing that is written falls on something else.

    Parameters
    ----------
    path : Path
        The file to write.
    inputs : Path or None
        What the command reads; None is skipped.
    flag : str
        The option that names `path`.
    states : sequence of Path
        Where the state of unfinished work is kept, beside `path`.
    log : Path, optional
        A log that is written too, see `events.check_log`.

    Raises
    ------
    UsageError
        When the folder does not exist, `path` is a folder or no regular file, or the command's own text goes
        there; when two of output, state, lock, log and inputs are one file.
    EnvironmentProblem
        When the folder may not be written.
    """
    choose = f"Choose another {flag}."
    folder = Path(os.path.realpath(path)).parent if path.is_symlink() else path.parent
    if not folder.exists():
        raise UsageError(f"The output folder {folder} does not exist.", f"Create it: mkdir -p {folder}")
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder, so {path} cannot be written.", choose)
    if path.is_dir():
        raise UsageError(f"The output {path} is a folder.", f"Name a file with {flag}.")
    if path.exists() and not path.is_file():
        raise UsageError(f"The output {path} is no regular file.", f"Name a file with {flag}.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise EnvironmentProblem(f"The output folder {folder} may not be written.", choose)
    if _is_printed_to(path):
        raise UsageError(f"The output {path} is also where this command prints.", choose)
    target, *beside = companions(path, *states)
    for given in filter(None, inputs):
        if same_file(target, given):
            raise UsageError(f"The output {path} is also an input.", choose)
        if any(same_file(made, given) for made in beside):
            raise UsageError(
                f"The input {given} has the name of a file that is made while {path} is written.", choose
            )
    if log is not None:
        check_log(log, target, *beside, *inputs)
    return path


def spare_features(path: Path, model: Model, flag: str = "--out") -> None:
    """Refuse an output that would replace the features which a model looks up where it remembers them.

    Raises
    ------
    UsageError
        `path` is that file.
    """
    record = model.features_
    if record is not None and any(same_file(path, place) for place in record.places()):
        raise UsageError(f"The output {path} holds the features of the model.", f"Choose another {flag}.")


def plot_file(path: Path, *inputs: Path | None) -> Path:
    """Return `path` if a figure can be drawn there; see `output_file`.

    Raises
    ------
    UsageError
        Also when it is neither .svg nor .png.
    EnvironmentProblem
        Also when the extra that draws .png is not installed.
    """
    if path.suffix.lower() not in (".png", ".svg"):
        raise UsageError(f"--plot {path}: not a kind of plot.", "Name a .png or an .svg file.")
    if path.suffix.lower() == ".png":
        from ivbpr_numba.report.drawing import need_matplotlib

        need_matplotlib()
    return output_file(path, *inputs, flag="--plot")


def _is_printed_to(path: Path) -> bool:
    """Whether stdout or stderr is this file: replaced, it would lose what is printed."""
    for stream in (sys.__stdout__, sys.__stderr__):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            if stream is not None and os.path.samestat(os.fstat(stream.fileno()), os.stat(path)):
                return True
    return False


def output_folder(path: Path, mark: str) -> Path:
    """Make the folder `path`, or accept one that is empty or was made by the same command.

    Parameters
    ----------
    path : Path
        The folder; its parent must exist.
    mark : str
        Name of the file by which a folder of ours is known.

    Raises
    ------
    UsageError
        When the parent is missing or the folder holds other things.
    """
    if path.exists() and not path.is_dir():
        raise UsageError(f"{path} is a file, not a folder.", "Choose another folder with --out.")
    if not path.parent.exists():
        raise UsageError(f"The folder {path.parent} does not exist.", f"Create it: mkdir -p {path.parent}")
    if path.is_dir() and any(path.iterdir()) and not (path / mark).exists():
        raise UsageError(
            f"The folder {path} holds other files, and they stay.", "Choose a new folder with --out."
        )
    path.mkdir(exist_ok=True)
    return path
