"""Spaces: which options a search tries, and which it keeps fixed; built in, or somebody's TOML file."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ivbpr_numba import expected
from ivbpr_numba.errors import DataError, UsageError, did_you_mean, parameter, shown
from ivbpr_numba.models.presets import check_model, resolve
from ivbpr_numba.models.registry import create
from ivbpr_numba.models.specifications import MODELS
from ivbpr_numba.readers.text import read_text
from ivbpr_numba.store.atomic import PathLike
from ivbpr_numba.tuning.dimensions import Choice, Dimension, Range

__all__ = ["BUILT_IN", "UNTUNED", "Space", "dimension_of", "space_of"]

BUILT_IN = Path(__file__).with_name("spaces.toml")
UNTUNED = ("rand", "pop")
# They say how a fit runs or is judged, or are what the search spends: never searched.
HELD = ("seed", "threads", "device", "preset", "iterations", "eval_every", "valid_users", "update")
SCALES = ("linear", "log")


@dataclass(frozen=True)
class Space:
    """What a search tries.

    Attributes
    ----------
    model : str
    dimensions : tuple of Dimension
        By the names of their options.
    fixed : dict
        Options that all trials have in common, beside those of the preset.
    defaults : dict
        Every option resolved as the model has it without a search.
    """

    model: str
    dimensions: tuple[Dimension, ...]
    fixed: dict[str, Any]
    defaults: dict[str, Any]

    @property
    def names(self) -> list[str]:
        """The options that are searched."""
        return [one.name for one in self.dimensions]

    def values(self, places: Mapping[str, float]) -> dict[str, Any]:
        """The options at a place of each dimension."""
        return {one.name: one.value(places[one.name]) for one in self.dimensions}

    def places(self, options: Mapping[str, Any]) -> dict[str, float]:
        """The place of each dimension for these options."""
        return {one.name: one.place(options[one.name]) for one in self.dimensions}

    def default(self) -> dict[str, Any]:
        """The searched options as they are without a search."""
        return {one.name: self.defaults[one.name] for one in self.dimensions}

    def as_document(self) -> dict[str, Any]:
        """As a TOML table says it: what is searched, what is fixed."""
        return {**{one.name: one.as_document() for one in self.dimensions}, **self.fixed}

    def check(self, options: Mapping[str, Any], kind: str | None) -> None:
        """Refuse options that contradict each other before anything is fitted with them."""
        given = {**self.fixed, **options}
        resolve(self.model, given.pop("preset", None), given, kind)


def space_of(
    model: str,
    given: Mapping[str, Any] | PathLike | None = None,
    options: Mapping[str, Any] | None = None,
    kind: str | None = None,
) -> Space:
    """The space of a model.

    Parameters
    ----------
    model : str
    given : mapping or path, optional
        Instead of the built-in space: options by name as a TOML table of `spaces.toml` has them, or a file
        with such a table for the model.
    options : mapping, optional
        Fixed options; they take their names out of the space.
    kind : str, optional
        What the features are learned as (`features.alignment.learned_as`), for the defaults.

    Raises
    ------
    UsageError
        A model that learns nothing; a space that can't be read, or searches what the model doesn't have.
    """
    check_model(model)
    if model in UNTUNED:
        raise UsageError(
            f"There is nothing to tune in {model}: it learns nothing.", "Fit it; or tune another model."
        )
    table, where = _table(model, given)
    fixed = {name: value for name, value in (options or {}).items() if value is not None}
    dimensions = []
    for name, entry in table.items():
        if name in fixed:
            continue
        found = dimension_of(name, entry, where)
        if isinstance(found, Range | Choice):
            dimensions.append(found)
        else:
            fixed[name] = found
    create(model, **fixed)  # refuses options that the model doesn't have
    if not dimensions:
        raise UsageError(f"{where} leaves nothing to search.", "Give at least one option several values.")
    preset = fixed.get("preset")
    rest = {name: value for name, value in fixed.items() if name != "preset"}
    defaults = resolve(model, preset, rest, kind)
    for one in dimensions:
        for value in one.extremes():
            try:
                resolve(model, preset, {**rest, one.name: value}, kind)
            except UsageError as problem:
                message, hint = problem.marked
                raise UsageError(f"{where}, {one.name}: {message}", hint) from None
    return Space(model, tuple(dimensions), fixed, defaults)


def _table(model: str, given: Mapping[str, Any] | PathLike | None) -> tuple[Mapping[str, Any], str]:
    """The entries of a model, and how to speak of the place where they stand."""
    if isinstance(given, Mapping):
        return given, f"{parameter('space')} for {model}"
    if given is not None:
        expected.path(given, parameter("space", given))
    path = BUILT_IN if given is None else given
    try:
        document = tomllib.loads(read_text(path).replace("\r\n", "\n"))
    except DataError as problem:  # a configuration is usage, not data
        raise UsageError(f"The space {problem.message}", problem.hint) from None
    except tomllib.TOMLDecodeError as problem:
        raise UsageError(f"The space '{path}' is not valid TOML: {problem}.", "Mend that place.") from None
    for name, table in document.items():
        if name not in MODELS:
            hint = did_you_mean(name, MODELS) or "A space has one table a model, such as [bpr-mf]."
            raise UsageError(f"The space '{path}': '{name}' is not the name of a model.", hint)
        if not isinstance(table, dict):
            raise UsageError(
                f"The space '{path}': {name} holds no table.", f"Begin it with the line [{name}]."
            )
    if model not in document:
        raise UsageError(
            f"The space '{path}' has no table for {model}, only for {', '.join(document) or 'nothing'}.",
            f"Add [{model}], or leave {parameter('space')} out for the built-in one.",
        )
    return document[model], f"The space '{path}', [{model}]"


def dimension_of(name: str, entry: Any, where: str = "The space") -> Any:
    """A dimension, or the one value that an option has.

    Parameters
    ----------
    name : str
    entry : object
        As a TOML file has it.
    where : str
        How errors speak of that file.

    Raises
    ------
    UsageError
        It can't be read.
    """
    listed = isinstance(entry, list | tuple)
    if name in HELD and (listed or isinstance(entry, Mapping)):
        raise UsageError(f"{where}: {name} can't be searched.", "Give it one value, or leave it out.")
    if isinstance(entry, Mapping):
        return _range(name, entry, where)
    if listed:
        return _choice(name, entry, where)
    return entry


def _range(name: str, entry: Mapping[str, Any], where: str) -> Range:
    shape = 'It is written { low = 0.01, high = 1.0, scale = "log" }.'
    odd = sorted(set(entry) - {"low", "high", "scale"})
    if odd or not {"low", "high"} <= set(entry):
        what = f"it has '{odd[0]}'" if odd else "it lacks low or high"
        raise UsageError(f"{where}: the range of {name} can't be read: {what}.", shape)
    low, high, scale = entry["low"], entry["high"], entry.get("scale", "linear")
    for end in (low, high):
        if isinstance(end, bool) or not isinstance(end, int | float) or not math.isfinite(end):
            raise UsageError(f"{where}: {shown(end)} of {name} is not a finite number.", shape)
    if scale not in SCALES:
        hint = did_you_mean(scale, SCALES) or f"Use {' or '.join(SCALES)}."
        raise UsageError(f"{where}: the scale {shown(scale)} of {name} is unknown.", hint)
    if low >= high:
        raise UsageError(f"{where}: {name} from {low} to {high} holds nothing to search.", shape)
    if scale == "log" and low <= 0:
        raise UsageError(
            f"{where}: {name} from {low} on can't be spread by ratios.",
            'Begin above 0, or drop scale = "log".',
        )
    whole = isinstance(low, int) and isinstance(high, int)
    return Range(name, low, high, scale == "log", whole)


def _choice(name: str, entry: Any, where: str) -> Choice:
    values = list(entry)
    if not values:
        raise UsageError(f"{where}: {name} has no value to choose from.", "List at least one.")
    for value in values:
        if not isinstance(value, bool | int | float | str):
            raise UsageError(f"{where}: {shown(value)} is no value of {name}.", "Give numbers or words.")
    numbers = not any(isinstance(value, bool | str) for value in values)
    if len(set(map(repr, values))) < len(values):
        raise UsageError(f"{where}: {name} lists a value twice.", "List each once.")
    return Choice(name, tuple(sorted(values) if numbers else values), numbers)
