"""The figure of ``ivbpr tune --plot``: every option and trial is there, and nothing leaves the page."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from small_models import ATTRIBUTES, DATA

from ivbpr_numba import Tuning, tune
from ivbpr_numba.report.drawing import Area, Words, width_of
from ivbpr_numba.report.tuning_figure import tuning_figure


@pytest.fixture(scope="module")
def found() -> Tuning:
    """Enough trials to tell what mattered."""
    space = {
        "learning_rate": {"low": 0.002, "high": 0.05, "scale": "log"},
        "negatives": ["uniform", "trained", "popularity"],
        "visual_factors": [2, 4],
    }
    return tune("i-vbpr", DATA, ATTRIBUTES, trials=20, processes=1, space=space, options={"iterations": 12})


def test_what_is_drawn(found: Tuning) -> None:
    drawing = tuning_figure(found)
    root = ElementTree.fromstring(drawing.svg())
    texts = [one.text for one in root.iter("{http://www.w3.org/2000/svg}text")]
    for text in ("learning rate", "negatives", "visual factors", "popularity", "0.002", "0.05", "0.01"):
        assert text in texts, text
    discs = [part for part in drawing.parts if isinstance(part, Area) and len(part.points) == 16]
    assert len(discs) == 4 + 3 * 20  # the legend, and every trial by each option
    said = drawing.text
    assert f"Best {found.valid_auc:.4f}" in said and "What mattered: " in said
    for row in found.importance:
        assert f"{row['option']} " in said
        share = "−" * (round(100 * row["share"]) < 0) + f"{abs(round(100 * row['share']))}"
        assert any(re.match(rf"{share}\xa0% ± ", text or "") for text in texts), (share, texts)


def test_nothing_leaves_the_page(found: Tuning) -> None:
    drawing = tuning_figure(found)
    for part in drawing.parts:
        if isinstance(part, Words):
            wide = width_of(part.text, part.size, part.bold)
            left = part.x - {"start": 0, "middle": wide / 2, "end": wide}[part.anchor]
            assert left >= 0 and left + wide <= drawing.width and part.y <= drawing.height, part
        else:
            assert all(0 <= x <= drawing.width and 0 <= y <= drawing.height for x, y in part.points)


def test_too_few_trials(found: Tuning, tmp_path: Path) -> None:
    few = replace(found, trials=found.trials[:1], importance=[])
    drawing = tuning_figure(few)
    assert any(isinstance(part, Words) and "Too few trials" in part.text for part in drawing.parts)
    assert drawing.encoded(".svg").startswith(b"<svg")
    assert drawing.encoded(".png").startswith(b"\x89PNG")
