"""A shopper's visit: who it is, how items are ranked, what was asked for so far, and the answers to it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba import expected
from ivbpr_numba.answers.affinity import (
    METRICS,
    NORMALISATIONS,
    affinity,
    affinity_of_likes,
    boosted,
    check_choice,
    nearest,
    phi,
    reasons_of_taste,
    taste_space,
    toward,
)
from ivbpr_numba.answers.answers import Asked, Where, allowed_items, check_number, explain, rows_of
from ivbpr_numba.answers.folding import folded
from ivbpr_numba.answers.shoppers import PARTS, Shoppers, row_of_user, stored
from ivbpr_numba.answers.steering import Steered, Steering, spread_of
from ivbpr_numba.answers.steps import AMOUNTS, Step, item_row
from ivbpr_numba.answers.views import View, Views
from ivbpr_numba.errors import UsageError, parameter
from ivbpr_numba.parameters import VisualParameters

if TYPE_CHECKING:
    from ivbpr_numba.features.features import Features

__all__ = ["Base", "Reading", "Visit"]

KEPT = 4  # rows of scores that a session keeps, each of other likes
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Reading:
    """How items are ranked, and how equations 5 to 7 are read.

    Attributes
    ----------
    by : str
        ``model``: the scores of the model, what was asked for added. ``knn``: nearness to the affinity.
    metric : str
        Of ``knn``: ``cosine`` or ``euclid``.
    normalise, temperature : str and float
        N of equation 5; see `affinity.affinity`.
    literal : bool
        Equation 6 as printed.
    """

    by: str = "model"
    metric: str = "cosine"
    normalise: str = "shift"
    temperature: float = 1.0
    literal: bool = False

    def check(self) -> None:
        """Refuse what is none of the choices.

        Raises
        ------
        UsageError
        """
        check_choice("by", self.by, tuple(AMOUNTS))
        check_choice("metric", self.metric, METRICS)
        check_choice("normalise", self.normalise, NORMALISATIONS)
        warm = isinstance(self.temperature, int | float) and not isinstance(self.temperature, bool)
        if not (warm and 0 < self.temperature < float("inf")):
            raise UsageError(
                f"{parameter('temperature', self.temperature)}: it must be a number above 0.", "Give 1."
            )
        if not isinstance(self.literal, bool):
            raise UsageError(f"{parameter('literal', self.literal)}: it is True or False.", "Give one.")


@dataclass(frozen=True)
class Base:
    """A shopper before anything was asked for, with all scores (I,) and their spread σ_u, made once."""

    shopper: Shoppers
    scores: np.ndarray
    spread: float


@dataclass(frozen=True)
class Visit:
    """One shopper of a view, and what he asked for.

    Attributes
    ----------
    view : View
    row : int or None
        Of the user; None for a new shopper.
    liked : tuple of item rows
        What a new shopper liked from the beginning.
    reading : Reading
    exclude : sequence of str
        Parts of the split whose items the user already has.
    steps : tuple of Step
    kept : dict
        `Base` by likes, for the visits that follow this one; at most `KEPT`.
    """

    view: View
    row: int | None = None
    liked: tuple[int, ...] = ()
    reading: Reading = field(default_factory=Reading)
    exclude: Sequence[str] = PARTS
    steps: tuple[Step, ...] = ()
    kept: dict[tuple[int, ...], Base] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def begin(
        cls,
        views: Views,
        user: object = None,
        likes: Sequence[object] = (),
        *,
        at: object = None,
        reading: Reading | None = None,
        exclude: Sequence[str] = PARTS,
        features: Features | None = None,
    ) -> Visit:
        """Of a user, or of a new shopper who likes some items; the parameters are those of `Session`.

        Raises
        ------
        UsageError
            A user and likes; an unknown reading or part of the split; a ranking that the model can't do.
        DataError
            Unknown user or item.
        """
        likes, reading = expected.several("likes", likes), reading or Reading()
        if user is not None and len(likes):
            raise UsageError(
                f"A user of the model and {parameter('likes')} are two shoppers.",
                "Name the user, or what a new shopper likes; a user can go toward items.",
            )
        reading.check()
        row = None if user is None else row_of_user(views.fitted.data, user)
        view = views.at(at, features)
        rows = tuple(item_row(view, item) for item in likes)
        if len(set(rows)) < len(rows):
            twice = next(item for item, liked in zip(likes, rows) if rows.count(liked) > 1)
            raise UsageError(f"The item '{twice}' is liked twice.", "Name every liked item once.")
        return cls(view, row, rows, reading, tuple(expected.names("exclude", exclude))).checked()

    def checked(self) -> Visit:
        """The same, unless it can't be answered.

        Raises
        ------
        UsageError
            An unknown reading or part of the split; a ranking by attributes of a model without.
        """
        self.reading.check()
        stored(self.view, np.zeros(0, np.int64), self.exclude)
        if self.reading.by == "knn":
            taste_space(self.view)
        return self

    @cached_property
    def likes(self) -> tuple[int, ...]:
        """Items that a new shopper likes now, in the order in which he said so."""
        found = dict.fromkeys(self.liked)
        for step in self.steps:
            if step.kind == "like":
                found[step.row] = None
            elif step.kind == "unlike":
                found.pop(step.row, None)
        return tuple(found)

    @property
    def shopper(self) -> Shoppers:
        """Who it is, before anything was asked for."""
        if self.row is not None:
            return stored(self.view, np.array([self.row]), self.exclude)
        return folded(self.view, self.likes)

    @property
    def base(self) -> Base:
        """The same with scores; kept."""
        if self.likes not in self.kept:
            shopper = self.shopper
            scores = shopper.scores(self.view)[0]
            while len(self.kept) >= KEPT:
                del self.kept[next(iter(self.kept))]
            self.kept[self.likes] = Base(shopper, scores, spread_of(scores))
        return self.kept[self.likes]

    @cached_property
    def steering(self) -> Steering | None:
        """The sum of what was asked for; None where that is nothing."""
        asked: dict[str, dict[int, list[float]]] = {"boost": defaultdict(list), "toward": defaultdict(list)}
        for step in self.steps:
            if step.kind in asked:
                asked[step.kind][step.row].append(step.amount)
        if not (asked["boost"] or asked["toward"]):
            return None
        return Steering.of(self.view, asked["boost"], asked["toward"])

    @cached_property
    def steered(self) -> Shoppers:
        """Who it is, and what he asked for."""
        if self.steering is None:
            return self.base.shopper if self.likes in self.kept else self.shopper
        return Steered.of(self.view, self.base.shopper, self.base.scores, self.base.spread, self.steering)

    @cached_property
    def affinity(self) -> np.ndarray:
        """p by equation 5, or, of a new shopper, the mean of his likes; then click after click; (F,)."""
        if not isinstance(self.view.parameters, VisualParameters):
            raise UsageError(
                f"{self.view.fitted.name} knows no attributes, so nobody has an affinity to them.",
                "Ask vbpr, i-vbpr or a model in time.",
            )
        if self.row is None:
            p = affinity_of_likes(self.view, np.array(self.likes, np.int64))
        else:
            p = affinity(self.view, self.shopper, self.reading.normalise, self.reading.temperature)
        for step in self.steps:
            if step.kind == "boost":
                p = boosted(p, step.row, phi(step.amount, len(p)))
            elif step.kind == "toward":
                size = phi(step.amount, len(p))
                p = toward(p, self.view.values([step.row])[0], size, self.reading.literal)
        return p

    def recommend(
        self,
        n: int = 10,
        where: Where | None = None,
        because: str | None = None,
        reasons: bool | None = None,
    ) -> tuple[Rows, str]:
        """The best items now, and a sentence about ties where there is one to say; see `Model.recommend`."""
        if self.reading.by == "knn":
            return self._nearest(n, where, because, reasons), ""
        asked = Asked.of(self.view, n, where, because, reasons)
        rows = asked.rows(self.view, self.steered)[0]
        if asked.because is None:
            return rows, ""
        shown = self.view.fitted.data.items.find([row["item"] for row in rows])
        return rows, asked.because.ties(shown, self.steered.owned[1])

    def _nearest(self, n: int, where: Where | None, because: str | None, reasons: bool | None) -> Rows:
        check_number(n)
        if because is not None:
            raise UsageError(
                f"{parameter('because')} ranks by a term of the scores, {parameter('by', 'knn')} has none.",
                "Leave one of them out.",
            )
        allowed = allowed_items(self.view.fitted.data, where)
        clicked = [step.row for step in self.steps if step.kind == "toward"]
        had = self.likes if self.row is None else self.shopper.owned[1]  # nothing has to be folded in
        seen = np.concatenate([had, clicked]).astype(np.int64)
        items, similar = nearest(self.view, self.affinity, n, seen, allowed, self.reading.metric)
        rows = rows_of(self.view.fitted.data, items, similar)
        if reasons is not False:
            more: dict[int, float] = defaultdict(float)
            for step in self.steps:
                if step.kind == "boost":
                    more[step.row] += step.amount
            wanted = frozenset(column for column, amount in more.items() if amount > 0)
            for row, own in zip(rows, reasons_of_taste(self.view, self.affinity, items, wanted)):
                row["because"] = own
        return rows

    def explain(self, item_row: int) -> dict[str, Any]:
        """The terms of one score, which sum to it; see `Model.explain`.

        Raises
        ------
        UsageError
            Items are not ranked by scores.
        """
        if self.reading.by == "knn":
            raise UsageError(
                f"A ranking {parameter('by', 'knn')} has no score whose terms could be told.",
                f"Rank with {parameter('by', 'model')}.",
            )
        return explain(self.view, self.steered, item_row)

    @property
    def remarks(self) -> list[str]:
        """What a reader of the answers must know about the steps, as sentences."""
        found = []
        without = self.steering.without_direction if self.steering is not None else []
        if self.reading.by == "model":
            for item in without:
                found.append(f"{item} is as the average item, so nothing leads toward it.")
            return found
        clicked = dict.fromkeys(step.row for step in self.steps if step.kind == "toward")
        for row in clicked:
            if not self.view.views.space.sums[row] > 0:
                item = self.view.fitted.data.items[row]
                found.append(f"{item} has no attributes, so nothing leads toward it.")
        return found
