"""Which attributes a network knows: groups of values, exclusive or not."""

from __future__ import annotations

import json
from dataclasses import dataclass

from ivbpr_numba.errors import DataError
from ivbpr_numba.features.layout import Group

__all__ = ["AttributeGroup", "Vocabulary"]


@dataclass(frozen=True)
class AttributeGroup:
    """Values that belong together, such as the colours.

    Attributes
    ----------
    name : str
        The column of the label table.
    values : tuple of str
        Distinct, in the order of the network's outputs.
    exclusive : bool
        Whether an image has exactly one of them (soft-max) or any number (tags, sigmoid).
    """

    name: str
    values: tuple[str, ...]
    exclusive: bool


@dataclass(frozen=True)
class Vocabulary:
    """The groups of a network, in the order of its outputs.

    Attributes
    ----------
    groups : tuple of AttributeGroup
    """

    groups: tuple[AttributeGroup, ...]

    @property
    def names(self) -> list[str]:
        """Column names ``group=value``, (F,)."""
        return [f"{group.name}={value}" for group in self.groups for value in group.values]

    @property
    def size(self) -> int:
        """F, the number of values over all groups."""
        return sum(len(group.values) for group in self.groups)

    @property
    def offsets(self) -> list[int]:
        """First column of each group."""
        return [group.offset for group in self.layout]

    @property
    def layout(self) -> list[Group]:
        """The groups as a feature file has them."""
        found, offset = [], 0
        for group in self.groups:
            found.append(Group(group.name, offset, len(group.values), group.exclusive))
            offset += len(group.values)
        return found

    def to_json(self) -> str:
        """The text that `from_json` reads."""
        groups = [
            {"name": group.name, "exclusive": group.exclusive, "values": list(group.values)}
            for group in self.groups
        ]
        return json.dumps({"groups": groups}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str, where: str) -> Vocabulary:
        """Read ``{"groups": [{"name": …, "exclusive": …, "values": [ … ]}, …]}``.

        Parameters
        ----------
        text : str
        where : str
            The file it comes from, for messages.

        Raises
        ------
        DataError
            No JSON of that form, a group or value twice, or nothing in it.
        """
        try:
            groups = tuple(
                AttributeGroup(_text(raw["name"]), tuple(map(_text, raw["values"])), _truth(raw["exclusive"]))
                for raw in json.loads(text)["groups"]
            )
        except (ValueError, KeyError, TypeError) as problem:
            raise DataError(
                f"'{where}' holds no vocabulary ({type(problem).__name__}: {problem}).",
                'Write {"groups": [{"name": "colour", "exclusive": true, "values": ["Black", "White"]}]}.',
            ) from None
        found = cls(groups)
        names = [group.name for group in groups]
        repeated = [name for k, name in enumerate(names) if name in names[:k]]
        repeated += [group.name for group in groups if len(set(group.values)) < len(group.values)]
        if not groups or not all(group.values for group in groups):
            raise DataError(f"'{where}': a vocabulary without values.", "Every group needs at least one.")
        if repeated or len(set(found.names)) < found.size:
            raise DataError(
                f"'{where}': the vocabulary names something twice ({', '.join(repeated)}).", "Name it once."
            )
        return found


def _text(value: object) -> str:
    if not isinstance(value, str) or not value or "\0" in value:
        raise TypeError(f"{value!r} is no name")
    return value


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{value!r} is neither true nor false")
    return value
