"""Everything a fitted model is, but for the stored features themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ivbpr_numba.parameters import Parameters
from ivbpr_numba.store.digest import canonical_json, digest_objects
from ivbpr_numba.store.tree import FORMAT_VERSION, Value, as_canonical

if TYPE_CHECKING:
    from ivbpr_numba.datasets.dataset import Dataset
    from ivbpr_numba.features.record import FeatureRecord

__all__ = ["RUN_OPTIONS", "Fitted", "learning_options", "place"]

# Options of how a fit runs, not of what it learns: they never enter a digest.
RUN_OPTIONS = {"threads": None, "device": "cpu"}
DRIFTING = ("item_bias_drift", "category_bias")  # only with item_drift=True
IN_TIME = ("epoch_edges", "weight", "drift", "bias_weight", "bias_drift", *DRIFTING)


def learning_options(config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a configuration that decides what is learned: no threads, no device.

    Validation over everybody, and a fit in one part, are what there is without the options, so they are no
    part either.
    """
    return {
        name: value
        for name, value in config.items()
        if name not in RUN_OPTIONS and (name, value) not in (("valid_users", "all"), ("parts", 1))
    }


def place(name: str) -> str:
    """Path of a parameter in a model file."""
    return f"/params/temporal/{name}" if name in IN_TIME else f"/params/{name}"


@dataclass(frozen=True)
class Fitted:
    """The result of a fit: made once, whole, and never changed.

    Attributes
    ----------
    name : str
        As on the command line: ``bpr-mf``, ``i-vbpr``, …
    data : Dataset
        Ids, split and item columns of the data it was fitted to.
    parameters : Parameters
        The learned arrays.
    config : dict
        Every resolved option.
    features : FeatureRecord or None
        Names, groups, digest, path and scaling of the features it was fitted to.
    history : list of dict
        One row per evaluation during the fit.
    metrics : dict
        ``metrics["test"]["cold"]``: see `ranking.summary`; of the finished model.
    provenance : dict
        Versions, device and why, digests of the inputs.
    payload_sha256 : str
        Digest of what was learned (data/FORMAT.md, section 5); see `sealed`.
    """

    name: str
    data: Dataset
    parameters: Parameters
    config: dict[str, Any]
    features: FeatureRecord | None
    history: list[dict[str, Any]]
    metrics: dict[str, dict[str, Any]]
    provenance: dict[str, Any]
    payload_sha256: str

    @classmethod
    def sealed(cls, **parts: Any) -> Fitted:
        """Make one of all its parts but the digest, which is computed."""
        return cls(**parts, payload_sha256=digest_objects(payload_of(cls(**parts, payload_sha256=""))))


def payload_of(fitted: Fitted) -> dict[str, Value]:
    """What the payload digest covers: what was learned from what, not where, when or how fast."""
    found: dict[str, Value] = {
        "/@format_version": FORMAT_VERSION,
        "/@model": fitted.name,
        "/learning": canonical_json(learning_options(fitted.config)),
    }
    data = fitted.data.objects()
    found |= {path: value for path, value in data.items() if not path.startswith("/items/")}
    found |= {place(name): array for name, array in fitted.parameters.arrays().items()}
    if fitted.features is not None:
        scaling = fitted.features.scaling
        found |= {
            "/features/sha256": fitted.features.sha256,
            "/features/shift": scaling.shift,
            "/features/multiplier": scaling.multiplier,
        }
    return {path: as_canonical(value) for path, value in found.items()}
