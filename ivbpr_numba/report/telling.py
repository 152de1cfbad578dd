"""The facts of a page about fitted models, as dictionaries, lists, numbers and texts; no times, no paths."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ivbpr_numba.questions.overlaps import overlapping
from ivbpr_numba.questions.trends import measure
from ivbpr_numba.report import standing
from ivbpr_numba.report.cards import cards
from ivbpr_numba.report.fits import fits
from ivbpr_numba.report.liking import liking
from ivbpr_numba.report.shoppers import chosen, shopper
from ivbpr_numba.report.trend_figure import embedded

if TYPE_CHECKING:
    from ivbpr_numba.report.item_pictures import ItemPicture
    from ivbpr_numba.report.subject import Subject

__all__ = ["SHORT", "tell_models"]

TRENDS = 7  # features whose change is drawn
# The sections of a page in their order, and what their links say.
SHORT = {
    "why": "Why this",
    "results": "How well",
    "curves": "Learning",
    "warmth": "Cold to warm",
    "liking": "Likes",
    "trends": "Trends",
    "shoppers": "Shoppers",
    "fits": "Fits",
}
Pictures = Callable[[Iterable[str]], Mapping[str, "ItemPicture"]]


def tell_models(
    subject: Subject, users: Sequence[str] = (), title: str | None = None, pictures: Pictures | None = None
) -> dict[str, Any]:
    """Everything that a page about models shows.

    Parameters
    ----------
    subject : Subject
    users : sequence of str
        Shoppers to explain, before those that are chosen by rule.
    title : str, optional
        Headline; by default what was found.
    pictures : callable, optional
        From item ids to the photos of those that have one.

    Returns
    -------
    dict
        ``page`` (its kind), ``sections`` (``name short file``) and a fact or more for each of them.

    Raises
    ------
    DataError
        An unknown user.
    """
    first = subject.first
    shown = [shopper(subject, why, row) for why, row in chosen(subject, users)]
    rows = standing.models(subject)
    story: dict[str, Any] = {
        "page": "models",
        "title": title,
        "label": first.label,
        "reasons": _reasons(subject),
        "models": rows,
        "best": rows[subject.best],
        "baselines": standing.baselines(subject),
        "unlearned": standing.unlearned(subject),
        "differences": standing.differences(subject),
        "classes": standing.classes(subject),
        "truth": None,
        "timeless": None,
        "curves": standing.curves(subject),
        "warmth": standing.warmth(subject),
        "liking": liking(subject) if first.has_reasons else None,
        "trends": _trends(subject) if first.has_reasons and first.in_time else None,
        "why": shown[0],
        "shoppers": shown[1:],
        "cards": cards(
            subject.data,
            first.features if first.has_reasons else None,
            {} if pictures is None else pictures(_items(shown)),
            _items(shown),
        ),
        "fits": fits(subject),
    }
    story["sections"] = [
        {"name": name, "short": short, "file": name} for name, short in SHORT.items() if _there(story, name)
    ]
    return story


def _there(story: Mapping[str, Any], name: str) -> bool:
    """Whether a section has anything to show."""
    if name == "results":
        return True
    return bool(story[name])


def _items(shown: Sequence[Mapping[str, Any]]) -> list[str]:
    """Items that need a card, in the order of the page."""
    found: list[str] = []
    for one in shown:
        held = [one["held_out"]] if one["held_out"] else []
        found += [entry["item"] for entry in (*one["owned"], *one["list"], *held)]
    return list(dict.fromkeys(found))


def _reasons(subject: Subject) -> dict[str, Any]:
    """Whether the page's model can say why, which of the others could, and how its reasons are read.

    ``shared``: values that stand in several groups; ``seen``: whether a network saw the attributes.
    """
    first = subject.first
    kind = first.features.kind if first.features is not None else None
    others = [one.label for one in subject.judged if one.has_reasons and one is not first]
    seen = first.features is not None and first.features.source.get("command") == "features extract"
    shared = sorted(subject.shared)
    return {"named": first.has_reasons, "kind": kind, "others": others, "shared": shared, "seen": seen}


def _trends(subject: Subject) -> dict[str, Any] | None:
    """The drawing of ``ivbpr trends`` for the attributes that change most, for screens and for phones.

    None where no attribute may be chosen, or there is one epoch only.
    """
    first = subject.first
    assert first.features is not None
    overlaps = overlapping(first.features, subject.data.items)
    found = measure(first.model, top=TRENDS, fits=0, overlaps=overlaps)
    if not found.features or len(found.events) < 2:
        return None
    parts = embedded(found, first.file)
    file = first.file or "FILE"
    return {"features": found.features, "epochs": len(found.events), "file": file, **parts}
