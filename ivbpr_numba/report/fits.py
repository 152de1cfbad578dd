"""Figures of the fits: the data and what was dropped, options, epochs, versions, digests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ivbpr_numba.fitted.fitted import RUN_OPTIONS
from ivbpr_numba.questions.trends import measure

if TYPE_CHECKING:
    from ivbpr_numba.report.subject import Judged, Subject

__all__ = ["fits"]

VERSIONS = {"ivbpr": "ivbpr", "python": "Python", "numpy": "numpy", "numba": "numba"}


def fits(subject: Subject) -> dict[str, Any]:
    """What one needs to know to do it again.

    Returns
    -------
    dict
        ``data``: ``users items train valid test`` and ``steps``, what `prepare` dropped at each step, empty
        where that is not known; ``models``: ``label learned_from iterations kept valid numbers``;
        ``options``: ``label given``, every option of a fit as text; ``epochs``: ``label rows``; ``versions``;
        ``digests`` by name.
    """
    data = subject.data
    every = [_numbered(one) for one in subject.judged]
    return {
        "data": {
            "users": len(data.users),
            "items": len(data.items),
            **{name: len(getattr(data, name)) for name in ("train", "valid", "test")},
            "steps": [
                {key: row.get(key) for key in ("step", "interactions", "users", "items", "dropped", "why")}
                for row in data.source.get("report", [])
            ],
        },
        "models": every,
        "options": [{"label": one.label, "given": _options(one.model.config_)} for one in subject.judged],
        "epochs": [{"label": one.label, "rows": _epochs(one)} for one in subject.judged if one.in_time],
        "versions": _versions(subject.first.model.provenance_),
        "digests": _digests(subject),
    }


def _numbered(one: Judged) -> dict[str, Any]:
    history, record = one.model.history_, one.model.features_
    known = [row for row in history if row.get("valid_auc") is not None]
    best = max(known, key=lambda row: (row["valid_auc"], -row["iteration"])) if known else None
    valid = one.model.metrics_.get("valid", {}).get("all", {}).get("auc")
    return {
        "label": one.label,
        "features": None if record is None else {"count": len(record.names), "kind": record.kind},
        "iterations": history[-1]["iteration"] if history else None,
        "kept": best["iteration"] if best else None,
        "valid": valid,
        "numbers": one.model.parameters_.count(),
    }


def _options(config: Mapping[str, Any]) -> dict[str, str]:
    shown = {}
    for name, value in sorted(config.items()):
        if name not in RUN_OPTIONS and value is not None:
            shown[name.replace("_", "-")] = f"{value:g}" if isinstance(value, float) else str(value)
    return shown


def _epochs(one: Judged) -> list[dict[str, Any]]:
    found = measure(one.model, [], fits=0)
    return [
        {"from": first, "to": last, "events": int(events)}
        for (first, last), events in zip(found.dates, found.events.tolist())
    ]


def _versions(provenance: Mapping[str, Any]) -> dict[str, str]:
    return {shown: str(provenance[name]) for name, shown in VERSIONS.items() if name in provenance}


def _digests(subject: Subject) -> dict[str, str]:
    found = {"dataset": subject.data.payload_sha256}
    for one in subject.judged:
        if one.model.features_ is not None:
            found[f"features of {one.label}"] = one.model.features_.sha256
    return found | {one.file or one.label: one.model.payload_sha256_ for one in subject.judged}
