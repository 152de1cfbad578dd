"""A shopper who pushes his recommendations around in three steps: what stood first before, and after each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba.answers.answers import title_of
from ivbpr_numba.answers.steps import AMOUNTS
from ivbpr_numba.questions.session import Session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ivbpr_numba.features.layout import Group
    from ivbpr_numba.report.subject import Subject

__all__ = ["steered"]

SHOWN = 6
SURE = 0.5  # from here on an attribute counts as the product's
MORE, LESS = "colour", "pattern"  # groups that a small picture shows


def steered(subject: Subject, user: str) -> dict[str, Any] | None:
    """More of a colour, less of a pattern, then like the product that stands first.

    The wishes follow from the list, not from how well they turn out: the colour is the most frequent one of
    the catalogue that no product of the list has, the pattern the one that most of the list after that have.

    Parameters
    ----------
    subject : Subject
        The page's first model must know the groups `MORE` and `LESS`.
    user : str

    Returns
    -------
    dict or None
        ``user``; ``steps``: ``kind`` (``before``, ``more``, ``less`` or ``toward``), ``term`` (the feature,
        or the title of the product), ``amount``, ``before`` and ``having`` (how many of the list had the
        feature, and have it now), ``new`` and ``list`` (``item title new has``). None where a wish can't be
        made: no such group, or every colour is in the list.
    """
    one = subject.first
    assert one.features is not None
    groups = {group.name: group for group in one.features.groups}
    if not {MORE, LESS} <= groups.keys():
        return None
    values = one.features.values(one.features.rows_of_all(subject.data.items)) >= SURE
    names = one.features.names

    def rows(session: Session) -> list[int]:
        return [subject.data.items.row(entry["item"]) for entry in session.recommend(SHOWN, reasons=False)]

    session = Session(one.model, user, features=one.features)
    now = rows(session)
    if not now:
        return None
    steps = [_step(subject, "before", None, None, now, now, np.zeros(len(values), dtype=bool))]
    column = _most(groups[MORE], values.sum(axis=0), values[now].sum(axis=0) == 0)
    if column is None:
        return None
    for kind in ("more", "less"):
        if kind == "less":
            among = values[now].sum(axis=0)
            column = _most(groups[LESS], among, among > 0)
            if column is None:
                return None
        assert column is not None
        session = session.boost(names[column], AMOUNTS["model"]["boost"] * (1 if kind == "more" else -1))
        before, now = now, rows(session)
        amount = session.steps[-1]["amount"]
        steps.append(_step(subject, kind, names[column], amount, before, now, values[:, column]))
    liked = now[0]
    session = session.toward(subject.data.items[liked])
    before, now = now, rows(session)
    found = _step(
        subject, "toward", None, session.steps[-1]["amount"], before, now, np.zeros(len(values), bool)
    )
    entry = next(entry for entry in steps[-1]["list"] if entry["item"] == subject.data.items[liked])
    steps.append(found | {"term": entry["title"] or entry["item"], "item": entry["item"]})
    return {"user": user, "shown": SHOWN, "steps": steps}


def _most(group: Group, count: np.ndarray, allowed: np.ndarray) -> int | None:
    """The column of a group with the largest count, the first of equal ones."""
    columns = [k for k in range(group.offset, group.offset + group.size) if allowed[k]]
    return max(columns, key=lambda k: (count[k], -k), default=None)


def _step(
    subject: Subject,
    kind: str,
    term: str | None,
    amount: float | None,
    before: Sequence[int],
    now: Sequence[int],
    has: np.ndarray,
) -> dict[str, Any]:
    data = subject.data
    return {
        "kind": kind,
        "term": term,
        "amount": amount,
        "before": int(has[list(before)].sum()),
        "having": int(has[list(now)].sum()),
        "new": len(set(now) - set(before)),
        "list": [
            {"item": data.items[i], "title": title_of(data, i), "new": i not in before, "has": bool(has[i])}
            for i in now
        ],
    }
