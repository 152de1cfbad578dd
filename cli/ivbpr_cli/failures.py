"""From an exception to one paragraph and an exit code."""

from __future__ import annotations

import errno
import shlex
from typing import Any

import typer

from ivbpr_numba.errors import IvbprError, Mention

__all__ = ["describe", "printable"]

_ENVIRONMENT = {
    errno.ENOSPC: "The disk is full. Free some space and run the command again.",
    errno.EDQUOT: "Your disk quota is used up. Free some space and run the command again.",
    errno.EROFS: "The file system is read-only. Choose another place for the output.",
    errno.EACCES: "There is no permission. Check the owner and mode of the file and of its folder.",
    errno.EPERM: "There is no permission. Check the owner and mode of the file and of its folder.",
    errno.EMFILE: "Too many open files. Raise the limit with 'ulimit -n'.",
    errno.ENOMEM: "The memory is not enough. Use a larger machine.",
}

_ORIGIN = {
    "ENVIRONMENT": " The value comes from the environment.",
    "DEFAULT_MAP": " The value comes from --config.",
}

# Where a flag is shorter than the parameter of the library that it fills.
_SHORTER = {"id_column": "id", "file_column": "file", "items_table": "items", "images": "image"}


def describe(error: BaseException, command: Any = None, root: Any = None) -> tuple[int, str]:
    """Exit code and text of an error.

    Parameters
    ----------
    error : BaseException
        What ended the command.
    command, root : typer command, optional
        The one that ran, and the tree it is from: they know the flags of the parameters that a text mentions.

    Returns
    -------
    code : int
        2 usage, 3 data, 4 environment, 5 check, 128 + signal, or 1 for a bug.
    text : str
        One paragraph: what, where, how to fix; empty where nothing is to be said.
    """
    if isinstance(error, IvbprError):
        return error.exit_code, printable(error.told(lambda mention: _flag(mention, command, root)))
    if isinstance(error, typer.TyperException):
        return 2, _usage(error)
    if isinstance(error, MemoryError):
        return 4, " ".join(f"Out of memory. {error} Use a smaller input or a larger machine.".split())
    if isinstance(error, OSError):
        return _operating_system(error)
    return 1, _bug(error)


def _flag(mention: Mention, command: Any, root: Any) -> str:
    """A mentioned parameter as one types it; as in Python where the command doesn't have it."""
    words = mention.of.split()
    before = "ivbpr " + " ".join(words) + " " if words else ""
    if words:
        command = root
        for word in words:
            command = getattr(command, "commands", {}).get(word)
    parameters = {one.name: one for one in getattr(command, "params", ())}
    found = parameters.get(mention.name) or parameters.get(_SHORTER.get(mention.name, ""))
    if found is None:
        return mention.in_python()
    value = shlex.quote(mention.text) if mention.code else ""
    if found.param_type_name == "argument":
        return f"{before}{value or found.name.upper()}"
    name = max(found.opts, key=len)
    if found.is_flag:
        name = max(found.secondary_opts, key=len, default=name) if value == "False" else name
        value = ""
    return f"{before}{name} {value}".rstrip()


def printable(text: str) -> str:
    """One line without control characters: messages quote files, and a terminal obeys what it is sent."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _usage(error: typer.TyperException) -> str:
    text = " ".join(error.format_message().replace("Value error, ", "").split())
    if not text:  # no arguments at all: the help has just been printed
        return ""
    if text and text[-1] not in ".?!)":
        text += "."
    context = getattr(error, "ctx", None)
    if context is None:
        return text
    parameter = getattr(error, "param", None)
    source = context.get_parameter_source(parameter.name) if parameter is not None else None
    text += _ORIGIN.get(getattr(source, "name", ""), "")
    return f"{text} Try '{context.command_path} --help'."


def _operating_system(error: OSError) -> tuple[int, str]:
    where = f"{error.filename}: " if error.filename else ""
    if error.errno in _ENVIRONMENT:
        return 4, where + _ENVIRONMENT[error.errno]
    if error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
        return 2, f"{where}{error.strerror}. Choose another name."
    if isinstance(error, FileNotFoundError | IsADirectoryError | NotADirectoryError) and error.filename:
        return 2, f"{where}{error.strerror}. Check the path."
    return 1, _bug(error)


def _bug(error: BaseException) -> str:
    what = " ".join(f"{type(error).__name__}: {error}".split())
    return (
        f"Internal error ({what}). This is a bug in ivbpr, not a mistake of yours. Please report it with the "
        "command and the output of 'ivbpr doctor'; --debug shows the traceback."
    )
