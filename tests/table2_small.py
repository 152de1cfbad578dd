"""Small purchases with a column to divide them by, and what a small table of them is asked."""

from __future__ import annotations

from typing import Any

import numpy as np
from small_models import DATA, HALF

from ivbpr_numba import Dataset

MODELS = ["rand", "pop", "bpr-mf", "i-vbpr", "i-tvbpr", "cosine"]
QUICK = {"iterations": 6, "eval_every": 2, "epochs": 2, "bins": 5, "segment_every": 2}


def divided() -> Dataset:
    """The small purchases, whose items lie on a side; one item has a side of its own, two have none."""
    side = np.where(HALF, b"left", b"right").astype("S5")
    side[3], side[5:7] = b"none", b""
    parts = (DATA.users, DATA.items, DATA.train, DATA.valid, DATA.test)
    return Dataset(*parts, {"side": side}, DATA.source)


def asked() -> dict[str, Any]:
    """What the finished table was asked."""
    return {"models": MODELS, "by": "side", "runs": 2, "min_users": 20, "options": QUICK, "seed": 3}
