"""Names in a network file of ours: its outputs, and its metadata."""

from __future__ import annotations

__all__ = ["FEATURES", "KEYS", "PROBABILITIES", "VERSION"]

PROBABILITIES = "probabilities"  # our networks' outputs
FEATURES = "features"
VERSION = "1.0"
KEYS = {
    "format": "ivbpr.format",
    "vocabulary": "ivbpr.vocabulary",
    "preprocessing": "ivbpr.preprocessing",
    "record": "ivbpr.record",
}
