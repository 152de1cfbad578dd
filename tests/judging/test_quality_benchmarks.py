"""The benchmarks of quality: what they compare, count and pair."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from painted_shop import KNOWN, SPLIT, Shop

from ivbpr_numba import BPRMF, VBPR
from ivbpr_numba.ids import Ids
from ivbpr_numba.training.splitting import part_of


def test_the_benchmark_compares_on_the_test_part(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    import network_quality

    images = shop.folder / "one"
    images.mkdir()
    for item, colours in shop.pixels.items():
        colour = tuple(np.round(colours[0] * 255).astype(int).tolist())
        Image.new("RGB", (8, 8), colour).save(images / f"{item}.png")
    covered = shop.items[:-1]
    np.save(shop.folder / "dense.npy", np.stack([shop.pixels[item][0] for item in reversed(covered)]))
    (shop.folder / "ids.txt").write_text("\n".join(reversed(covered)))
    out = shop.folder / "found.json"
    split = ["--seed", 3, "--valid-share", 0.2, "--test-share", 0.3, "--family", 2, "--min-images", 1]
    files = ["--images", images, "--labels", shop.labels, "--id", "id", "--json", out]
    dense = ["--dense", shop.folder / "dense.npy", "--ids", shop.folder / "ids.txt"]
    more = ["--groups", "hue", "--network", f"tiny={shop.network}", "--resamples", 20]
    command = ["network_quality.py", *files, *split, *dense, *more]
    monkeypatch.setattr(sys, "argv", [str(argument) for argument in command])
    network_quality.main()
    printed = capsys.readouterr().out
    found = json.loads(out.read_text())
    assert [*found["assessments"]] == ["most frequent", "regression", "tiny"]
    parts = part_of(Ids.collect(covered), **SPLIT)
    truth = {line.split(",")[0]: line.split(",")[1] for line in shop.labels.read_text().splitlines()}
    items = [item for item, part in zip(covered, parts) if part == 2 and truth[item]]
    hue = {name: judged["groups"]["hue"] for name, judged in found["assessments"].items()}
    assert {group["images"] for group in hue.values()} == {len(items)}
    answers = [KNOWN.groups[0].values[int(shop.pixels[item][0].argmax())] for item in items]
    assert hue["tiny"]["accuracy"] == pytest.approx(np.mean([truth[i] == a for i, a in zip(items, answers)]))
    assert hue["most frequent"]["accuracy"] == pytest.approx(hue["tiny"]["majority"])
    pairs = [(row["a"], row["b"]) for row in found["differences"]]
    assert pairs == [("regression", "most frequent"), ("tiny", "most frequent"), ("tiny", "regression")]
    apart = hue["tiny"]["accuracy"] - hue["regression"]["accuracy"]
    assert found["differences"][2]["mean accuracy"]["difference"] == pytest.approx(apart)
    assert f"{hue['tiny']['accuracy']:.4f}" in printed


def test_the_benchmark_of_the_claim_counts_and_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    from small_models import ATTRIBUTES, DATA

    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    sys.modules.pop("quality", None)
    import claim

    fitted = VBPR(factors=3, visual_factors=4, iterations=2, eval_every=1).fit(DATA, ATTRIBUTES)
    sizes = claim.sizes(fitted, DATA)
    n_columns, n_users, n_items = len(ATTRIBUTES.names), len(DATA.users), len(DATA.items)
    assert (sizes["columns"], sizes["of_features"]) == (n_columns, 5 * n_columns)
    shared = n_items + 3 * (n_users + n_items) + 4 * n_users
    assert sizes["parameters"] == shared + 5 * n_columns
    assert claim.sizes(BPRMF(iterations=1, eval_every=1).fit(DATA), DATA)["columns"] == 0

    rng = np.random.default_rng(0)
    rows, seen = [], [rng.integers(0, 3, 30) for _ in range(2)]
    for split in range(2):
        for name, level in (("n", 0.7), (claim.CATALOGUE, 0.6), (claim.DENSE, 0.5), (claim.NONE, 0.4)):
            # Two tenths more where the photo was trained with.
            values = level + 0.2 * (seen[split] == 0) * (name == "n") + 0.01 * np.tile([1, -1], 15)
            users = {"all": values, "cold": values[:10]}
            rows.append({"split": split, "contender": name, "users": users, "parts": {"n": seen[split]}})
    text = claim.differences(rows, ["n"])
    trained = np.mean([np.mean(parts == 0) for parts in seen])
    assert f"n − {claim.DENSE}".ljust(48) + f"{0.2 + 0.2 * trained:+8.4f}" in text
    apart = {
        line.split("(")[0].strip(): line.split(")")[1].split()[0]
        for line in text.splitlines()
        if " users)" in line
    }
    assert apart[f"n − {claim.CATALOGUE}, train"] == "+0.3000"
    assert apart[f"n − {claim.CATALOGUE}, test"] == apart[f"n − {claim.CATALOGUE}, valid"] == "+0.1000"
    assert "0.9" in claim.by_part(rows, "n").splitlines()[1]


def test_numbers_of_a_table_keep_their_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    from fold_in import markdown

    row = {"data": "hm", "users": 1900, "new items": 1900.0, "auc": 0.64341, "less": -0.0137, "time": 16.1239}
    assert markdown([row]).splitlines()[-1] == "| hm | 1,900 | 1,900 | .6434 | -.0137 | 16.1239 |"
