"""Checks of paths before any work starts."""

from __future__ import annotations

import os
from pathlib import Path

from ivbpr_numba.errors import EnvironmentProblem, UsageError
from ivbpr_numba.events import same_file
from ivbpr_numba.store.writers import unreadable

__all__ = ["input_file", "input_folder", "output_file", "output_folder"]


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


def input_folder(path: Path, what: str) -> Path:
    """Return `path` if it is a folder that can be read.

    Raises
    ------
    UsageError
        When there is no such folder.
    EnvironmentProblem
        When it may not be read.
    """
    if not path.is_dir():
        problem = "is a file" if path.exists() else "does not exist"
        raise UsageError(f"The {what} {path} {problem}.", "Name a folder.")
    if not os.access(path, os.R_OK | os.X_OK):
        raise EnvironmentProblem(f"The {what} {path} may not be read.", "Check its owner and mode.")
    return path


def output_file(path: Path, *inputs: Path | None) -> Path:
    """Return `path` if a file can be put there and it is none of the inputs.

    Raises
    ------
    UsageError
        When the folder does not exist, `path` is a folder or no regular file, or it is also an input.
    EnvironmentProblem
        When the folder may not be written.
    """
    folder = Path(os.path.realpath(path)).parent if path.is_symlink() else path.parent
    if not folder.exists():
        raise UsageError(f"The output folder {folder} does not exist.", f"Create it: mkdir -p {folder}")
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder, so {path} cannot be written.", "Choose another --out.")
    if path.is_dir():
        raise UsageError(f"The output {path} is a folder.", "Name a file with --out.")
    if path.exists() and not path.is_file():
        raise UsageError(f"The output {path} is no regular file.", "Name a file with --out.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise EnvironmentProblem(f"The output folder {folder} may not be written.", "Choose another --out.")
    for given in inputs:
        if given is not None and same_file(path, given):
            raise UsageError(f"The output {path} is also an input.", "Choose another --out.")
    return path


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
