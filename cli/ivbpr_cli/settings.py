"""Options that every command has, and where values come from: ``--config`` < environment < flag."""

from __future__ import annotations

import datetime
import inspect
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from ivbpr_cli.compiling import takes
from ivbpr_cli.output import Format, Screen, say_error, say_warning
from ivbpr_numba.errors import DataError, UsageError, did_you_mean
from ivbpr_numba.events import same_file

__all__ = ["State", "add_environment", "add_root_options", "with_screen"]

PREFIX = "IVBPR"
PANEL = "Every command"

_STRENGTH = {"DEFAULT_MAP": 1, "ENVIRONMENT": 2, "COMMANDLINE": 3}

# Options that name what is written.
WRITTEN = ("out", "log", "plot", "per_user")

# Options that act at once; they are no settings.
_META = {"config", "help", "version", "install-completion", "show-completion"}


@dataclass
class State:
    """What the options before and after the command's name have said so far."""

    config: Path | None = None
    format: Format | None = None
    quiet: bool | None = None
    debug: bool = False
    command: Any = None  # the innermost one that was reached
    strength: dict[str, int] = field(default_factory=dict)


def _remember_config(context: typer.Context, value: Path | None) -> Path | None:
    state = context.ensure_object(State)
    state.config = value or state.config
    if not context.resilient_parsing:  # nor while a shell completes
        _warn_of_unknown(context)
    if state.config is not None:
        context.default_map = _defaults(_read_toml(state.config), context, state.config)
    return state.config


def _warn_of_unknown(context: typer.Context) -> None:
    """Warn of variables that are named as if they set options of this command, which has none such."""
    words = context.command_path.split()[1:]
    if not words or getattr(context.command, "commands", None):
        return
    before = "_".join([PREFIX, *words]).upper().replace("-", "_") + "_"
    root = context.find_root().command
    known = {name for _, command in _commands(root) for one in command.params for name in one.envvar or ()}
    for name in sorted(os.environ):
        if name.startswith(before) and name not in known:
            hint = did_you_mean(name, sorted(one for one in known if one.startswith(before)))
            what = f"{name} is set, but 'ivbpr {' '.join(words)}' has no such option."
            say_warning(f"{what} {hint}".rstrip())


def _remember(name: str) -> Callable[[typer.Context, Any], Any]:
    def remember(context: typer.Context, value: Any) -> Any:
        state = context.ensure_object(State)
        state.command = context.command
        source = context.get_parameter_source(name)
        strength = _STRENGTH.get(source.name if source is not None else "", 0)
        # A flag before the command's name is still stronger than an environment variable seen after it.
        if value is not None and strength >= state.strength.get(name, 0):
            setattr(state, name, value)
            state.strength[name] = strength
        return getattr(state, name)

    return remember


_COMMON: dict[str, Any] = {
    "config": Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="FILE",
            envvar=f"{PREFIX}_CONFIG",
            show_envvar=False,
            is_eager=True,
            callback=_remember_config,
            help="Options as TOML, a table a command; the environment (IVBPR_*) and flags are stronger.",
            rich_help_panel=PANEL,
        ),
    ],
    "format": Annotated[
        Format | None,
        typer.Option(
            "--format",
            callback=_remember("format"),
            help="How the data on stdout looks; table where not given.",
            rich_help_panel=PANEL,
        ),
    ],
    "quiet": Annotated[
        bool | None,
        typer.Option(
            "--quiet/--no-quiet",
            "-q",
            callback=_remember("quiet"),
            help="No messages, no progress, no sentences below tables.",
            rich_help_panel=PANEL,
        ),
    ],
    "debug": Annotated[
        bool | None,
        typer.Option(
            "--debug/--no-debug",
            callback=_remember("debug"),
            help="Tracebacks of errors.",
            rich_help_panel=PANEL,
        ),
    ],
}


def with_screen(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the common options; it receives them as its first argument, a `Screen`.

    LaTeX and Markdown are for commands that name them in an attribute ``formats``.
    """
    own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]

    @wraps(function)
    def run(**values: Any) -> None:
        _check_written(values, values.pop("config"))
        values.pop("debug")
        form, quiet = values.pop("format") or Format.table, bool(values.pop("quiet"))
        if form in (Format.latex, Format.markdown) and form not in getattr(function, "formats", ()):
            raise UsageError(
                f"--format {form}: this command has no {form} to show.", "Use table, json, csv or jsonl."
            )
        screen = Screen(form, quiet, takes(function.__name__))
        before = _marks(values)
        try:
            with screen.waiting():
                function(screen, **values)
        except BaseException as stop:
            if before and not isinstance(stop, Exception):
                unwritten = before == _marks(values)
                say_error("Interrupted; nothing was written." if unwritten else "Interrupted.")
            raise

    _set_parameters(run, own + _common_parameters())
    return run


def _marks(values: Mapping[str, Any]) -> dict[str, Any]:
    """What tells whether the outputs that are named have been written: which files they are, and of when."""
    found: dict[str, Any] = {}
    for name in WRITTEN:
        path = values.get(name)
        if path is not None:
            try:
                now = os.stat(path)
                found[name] = (now.st_dev, now.st_ino, now.st_mtime_ns, now.st_size)
            except OSError:
                found[name] = None
    return found


def _check_written(values: Mapping[str, Any], config: Path | None) -> None:
    """Refuse to write over the configuration, and to a file named like standard output."""
    for name in WRITTEN:
        path = values.get(name)
        if path is None:
            continue
        flag = "--" + name.replace("_", "-")
        if os.fspath(path) == "-":
            raise UsageError(
                f"{flag} - names no file.", "Name a file; /dev/stderr shows a log where you can see it."
            )
        if config is not None and same_file(path, config):
            raise UsageError(f"{flag} {path} is the configuration of --config.", "Name another file.")


def add_root_options(function: Callable[..., None]) -> Callable[..., None]:
    """The same options before the command's name: ``ivbpr --quiet fit …``."""
    own = list(inspect.signature(function, eval_str=True).parameters.values())

    @wraps(function)
    def run(**values: Any) -> None:
        function(**{p.name: values[p.name] for p in own})

    _set_parameters(run, own + _common_parameters())
    return run


def _common_parameters() -> list[inspect.Parameter]:
    kind = inspect.Parameter.KEYWORD_ONLY
    return [inspect.Parameter(name, kind, default=None, annotation=a) for name, a in _COMMON.items()]


def _set_parameters(function: Any, parameters: list[inspect.Parameter]) -> None:
    """Show typer `parameters` instead of the wrapper's own."""
    keyword = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters]
    function.__signature__ = inspect.Signature(keyword)
    function.__annotations__ = {p.name: p.annotation for p in keyword}


def add_environment(root: Any) -> None:
    """Let every option of every command be set by ``IVBPR_<COMMAND>_<OPTION>`` or ``IVBPR_<OPTION>``."""
    for path, command in _commands(root):
        for parameter in command.params:
            if "Path" in str(parameter.type_descriptor.annotation):
                _refuse_empty(parameter)
        for flag, parameter in _options(command).items():
            if parameter.param_type_name == "option":
                name = flag.upper()
                specific = "_".join([PREFIX, *path, name]).upper().replace("-", "_")
                parameter.envvar = [specific, f"{PREFIX}_{name}"] if path else [f"{PREFIX}_{name}"]
                parameter.show_envvar = False  # one rule for all, said once at --config


def _refuse_empty(parameter: Any) -> None:
    """Refuse an empty text where a path is asked for: it would become the current folder."""
    consume = parameter.consume_value

    def checked(context: typer.Context, options: Mapping[str, Any]) -> tuple[Any, Any]:
        value, source = consume(context, options)
        if value == "" or (isinstance(value, list | tuple) and "" in value):
            option = parameter.param_type_name == "option"
            name = max(parameter.opts, key=len) if option else parameter.name.upper()
            raise UsageError(f"{name} is empty.", "Name a file or folder; in a script, check the variable.")
        return value, source

    parameter.consume_value = checked


def _commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, command
    for name, child in getattr(command, "commands", {}).items():
        yield from _commands(child, (*path, name))


def _options(command: Any) -> dict[str, Any]:
    """Settings of one command: name with underscores → parameter; arguments count too."""
    found: dict[str, Any] = {}
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            found[parameter.name] = parameter
            continue
        for flag in parameter.opts:
            if flag.startswith("--") and flag[2:] not in _META:
                found[flag[2:].replace("-", "_")] = parameter
    return found


def _read_toml(path: Path) -> dict[str, Any]:
    from ivbpr_numba.readers.text import read_text

    if path.is_dir():
        raise UsageError(f"The configuration {path} is a folder.", "Check --config.")
    if not path.exists():
        raise UsageError(f"The configuration {path} does not exist.", "Check --config.")
    try:
        return tomllib.loads(read_text(path).replace("\r\n", "\n"))
    except DataError as problem:  # a configuration is usage, not data
        raise UsageError(f"The configuration {problem.message}", problem.hint) from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not valid TOML: {error}.", "Mend that place.") from None


def _defaults(document: Mapping[str, Any], context: Any, path: Path) -> dict[str, Any]:
    """The defaults that a configuration holds for the command of `context`, after checking every key."""
    root = context.find_root().command
    everywhere = {name for _, command in _commands(root) for name in _options(command)}
    tables = {key: value for key, value in document.items() if isinstance(value, dict)}
    shared = {key: value for key, value in document.items() if key not in tables}
    for key in shared:
        _check_key(key, everywhere, f"{path}", "an option of any command")
    _check_tables(tables, root, path, ())
    options = _options(context.command)
    defaults = {}
    names = context.command_path.split()[1:]
    for table in (shared, *_tables_along(document, names)):
        for key, value in table.items():
            parameter = options.get(key.replace("-", "_"))
            if parameter is not None and not isinstance(value, dict):
                defaults[parameter.name] = _as_text(value, parameter, f"{path}: {key}")
    return defaults


def _tables_along(document: Mapping[str, Any], names: list[str]) -> Iterator[Mapping[str, Any]]:
    for name in names:
        document = document.get(name, {})
        if not isinstance(document, dict):
            return
        yield document


def _check_tables(tables: Mapping[str, Any], command: Any, path: Path, above: tuple[str, ...]) -> None:
    known = getattr(command, "commands", {})
    for name, table in tables.items():
        where = f"{path}, table [{'.'.join((*above, name))}]"
        _check_key(name, set(known), where, "a command")
        child = known[name]
        options = {option for _, c in _commands(child) for option in _options(c)}
        for key, value in table.items():
            if not isinstance(value, dict):
                _check_key(key, options, where, f"an option of 'ivbpr {' '.join((*above, name))}'")
        _check_tables({k: v for k, v in table.items() if isinstance(v, dict)}, child, path, (*above, name))


def _check_key(key: str, known: set[str], where: str, what: str) -> None:
    if key.replace("-", "_") in {k.replace("-", "_") for k in known}:
        return
    shown = sorted(k if what == "a command" else k.replace("_", "-") for k in known)
    raise UsageError(f"{where}: '{key}' is not {what}.", did_you_mean(key.replace("_", "-"), shown))


def _as_text(value: Any, parameter: Any, where: str) -> Any:
    """A TOML value as the text that a flag would have held, so that one set of checks sees both."""
    if isinstance(value, list):
        texts = [_as_text(one, None, where) for one in value]
        several = parameter is not None and (getattr(parameter, "multiple", False) or parameter.nargs == -1)
        return texts if several else ",".join(texts)
    if isinstance(value, dict):
        raise UsageError(f"{where} holds a table.", "Give a single value or a list.")
    if isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, datetime.date | datetime.time):
        text = value.isoformat()
    else:
        text = str(value)
    several = parameter is not None and (getattr(parameter, "multiple", False) or parameter.nargs == -1)
    return [text] if several else text
