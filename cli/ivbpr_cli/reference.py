"""The guide to the commands, made from the command tree: ``python -m ivbpr_cli.reference`` writes it anew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, get_args

from ivbpr_cli.settings import PANEL
from ivbpr_numba.models.specifications import PRESETS, SPECIFICATIONS

__all__ = ["reference"]

HEAD = """\
# Commands: every option, default and environment name

Every command with its options, their defaults and environment names, and what each preset sets.

This page is made from the program itself. A command with `--help` behind it shows the same on a screen.

## What all commands share

Data goes to stdout, messages and progress to stderr, so a command can be piped. These options stand before
or after the name of any command:

"""

SETTINGS = """
**Settings from elsewhere.** A flag is stronger than an environment variable, and that is stronger than the
file of `--config`. Each option has two environment names: one of its command, written beside it below, and
a shorter one for all commands, without the command's name: `IVBPR_FIT_SEED` is stronger than `IVBPR_SEED`.
A configuration is TOML, with a table a command:

```toml run.toml
seed = 7                # of every command that has --seed

[fit]
model = "i-vbpr"
visual-factors = 20

[features.table]
id = "article_id"
```

```console
$ ivbpr fit dataset.h5 --config run.toml --features attributes.h5 -o seven.h5
```

**Exit codes.** 0 done; 2 wrong usage; 3 the data can't be used; 4 the machine can't do it (a missing
package, permission, space); 5 a check that was asked for is not met; 130 and 143 interrupted, the state
being saved where the command can go on; 1 a bug. An error is one paragraph: what is wrong, where, and how
to mend it.

`ivbpr --install-completion` teaches your shell to complete commands and options; `ivbpr --version` tells
the version.
"""

PRESETS_HEAD = """
## Presets

What `ivbpr fit` uses for an option that is not given. `default` learns well on purchases of clothes;
`paper` repeats the settings of the paper; `mymedialite` those of that program's two models of matrix
factorization. Two values with a stroke between them: the first for labels of a catalogue, the second for
probabilities of a network. `off` switches a thing off; – means that the model has no such option. `rand`
has only a seed, `pop` nothing at all.
"""

_WORDS = {int: "N", float: "X", Path: "FILE"}


def reference(root: Any) -> str:
    """The guide as Markdown, from the command tree that `app.build` makes."""
    shared = [p for p in root.params if p.rich_help_panel == PANEL]
    parts = [HEAD, *map(_item, shared), SETTINGS]
    parts += [_command(name, command) for name, command in _leaves(root)]
    parts.append(PRESETS_HEAD)
    parts += [_preset(name) for name in PRESETS]
    return "".join(parts)


def _leaves(command: Any, name: str = "ivbpr") -> Iterator[tuple[str, Any]]:
    children = getattr(command, "commands", {})
    if not children:
        yield name, command
    for key, child in children.items():
        yield from _leaves(child, f"{name} {key}")


def _command(name: str, command: Any) -> str:
    """The chapter of one command: what it does, then its options by panel."""
    own = [p for p in command.params if not (p.hidden or p.name == "help" or p.rich_help_panel == PANEL)]
    arguments = [p for p in own if p.param_type_name == "argument"]
    usage = " ".join([name, *(_value(p) for p in arguments), "[OPTIONS]"])
    text = "\n\n".join(" ".join(one.split()) for one in (command.help or "").split("\n\n"))
    parts = [f"\n## {name}\n\n{text}\n\nUsage: `{usage}`\n"]
    panels: dict[str, list[Any]] = {}
    for parameter in own:
        panels.setdefault(parameter.rich_help_panel or "", []).append(parameter)
    for panel, parameters in panels.items():
        parts.append(f"\n*{panel}*\n\n" if panel else "\n")
        parts += map(_item, parameters)
    return "".join(parts)


def _item(parameter: Any) -> str:
    """A line of one option or argument."""
    if parameter.param_type_name == "argument":
        names = f"`{_value(parameter)}`"
    else:
        flags = ", ".join(f"`{flag}`" for flag in (*parameter.opts, *parameter.secondary_opts))
        names = flags if parameter.is_flag else f"{flags} {_value(parameter)}"
    text = " ".join((parameter.help or "").split())
    line = f"- {names}: {text}"
    if parameter.required:
        line += " Required."
    elif _has_default(parameter):
        line += f" Default: {_shown(parameter.default)}."
    variables = [parameter.envvar] if isinstance(parameter.envvar, str) else list(parameter.envvar or ())
    return line + (f" `{variables[0]}`\n" if variables else "\n")


def _has_default(parameter: Any) -> bool:
    return isinstance(parameter.default, str | int | float) and not isinstance(parameter.default, bool)


def _value(parameter: Any) -> str:
    """What stands for the value in usage lines."""
    if parameter.param_type_name == "argument":
        word = (parameter.metavar or parameter.name or "").strip("[]{}").upper()
        several = "…" if parameter.nargs == -1 and not word.endswith("…") else ""
        return f"{word}{several}" if parameter.required else f"[{word}{several}]"
    if parameter.metavar:
        return str(parameter.metavar)
    kind = parameter.type_descriptor.annotation
    kind = next(iter(get_args(kind)), kind)  # of a list: its elements
    if isinstance(kind, type) and issubclass(kind, Enum):
        return "|".join(str(one.value) for one in kind)
    return _WORDS.get(kind, "TEXT")


def _preset(preset: str) -> str:
    """The table of one preset: an option a line, a model a column."""
    models = {
        name: one.presets[preset]
        for name, one in SPECIFICATIONS.items()
        if preset in one.presets and len(one.presets[preset]) > 1
    }
    options = list(
        dict.fromkeys(option for values in models.values() for option in values if option != "seed")
    )
    rows = [["option", *models], ["---"] * (len(models) + 1)]
    for option in options:
        cells = [_cell(values, option, SPECIFICATIONS[name].kind) for name, values in models.items()]
        rows.append([f"`--{option.replace('_', '-')}`", *cells])
    table = "".join(f"| {' | '.join(row)} |\n" for row in rows)
    return f"\n### {preset}\n\n{table}"


def _cell(values: Mapping[str, Any], option: str, kind: str | None) -> str:
    if option not in values:
        return "–"
    value = values[option]
    if isinstance(value, dict):
        kinds = ("dense",) if kind == "dense" else ("attributes", "probabilities")
        return " / ".join(dict.fromkeys(_shown(value[one]) for one in kinds))
    return _shown(value)


def _shown(value: Any) -> str:
    if value is None or value is False:
        return "off"
    return f"{value:g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    from ivbpr_cli.app import build
    from ivbpr_numba.guides import FOLDER
    from ivbpr_numba.store.atomic import write_bytes

    write_bytes(FOLDER / "commands.md", reference(build()).encode())
