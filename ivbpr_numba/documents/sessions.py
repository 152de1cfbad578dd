"""Documents of a session: its list now, the terms of a score, the affinity, and the session itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ivbpr_numba.documents.document import Document
from ivbpr_numba.documents.items import BRIEF, flat, without_reasons
from ivbpr_numba.wording import first_of

if TYPE_CHECKING:
    from ivbpr_numba.answers.answers import Where
    from ivbpr_numba.questions.session import Session

__all__ = ["affinity", "explain", "recommend", "saved", "step_text", "who"]


def recommend(
    session: Session,
    n: int = 10,
    *,
    where: Where | None = None,
    because: str | None = None,
    reasons: bool | None = None,
    reasons_in_rows: bool = False,
) -> Document:
    """The best items now, in the layout ``ivbpr.recommend/1``.

    Its content has ``notes``, sentences about the ranking, ``warnings``, what a reader must know, and
    ``session``, what was asked for: ``by likes steps``.

    Parameters
    ----------
    reasons_in_rows : bool
        Whether the rows have a column ``because``, the reasons as one text.
    """
    model = session.model
    items, note = session.visit.recommend(n, where, because, reasons)
    content = {
        "user": session.user,
        "at": session.moment,
        "model": model.name,
        "items": items,
        "notes": [note for note in (note, without_reasons(model, reasons)) if note],
        "warnings": session.remarks,
        "session": {"by": session.ranked_by, "likes": session.likes, "steps": list(session.steps)},
    }
    return Document("recommend", content, flat(items, reasons_in_rows), columns=BRIEF)


def explain(session: Session, item: object) -> Document:
    """The terms of one score, in the layout ``ivbpr.explain/1``; see `Session.explain`."""
    found = session.explain(item)
    content = {**found, "at": session.moment, "model": session.model.name, "warnings": session.remarks}
    return Document("explain", content, found["terms"])


def affinity(session: Session, n: int | None = None) -> Document:
    """The share of each feature, the largest first; see `Session.affinity`."""
    rows = session.affinity(n)
    content = {
        "user": session.user,
        "at": session.moment,
        "model": session.model.name,
        "features": rows,
        "warnings": session.remarks,
    }
    return Document("affinity", content, rows, columns=("feature", "group", "share"))


def saved(session: Session) -> Document:
    """The session itself, as `Session.to_json` writes it; a row a step."""
    content = {key: value for key, value in session.as_dict().items() if key != "schema"}
    rows = [{"number": number, **step} for number, step in enumerate(session.steps, 1)]
    return Document("session", content, rows, columns=("number", "step"))


def who(session: Session) -> str:
    """Whom a session is of, in words."""
    if session.user is not None:
        return session.user
    likes = session.likes
    return f"a new shopper who likes {first_of(likes)}" if likes else "a new shopper"


def step_text(step: dict[str, Any]) -> str:
    """A step in words: ``more material=leather (0.5)``, ``toward 0108775015 (1)``, ``like 0108775015``."""
    if step["step"] == "boost":
        return f"{'less' if step['amount'] < 0 else 'more'} {step['feature']} ({abs(step['amount']):g})"
    if step["step"] == "toward":
        away = "away from" if step["amount"] < 0 else "toward"
        return f"{away} {step['item']} ({abs(step['amount']):g})"
    return f"{step['step']} {step['item']}"
