"""A visit that goes on step by step: more of this, less of that, like this one; undone, saved, replayed."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba import expected
from ivbpr_numba.answers import steps as stepping
from ivbpr_numba.answers.shoppers import PARTS
from ivbpr_numba.answers.steps import Step
from ivbpr_numba.answers.visits import Reading, Visit
from ivbpr_numba.errors import DataError, UsageError

if TYPE_CHECKING:
    from ivbpr_numba.features.features import Features
    from ivbpr_numba.models.base import Model

__all__ = ["SCHEMA", "Session"]

SCHEMA = "ivbpr.session/1"
READING = ("by", "metric", "normalise", "temperature", "literal")


class Session:
    """Recommendations that a shopper pushes around (paper 5, model specification 7).

    A session never changes: every step returns another one. The same steps give the same list, in another
    process too.

    Parameters
    ----------
    model : Model
        A fitted one.
    user : id, optional
        Without it the shopper is new.
    likes : sequence of ids
        Items that a new shopper likes; they are not recommended. Without any, the taste is nobody's.
    at : date, text or seconds, optional
        For models in time; by default the last epoch.
    by : str
        ``model`` ranks by x̂_ui + σ_u Σ_k δ_k v_ik, ``knn`` by nearness to the affinity in attribute space.
    metric : str
        Of ``knn``: ``cosine`` or ``euclid``.
    normalise : str
        N of equation 5: ``shift``, ``softmax`` (with `temperature`), or ``paper``, as printed.
    temperature : float
    literal : bool
        Equation 6 as printed: what is added is not divided by its sum.
    exclude : sequence of str
        Parts of the split whose items the user already has.
    features : Features, optional
        Where they aren't at the recorded path.

    Raises
    ------
    UsageError
        An unknown choice; a user and likes; a model that can't do it.
    DataError
        Unknown user or item.

    Examples
    --------
    >>> session = Session(model, "user-17").boost("leather").toward("0108775015")  # doctest: +SKIP
    >>> session.recommend(10)  # doctest: +SKIP
    """

    def __init__(
        self,
        model: Model,
        user: object = None,
        *,
        likes: Sequence[object] = (),
        at: object = None,
        by: str = "model",
        metric: str = "cosine",
        normalise: str = "shift",
        temperature: float = 1.0,
        literal: bool = False,
        exclude: Sequence[str] = PARTS,
        features: Features | None = None,
    ) -> None:
        expected.model(model, "Session")
        visit = Visit.begin(
            model.views, user, likes, at=at, exclude=exclude, features=features,
            reading=Reading(by, metric, normalise, temperature, literal),
        )  # fmt: skip
        self._become(model, visit, at, features)

    def _become(self, model: Model, visit: Visit, at: object, features: Features | None) -> None:
        self.model, self.visit, self.moment, self._features = model, visit, at, features

    def _with(self, **parts: Any) -> Session:
        """Another session of the same model and moment."""
        found = Session.__new__(Session)
        found._become(self.model, dataclasses.replace(self.visit, **parts), self.moment, self._features)
        return found

    def _then(self, step: Step) -> Session:
        return self._with(steps=(*self.visit.steps, step))

    def __repr__(self) -> str:
        who = repr(self.user) if self.user is not None else f"likes={self.likes}"
        return f"Session({self.model.name}, {who}, by='{self.ranked_by}', {len(self.visit.steps)} steps)"

    # --- who, and what was asked for ---

    @property
    def user(self) -> str | None:
        """Id of the user, None for a new shopper."""
        row = self.visit.row
        return None if row is None else self.visit.view.fitted.data.users[row]

    @property
    def likes(self) -> list[str]:
        """Ids of what a new shopper likes now."""
        return [self.visit.view.fitted.data.items[row] for row in self.visit.likes]

    @property
    def ranked_by(self) -> str:
        """``model`` or ``knn``."""
        return self.visit.reading.by

    @property
    def steps(self) -> tuple[dict[str, Any], ...]:
        """What was asked for, in order: ``{"step": "boost", "feature": "material=leather", "amount": 0.5}``,
        ``toward`` with ``item`` and ``amount``, ``like`` and ``unlike`` with ``item``."""
        return tuple(stepping.told(self.visit.view, step) for step in self.visit.steps)

    @property
    def remarks(self) -> list[str]:
        """What a reader of the answers must know, as sentences."""
        return list(dict.fromkeys([*self.visit.view.remarks, *self.visit.remarks]))

    # --- steps ---

    def boost(self, feature: str, amount: float | None = None) -> Session:
        """More of a feature; less where `amount` is below 0.

        Parameters
        ----------
        feature : str
            Its name, or its value where that is unique.
        amount : float, optional
            By ``model`` an item that surely has the feature is lifted by so many standard deviations of this
            shopper's scores (1); by ``knn`` φ' of equation 7 is so many mean shares 1/F.

        Raises
        ------
        UsageError
            An unknown feature, with a near miss; a model without attributes; a wrong amount.
        """
        return self._then(stepping.boost(self.visit.view, feature, amount, self.ranked_by))

    def toward(self, item: object, amount: float | None = None) -> Session:
        """More like an item, in all its attributes; away from it where `amount` is below 0.

        Parameters
        ----------
        item : id
        amount : float, optional
            By ``model`` the item itself gains so many standard deviations over the average item (1); by
            ``knn`` φ of equation 6 is so many mean shares 1/F, and the item is no longer recommended.

        Raises
        ------
        UsageError
            A model without attributes; a wrong amount.
        DataError
            An unknown item.
        """
        return self._then(stepping.toward(self.visit.view, item, amount, self.ranked_by))

    def like(self, item: object) -> Session:
        """An item that a new shopper likes: his taste is found anew.

        Raises
        ------
        UsageError
            The shopper is a user of the model, or likes it already.
        DataError
            An unknown item.
        """
        step = self._like(item, "like")
        if step.row in self.visit.likes:
            raise UsageError(f"{item} is liked already.", "Name another item.")
        return self._then(step)

    def unlike(self, item: object) -> Session:
        """Take back a like; raises as `like`, and where the item is not liked."""
        step = self._like(item, "unlike")
        if step.row not in self.visit.likes:
            raise UsageError(f"{item} is not among the likes.", "Name one of them.")
        return self._then(step)

    def _like(self, item: object, kind: str) -> Step:
        if self.visit.row is not None:
            raise UsageError(
                f"{self.user} is a user of the model, whose taste was learned.",
                "Go toward an item, or begin as a new shopper.",
            )
        return stepping.like(self.visit.view, item, kind)

    def undo(self) -> Session:
        """Without the last step.

        Raises
        ------
        UsageError
            There is none.
        """
        if not self.visit.steps:
            raise UsageError("There is no step to undo.", "Take one first.")
        return self._with(steps=self.visit.steps[:-1])

    def without(self, index: int) -> Session:
        """Without the step of that place in `steps`, from 0.

        Raises
        ------
        UsageError
            There is no such step.
        """
        steps = self.visit.steps
        if not steps:
            raise UsageError("There is no step to take back.", "Take one first.")
        place = expected.whole("index", index, 0, len(steps) - 1)
        return self._with(steps=steps[:place] + steps[place + 1 :])

    def reset(self) -> Session:
        """Without any step."""
        return self._with(steps=())

    def at(self, moment: object) -> Session:
        """The same at another time; None is the last epoch.

        Raises
        ------
        UsageError
            The model knows no time, or this one can't be read.
        """
        found = self._with(view=self.model.view(moment, self._features), kept={})
        found.moment = moment
        return found

    def by(self, how: str) -> Session:
        """The same steps, with the amounts they have, ranked by ``model`` or ``knn``.

        Raises
        ------
        UsageError
            An unknown ranking, or one that the model can't do.
        """
        found = self._with(reading=dataclasses.replace(self.visit.reading, by=how))
        found.visit.checked()
        return found

    # --- answers ---

    def recommend(
        self,
        n: int = 10,
        *,
        where: Mapping[str, str | Sequence[str]] | None = None,
        because: str | None = None,
        reasons: bool | None = None,
    ) -> list[dict[str, Any]]:
        """The best items now, as `Model.recommend` gives them.

        What was asked for stands first in ``because``, with the ``kind`` ``boost``; by ``knn`` the score is
        the similarity, and the reasons are its parts.
        """
        return self.visit.recommend(n, where, because, reasons)[0]

    def explain(self, item: object) -> dict[str, Any]:
        """The terms of a score, as `Model.explain` gives them; what was asked for has the kind ``boost``.

        What a step toward an item contributes compares with the average item, as attributes do; the rest of
        it is a level that is the same for every item.

        Raises
        ------
        UsageError
            Ranked by ``knn``.
        DataError
            An unknown item.
        """
        row = stepping.item_row(self.visit.view, item)
        return {"user": self.user, **self.visit.explain(row)}

    @property
    def p(self) -> np.ndarray:
        """The affinity to every feature now: equation 5 and the steps by equations 6 and 7, (F,) float64."""
        return self.visit.affinity.copy()

    def affinity(self, n: int | None = None) -> list[dict[str, Any]]:
        """The same as rows ``feature group share``, the largest first, at most `n`."""
        p, record = self.visit.affinity, self.visit.view.fitted.features
        assert record is not None
        most = len(p) if n is None else expected.whole("n", n, 1)
        group = [one.name for one in record.groups for _ in range(one.size)]
        order = np.argsort(-p, kind="stable")[:most].tolist()
        return [{"feature": record.names[k], "group": group[k], "share": float(p[k])} for k in order]

    # --- as text ---

    def as_dict(self) -> dict[str, Any]:
        """What `to_json` writes."""
        visit, fitted = self.visit, self.visit.view.fitted
        reading = dataclasses.asdict(visit.reading)
        return {
            "schema": SCHEMA,
            "model": fitted.name,
            "payload_sha256": fitted.payload_sha256,
            "user": self.user,
            "likes": [fitted.data.items[row] for row in visit.liked],
            "at": self.moment.isoformat() if isinstance(self.moment, date | datetime) else self.moment,
            **{name: reading[name] for name in READING},
            "exclude": list(visit.exclude),
            "steps": list(self.steps),
        }

    def to_json(self) -> str:
        """The session as one line of text: everything but the model, which it names by its digest."""
        return json.dumps(self.as_dict(), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | bytes, model: Model, features: Features | None = None) -> Session:
        """Continue a session that `to_json` wrote.

        Raises
        ------
        DataError
            No session, or one with another model.
        UsageError, DataError
            See `Session`.
        """
        expected.model(model, "Session.from_json")
        try:
            found = json.loads(text)
        except (TypeError, ValueError, RecursionError):
            found = None
        if not isinstance(found, dict) or found.get("schema") != SCHEMA:
            raise DataError(f"This is no session ({SCHEMA}).", "Give the text that Session.to_json returned.")
        fitted = model.views.fitted
        if found.get("payload_sha256") != fitted.payload_sha256:
            raise DataError(
                f"The session belongs to another model: {str(found.get('payload_sha256'))[:12]}…, "
                f"{found.get('model')}; this one is {fitted.payload_sha256[:12]}…, {fitted.name}.",
                "Load the model of the session.",
            )
        wanted = ("user", "likes", "at", *READING, "exclude", "steps")
        missing = [name for name in wanted if name not in found]
        if missing:
            raise DataError(f"The session has no '{missing[0]}'.", "Save it again.")
        options = {name: found[name] for name in ("likes", "at", *READING, "exclude")}
        _refuse_odd(found)
        session = cls(model, found["user"], **options, features=features)
        read = stepping.read_steps(session.visit.view, found["steps"], session.ranked_by)
        if session.visit.row is not None and any(step.kind in ("like", "unlike") for step in read):
            raise DataError("The session has likes of a user of the model.", "Save it again.")
        return session._with(steps=tuple(read))


def _refuse_odd(found: Mapping[str, Any]) -> None:
    """Refuse values that no session writes."""
    lists = all(
        isinstance(found[name], list) and all(isinstance(one, str) for one in found[name])
        for name in ("likes", "exclude")
    )
    if (
        not lists
        or not isinstance(found["user"], str | None)
        or not isinstance(found["at"], str | int | None)
    ):
        raise DataError("The session names its shopper or time in an unknown way.", "Save it again.")
    try:
        Reading(**{name: found[name] for name in READING}).check()
    except UsageError as problem:
        raise DataError(*problem.marked) from None
