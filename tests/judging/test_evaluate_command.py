"""`ivbpr network evaluate`: its documents and words, parts of the split, everything that is wrong."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from painted_shop import KNOWN, SPLIT, Shop, write_tiny

from ivbpr_numba.features.features import Features
from ivbpr_numba.ids import Ids
from ivbpr_numba.training.splitting import part_of

Run = Callable[..., Any]
SVG = "{http://www.w3.org/2000/svg}"


def document_of(done: Any) -> dict[str, Any]:
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found["schema"] == "ivbpr.network-evaluate/1"
    return found


def test_evaluate(ivbpr: Run, shop: Shop) -> None:
    tags = ["--groups", "hue", "--tags", "mood:|"]
    found = document_of(ivbpr(*shop.arguments(*tags, "--format", "json")))
    hue, mood = found["groups"]["hue"], found["groups"]["mood"]
    assert (found["items"], found["images"], found["split"]) == (30, 36, "all")
    assert (hue["images"], found["other_values"]["hue"], found["items_without_image"]) == (28, 1, 1)
    assert (
        found["bad"] == [{"image": "broken.png", "item": "29x", "reason": found["bad"][0]["reason"]}]
        and found["provider"] == "CPUExecutionProvider"
    )
    items = [item for item in shop.items if item not in ("07x", "08x")]
    truth = {line.split(",")[0]: line.split(",")[1] for line in shop.labels.read_text().splitlines()}
    said = [KNOWN.groups[0].values[int(shop.expected(item)[:3].argmax())] for item in items]
    right = np.array([truth[item] == answer for item, answer in zip(items, said)])
    assert hue["accuracy"] == pytest.approx(right.mean()) and 0 < right.mean() < 1
    chances = [shop.expected(item)[KNOWN.groups[0].values.index(truth[item])] for item in items]
    assert hue["log_loss"] == pytest.approx(-np.log(chances).mean(), rel=1e-4)
    assert (
        mood["images"] == 30
        and sum(mood["confusion"][0][k] for k in mood["confusion"][0] if k != "value") == 30
    )
    parts = part_of(Ids.collect(shop.items), **SPLIT)
    assert found["trained_on"] == np.count_nonzero(parts == 0) and 0 < found["trained_on"] < 30
    learned = [truth[item] for item, part in zip(shop.items, parts) if part == 0]
    often = max(KNOWN.groups[0].values, key=learned.count)
    assert hue["majority"] == pytest.approx(np.mean([truth[item] == often for item in items]))
    # One group alone gives the same; so does the feature file.
    alone = document_of(ivbpr(*shop.arguments("--groups", "hue", "--format", "json")))
    assert alone["groups"] == {"hue": hue}


def test_evaluate_a_part_and_a_feature_file(ivbpr: Run, shop: Shop) -> None:
    more = ["--groups", "hue", "--format", "json"]
    tested = document_of(ivbpr(*shop.arguments("--split", "test", *more)))
    parts = part_of(Ids.collect(shop.items), **SPLIT)
    assert tested["items"] == np.count_nonzero(parts[np.array(shop.items) != "08x"] == 2) > 0
    assert tested["trained_on"] == 0
    out = shop.folder / "f.h5"
    named = ["--items", shop.table, "--id", "id", "--file", "file"]
    done = ivbpr("features", "extract", shop.images, "--model", shop.network, *named, "-o", out)
    assert done.code == 0, done.err
    base = ["network", "evaluate", shop.network, "--labels", shop.labels, "--id", "id", "--features", out]
    again = document_of(ivbpr(*base, "--split", "test", *more))
    assert again["groups"] == tested["groups"] and again["provider"] is None
    other = write_tiny(shop.folder / "other.onnx", {"split": {**SPLIT, "seed": 4}})
    done = ivbpr("network", "evaluate", other, *base[3:], *more)
    assert done.code == 3 and "another network" in done.err


def test_evaluate_with_labels_in_json(ivbpr: Run, shop: Shop) -> None:
    """Tags of which only some are known, and an item of which nothing is."""
    known = {"00x": {"mood": {"bright": True}}, "01x": {"mood": ["dark"], "hue": "red"}, "02x": {}}
    groups = [{"name": "mood", "exclusive": False}, {"name": "hue", "exclusive": True}]
    labels = shop.folder / "labels.json"
    labels.write_text(json.dumps({"groups": groups, "items": known}))
    pictures = ["--images", shop.images, "--items", shop.table, "--id", "id", "--file", "file"]
    command = ["network", "evaluate", shop.network, "--labels", labels, *pictures, "--format", "json"]
    found = document_of(ivbpr(*command))
    assert [*found["groups"]] == ["hue", "mood"] and found["items"] == 2
    bright, dark = found["groups"]["mood"]["confusion"]
    assert [sum(one[k] for k in one if k != "value") for one in (bright, dark)] == [2, 1]
    assert [value["positives"] for value in found["groups"]["mood"]["values"]] == [1, 1]
    assert found["groups"]["hue"]["images"] == 1


def test_evaluate_in_words_and_lines(ivbpr: Run, shop: Shop) -> None:
    out = shop.folder / "out.svg"
    done = ivbpr(*shop.arguments("--groups", "hue", "--tags", "mood:|", "--plot", out))
    assert done.code == 0, done.err
    for said in ("taken for", "other values", "trained on", "broken.png", "CPUExecutionProvider", "hardest"):
        assert said in done.out, said
    texts = [text.text for text in ElementTree.parse(out).getroot().iter(f"{SVG}text")]
    assert {"hue", "mood", "red", "green", "blue", "bright", "dark"} <= set(texts)
    lines = ivbpr(*shop.arguments("--groups", "hue", "--tags", "mood:|", "--format", "csv")).out
    rows = list(csv.DictReader(io.StringIO(lines)))
    assert [(row["group"], row["value"]) for row in rows] == [
        ("hue", ""), ("hue", "red"), ("hue", "green"), ("hue", "blue"),
        ("mood", ""), ("mood", "bright"), ("mood", "dark"),
    ]  # fmt: skip
    assert rows[0]["accuracy"] and not rows[1]["accuracy"] and rows[1]["recall"]


def test_evaluate_without_torch(shop: Shop) -> None:
    pictures = ["--images", str(shop.images), "--items", str(shop.table), "--file", "file"]
    code = (
        "import sys; from ivbpr_cli.app import run; code = run(sys.argv[1:]); "
        "print([m for m in ('torch', 'onnx', 'matplotlib') if m in sys.modules], file=sys.stderr); sys.exit(code)"
    )
    command = [
        "network",
        "evaluate",
        str(shop.network),
        "--labels",
        str(shop.labels),
        "--id",
        "id",
        *pictures,
    ]
    done = subprocess.run(
        [sys.executable, "-c", code, *command, "--groups", "hue"], capture_output=True, text=True
    )
    assert done.returncode == 0 and done.stderr.strip().endswith("[]"), done.stderr


def test_wrong_command_lines(ivbpr: Run, shop: Shop) -> None:
    plain = write_tiny(shop.folder / "plain.onnx", described=False)
    unsplit = write_tiny(shop.folder / "unsplit.onnx")
    broken = write_tiny(shop.folder / "broken.onnx", {"split": {"seed": "many"}})
    foreign = shop.folder / "foreign.csv"
    foreign.write_text("id,hue\nA,red\nB,blue\n")
    features = shop.folder / "dense.h5"
    Features.from_arrays(["00x"], np.ones((1, 2))).write(features)
    hue = ["--groups", "hue"]
    for position, value, more, code, said in [
        (2, plain, hue, 2, "network train"),
        (2, unsplit, [*hue, "--split", "test"], 2, "records no split"),
        (2, broken, hue, 3, "split is broken"),
        (2, shop.folder / "none.onnx", hue, 2, "does not exist"),
        (2, shop.labels, hue, 3, "onnxruntime"),
        (4, foreign, hue, 3, "first image is '00x'"),
        (4, shop.folder / "none.csv", hue, 2, "does not exist"),
        (6, "nr", hue, 3, "nr"),
        (6, "id", ["--groups", "hues"], 2, "Did you mean 'hue'?"),
        (6, "id", ["--groups", "mood"], 2, "--tags"),
        (6, "id", ["--tags", "hue"], 2, "--groups"),
        (6, "id", [*hue, "--split", "tests"], 2, "Did you mean 'test'?"),
        (6, "id", [*hue, "--plot", shop.folder / "x.gif"], 2, ".svg"),
        (6, "id", [*hue, "--plot", shop.network], 2, ".svg"),
        (6, "id", [*hue, "--device", "gpu"], 2, "Unknown device"),
        (6, "id", [*hue, "--features", features], 2, "--images"),
        (8, shop.folder / "none", hue, 2, "do not exist"),
        (8, shop.labels, hue, 3, "labels.csv"),
    ]:
        arguments = shop.arguments(*more)
        arguments[position] = value
        done = ivbpr(*arguments)
        assert done.code == code and said in done.err, (value, more, done)
        assert len(done.err.splitlines()) == 1
    base = ["network", "evaluate", shop.network, "--labels", shop.labels, "--id", "id", *hue]
    done = ivbpr(*base, "--features", features)
    assert done.code == 3 and "no column 'hue=red'" in done.err
    assert ivbpr(*base).code == 2
    nothing = shop.folder / "nothing"
    nothing.mkdir()
    (nothing / "00x.png").write_bytes(b"no picture")
    done = ivbpr(*base, "--images", nothing)
    assert done.code == 3 and "None of the 1 labelled images can be used" in done.err
