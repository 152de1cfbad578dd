"""The paper's own table 2: 48 numbers, of Amazon's clothing of 2014. Another corpus than anybody's here."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from ivbpr_numba.models.specifications import MODELS

__all__ = ["CORPUS", "paper_rows"]

FILE = Path(__file__).parents[1] / "assets" / "paper_table2.csv"
CORPUS = "the paper (Packer, McAuley and Ramisa 2018, table 2): Amazon, another corpus"
_SETTINGS = {"All Items": "all", "Cold Start": "cold"}


def paper_rows() -> list[dict[str, Any]]:
    """``subset setting model auc``: the paper's three corpora, two settings and eight models."""
    rows = []
    with open(FILE, encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            for model in MODELS:
                value = float(line[model.upper()])
                setting = _SETTINGS[line["setting"]]
                rows.append({"subset": line["dataset"], "setting": setting, "model": model, "auc": value})
    return rows
