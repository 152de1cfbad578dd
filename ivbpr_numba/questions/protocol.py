"""One set of questions for whoever is judged: which held-out items, which candidates, how ties count."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba import backends
from ivbpr_numba.distributed import crew_of
from ivbpr_numba.errors import UsageError, did_you_mean, parameter
from ivbpr_numba.processes import Crew
from ivbpr_numba.ranking import (
    COLD_BELOW,
    Counts,
    Questions,
    Scorer,
    all_and_cold,
    count,
    item_classes,
    questions,
    summary,
)

if TYPE_CHECKING:
    from ivbpr_numba.datasets.dataset import Dataset

__all__ = ["SETTINGS", "SPLITS", "TIES", "Protocol", "check", "check_protocol", "unlike", "warnings_of"]

SETTINGS = ("all", "cold")
SPLITS = ("test", "valid")
TIES = ("strict", "half")
MANY_TIES = 0.01  # share of tied pairs above which a strict AUC says little about the ranking
FEW_USERS = 30  # from here on 1.96 is close enough to the quantile of t


@dataclass(frozen=True)
class Protocol:
    """The questions, the same for everybody who is judged.

    Attributes
    ----------
    data : Dataset
    split, ties : str
    cold_below : int
        Held-out items with fewer training pairs are cold.
    asked : Questions
        One held-out item a user.
    bought : (n,) int64
        Training pairs of each held-out item.
    classes : (I,) int8
        See `ranking.item_classes`.
    kernels : Kernels or None
        Of the device that counts; None: the CPU's.
    crew : Crew or None
        Who counts; None: this process.
    """

    data: Dataset
    split: str
    ties: str
    cold_below: int
    asked: Questions
    bought: np.ndarray
    classes: np.ndarray
    kernels: backends.Kernels | None = None
    crew: Crew | None = None

    @classmethod
    def of(
        cls, data: Dataset, split: str = "test", ties: str = "strict", cold_below: int = COLD_BELOW
    ) -> Protocol:
        """Make one.

        Raises
        ------
        UsageError
            Unknown split or rule for ties, a negative number.
        """
        check_protocol(split, ties, cold_below)
        asked, trained = questions(data, split), data.train_counts
        return cls(data, split, ties, cold_below, asked, trained[asked.targets], item_classes(trained))

    @property
    def masks(self) -> dict[str, np.ndarray]:
        """Which questions belong to each setting, (n,) bool."""
        return {"all": np.ones(len(self.bought), bool), "cold": self.cold}

    @cached_property
    def cold(self) -> np.ndarray:
        """Which held-out items are cold, (n,) bool."""
        return self.bought < self.cold_below

    def part(self, chosen: np.ndarray) -> Protocol:
        """Only the questions at the positions `chosen`."""
        return replace(self, asked=self.asked.part(chosen), bought=self.bought[chosen])

    def counted_by(self, device: str, length: int) -> tuple[Protocol, dict[str, str]]:
        """The same questions, counted by ``cpu``, ``cuda`` or ``auto`` for scorers by vectors of a length.

        Returns
        -------
        Protocol
        dict
            ``device device_reason``; empty where the CPU was asked for.
        """
        chosen, why = backends.choose_device(device, len(self.asked.users) * len(self.classes) * length)
        told = {} if device == "cpu" else {"device": chosen, "device_reason": why}
        return replace(self, kernels=backends.kernels(chosen)), told

    def counted_on(self, client: Any) -> Protocol:
        """The same questions, counted by the workers of a ``distributed.Client``; None: by this process."""
        return self if client is None else replace(self, crew=crew_of(client))

    def count(self, scorer: Scorer) -> Counts:
        """How the scorer places every held-out item among its candidates."""
        return count(scorer, self.asked, self.classes, self.kernels, self.crew)

    def results(
        self, counts: Counts, settings: Sequence[str] = SETTINGS, ties: str | None = None, own: bool = True
    ) -> dict[str, dict[str, Any]]:
        """All, cold and stratified results of one scorer.

        Parameters
        ----------
        counts : Counts
            From `count`.
        settings : sequence of str
            ``all``, ``cold``; ``stratified`` always follows.
        ties : str, optional
            Another rule than the protocol's.
        own : bool
            Whether the limit of cold items is written beside the result.
        """
        ties = ties or self.ties
        both = all_and_cold(counts, self.cold, ties, self.cold_below if own else None)
        found = {name: both[name] for name in SETTINGS if name in settings}
        found["stratified"] = summary(*counts.auc(ties, stratified=True))
        return found


def check(what: str, given: Iterable[str], known: Sequence[str]) -> None:
    """Refuse a name that is not among those known.

    Raises
    ------
    UsageError
    """
    for name in given:
        if name not in known:
            hint = did_you_mean(name, known) or f"Use {' or '.join(known)}."
            raise UsageError(f"Unknown {what} '{name}'.", hint)


def check_protocol(split: str, ties: str, cold_below: int) -> None:
    """Refuse options of a protocol before any file is read.

    Raises
    ------
    UsageError
    """
    check("split", [split], SPLITS)
    check("rule for ties", [ties], TIES)
    if cold_below < 0:
        raise UsageError(f"{parameter('cold_below', cold_below)} is negative.", "Give 0 or more.")


def unlike(one: Dataset, other: Dataset) -> str:
    """What two datasets differ in, as far as their questions are concerned; empty where they are alike."""
    for what, own, others in (("users", one.users, other.users), ("items", one.items, other.items)):
        if np.array_equal(own.values, others.values):
            continue
        text = f"ids/{what} differs ({len(own):,} and {len(others):,} {what}"
        alone = np.setdiff1d(own.values, others.values)
        other_alone = np.setdiff1d(others.values, own.values)
        for where, ids in (("first", alone), ("second", other_alone)):
            if len(ids):
                text += f"; '{ids[0].decode('utf-8', 'replace')}' is only in the {where}"
        return f"{text})"
    for name in ("train", "valid", "test"):
        a, b = getattr(one, name), getattr(other, name)
        if not (np.array_equal(a.indptr, b.indptr) and np.array_equal(a.indices, b.indices)):
            changed = np.setxor1d(*(p.users.astype(np.int64) * len(one.items) + p.indices for p in (a, b)))
            users = len(np.unique(changed // len(one.items)))
            return f"split/{name} differs (for {users:,} of {len(one.users):,} users)"
        if not np.array_equal(a.times, b.times):
            return f"split/{name}/times differs"
    return ""


def warnings_of(report: dict[str, Any], settings: Sequence[str], ties: str) -> Iterator[str]:
    """What a reader of the results of one scorer should know: nobody to judge, many ties."""
    for setting in settings:
        found = report[setting]
        if found["users"] == 0:
            yield f"No user to judge ({setting}): no held-out item of this kind has a candidate."
            continue
        if found["users"] < FEW_USERS:
            yield (
                f"Only {found['users']} users ({setting}): with fewer than {FEW_USERS} a 95 % interval of "
                "± 1.96 standard errors is too narrow."
            )
        if found["tied_pairs"] > MANY_TIES * found["pairs"]:
            share = found["tied_pairs"] / found["pairs"]
            worth = "nothing" if ties == "strict" else "one half"
            rule = f"the rule for ties is '{ties}'"
            yield f"{share:.1%} of the pairs ({setting}) are ties and count {worth}: {rule}."
