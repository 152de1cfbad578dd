"""Options chosen by validation AUC: spaces, successive halving, journal, and what mattered.

A search walks straight: space → proposals → rungs, wave by wave, in processes → journal → `Tuning`, its file.
"""

from __future__ import annotations

from ivbpr_numba.tuning.result import Tuning
from ivbpr_numba.tuning.search import tune

__all__ = ["Tuning", "tune"]
