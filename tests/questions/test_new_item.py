"""A product known by its photo alone: score, rank and reasons are those that the equations give."""

from __future__ import annotations

import csv
import json
import math
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from small_models import DATA, DENSE, fitted

from ivbpr_numba import DataError, UsageError
from ivbpr_numba.network.file import Network
from ivbpr_numba.network.vocabulary import AttributeGroup, Vocabulary
from ivbpr_numba.photos.preprocessing import Preprocessing
from ivbpr_numba.questions.new_item import NewItem, Seen, judge, look_at, values_for
from ivbpr_numba.questions.unbought import FEW, NewItems
from ivbpr_numba.ranking import scores

Run = Callable[..., Any]


def plain_score(model: Any, user: int, values: np.ndarray, bias: float, epoch: int | None = None) -> float:
    """β_i + θ_u · E f + β · f with f = (v − shift) · multiplier, number by number."""
    p, scaling = model.parameters_, model.features_.scaling
    if epoch is not None:
        p = p.at(epoch)
    f = [(float(v) - float(s)) * float(m) for v, s, m in zip(values, scaling.shift, scaling.multiplier)]
    total = bias
    for d, row in enumerate(p.embedding.tolist()):
        total += float(p.user_visual[user, d]) * math.fsum(e * x for e, x in zip(row, f))
    return total + math.fsum(float(b) * x for b, x in zip(p.visual_bias, f))


@pytest.mark.parametrize("name", ["vbpr", "i-vbpr", "tvbpr", "i-tvbpr"])
def test_score_rank_and_terms(name: str) -> None:
    model = fitted(name)
    features = model.find_features()
    rng = np.random.default_rng(3)
    values = features.values(np.array([4]))[0].astype(np.float64) * rng.uniform(0.2, 1.0, len(features.names))
    product = NewItem(model, values)
    unbought = DATA.train_counts == 0
    bias = model.parameters_.item_bias[unbought if unbought.any() else slice(None)].astype(np.float64).mean()
    assert (
        product.item_bias == pytest.approx(bias)
        and str(int(unbought.sum()) or len(DATA.items)) in product.bias_from
    )
    epoch = None if name in ("vbpr", "i-vbpr") else len(model.parameters_.weight) - 1
    users = np.arange(len(DATA.users))
    found = product.ranks(users)
    rivals = scores(model.scorer(), users)
    for u in users.tolist():
        assert found["score"][u] == pytest.approx(plain_score(model, u, values, bias, epoch), abs=1e-6)
        terms = product.terms(u)
        assert math.fsum(t["contribution"] for t in terms) == pytest.approx(found["score"][u], abs=1e-6)
        assert "latent" not in {t["kind"] for t in terms}  # nobody bought it: γ is unknown
        own = {
            i
            for part in (DATA.train, DATA.valid, DATA.test)
            for i in part.indices[part.indptr[u] : part.indptr[u + 1]]
        }
        others = [float(rivals[u, i]) for i in range(len(DATA.items)) if i not in own]
        mine = float(np.float32(found["score"][u]))
        assert found["rank"][u] == 1 + sum(x >= mine for x in others)
        assert found["of"][u] == len(others) + 1
        share = (sum(x < mine for x in others) + sum(x == mine for x in others) / 2) / len(others)
        assert found["percentile"][u] == pytest.approx(share)


def test_a_copy_of_a_catalogue_item_differs_by_bias_and_latent_part_alone() -> None:
    model = fitted("i-vbpr")
    p = model.parameters_
    row = 7
    values = model.find_features().values(model.find_features().rows_of_all(DATA.items)[[row]])[0]
    product = NewItem(model, values)
    users = np.arange(len(DATA.users))
    latent = (p.user_factors.astype(np.float64) * p.item_factors[row]).sum(axis=1)
    expected = scores(model.scorer(), users)[:, row] - p.item_bias[row] - latent + product.item_bias
    np.testing.assert_allclose(product.scores(users), expected, atol=1e-5)


def test_attributes_are_matched_by_name() -> None:
    model = fitted("i-vbpr")
    names = model.features_.names
    order = np.random.default_rng(0).permutation(len(names))
    values = np.linspace(0, 1, len(names))
    seen = Seen(values, [names[k] for k in order] + ["new=x"], "probabilities", "0" * 64, [], "CPU")
    seen = Seen(np.append(values, 0.5), seen.names, seen.output, seen.sha256, [], "CPU")
    found, notes = values_for(model, seen)
    assert found[order].tolist() == values.tolist() and "1 attributes" in notes[0]
    short = Seen(values[1:], [names[k] for k in order[1:]], "probabilities", "0" * 64, [], "CPU")
    with pytest.raises(DataError, match=f"'{names[order[0]]}'"):
        values_for(model, short)


def test_nameless_features_must_be_of_the_same_network() -> None:
    model = fitted("vbpr")
    seen = Seen(np.zeros(DENSE.matrix.shape[1]), None, "features", "a" * 64, [], "CPU")
    with pytest.raises(DataError, match="same network"):
        values_for(model, seen)
    with pytest.raises(DataError, match="other kind"):
        values_for(fitted("i-vbpr"), seen)
    with pytest.raises(DataError, match="other kind"):
        values_for(model, Seen(np.zeros(2), ["a=b", "a=c"], "probabilities", "a" * 64, [], "CPU"))


def test_models_without_features_cannot_judge_a_photo() -> None:
    for name in ("bpr-mf", "pop"):
        with pytest.raises(UsageError, match="can't judge a photo"):
            NewItem(fitted(name), np.zeros(3))


# --- from the photo, through the command line --------------------------------------------------------------

COLOURS = {"red": (230, 20, 20), "green": (20, 230, 20), "blue": (20, 20, 230)}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of one colour each, a network that names the colour, shoppers who like one colour each."""
    onnx_graph = pytest.importorskip("ivbpr_numba.network.graph")
    onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
    helper, numpy_helper, kind = onnx.helper, onnx.numpy_helper, onnx.TensorProto.FLOAT
    folder = tmp_path_factory.mktemp("shop")
    nodes = [
        helper.make_node("GlobalAveragePool", ["images"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["features"]),
        helper.make_node("MatMul", ["features", "w"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("images", kind, ["n", 3, 8, 8])],
        [
            helper.make_tensor_value_info("probabilities", kind, ["n", 3]),
            helper.make_tensor_value_info("features", kind, ["n", 3]),
        ],
        [numpy_helper.from_array(np.eye(3, dtype=np.float32) * 8, "w")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    vocabulary = Vocabulary((AttributeGroup("colour", tuple(COLOURS), True),))
    how = Preprocessing((8, 8), scale=1 / 255, mean=(0.0,) * 3, std=(1.0,) * 3)
    onnx_graph.write_network(made, vocabulary, how, {}, folder / "net.onnx")
    (folder / "images").mkdir()
    rng = np.random.default_rng(0)
    for n in range(30):
        colour = np.array(list(COLOURS.values())[n % 3]) + rng.integers(-15, 16, 3)
        Image.new("RGB", (12, 10), tuple(np.clip(colour, 0, 255).tolist())).save(
            folder / "images" / f"{n:02d}.png"
        )
    for name, colour in COLOURS.items():
        Image.new("RGB", (40, 30), colour).save(folder / f"new-{name}.png")
    lines = ["user,item,time"]
    for u in range(30):
        liked = [n for n in range(30) if n % 3 == u % 3]
        lines += [f"{u:02d},{n:02d},{t}" for t, n in enumerate(rng.permutation(liked)[:6].tolist())]
    (folder / "purchases.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_a_new_red_product_is_for_those_who_like_red(shop: Path, ivbpr: Run) -> None:
    for line in (
        f"features extract {shop}/images --model {shop}/net.onnx -o {shop}/attributes.h5",
        f"prepare {shop}/purchases.csv --features {shop}/attributes.h5 -o {shop}/dataset.h5",
        f"fit {shop}/dataset.h5 --model i-vbpr --features {shop}/attributes.h5 --factors 2 --visual-factors 2 "
        f"--block 16 --iterations 40 -o {shop}/model.h5",
    ):
        done = ivbpr(*line.split())
        assert done.code == 0, done.err
    ranks = {}
    for name in COLOURS:
        done = ivbpr(
            *("score", shop / "model.h5", "--image", shop / f"new-{name}.png", "--network", shop / "net.onnx"),
            *("--user", "00", "--format", "json"),
        )  # fmt: skip
        assert done.code == 0, done.err
        found = json.loads(done.out)
        assert found["schema"] == "ivbpr.score/1" and found["attributes"][0]["feature"] == f"colour={name}"
        assert math.fsum(t["contribution"] for t in found["terms"]) == pytest.approx(found["score"], abs=1e-6)
        ranks[name] = found["rank"]
        assert 1 <= found["rank"] <= found["of"] == 25
    assert ranks["red"] < min(ranks["green"], ranks["blue"])
    done = ivbpr(
        *("score", shop / "model.h5", "--image", shop / "new-green.png", "--network", shop / "net.onnx"),
        *("-n", "8", "--format", "json"),
    )  # fmt: skip
    best = json.loads(done.out)["users"]
    assert len(best) == 8 and {int(row["user"]) % 3 for row in best} == {1}
    assert [row["percentile"] for row in best] == sorted((row["percentile"] for row in best), reverse=True)
    # What the command says is what the library says.
    from ivbpr_numba import load

    same = judge(load(shop / "model.h5"), [shop / "new-green.png"], Network.read(shop / "net.onnx"), n=8)
    assert same["users"] == best
    table = ivbpr(
        "score",
        shop / "model.h5",
        "--image",
        shop / "new-red.png",
        "--network",
        shop / "net.onnx",
        "--user",
        "00",
    )
    assert (
        table.code == 0 and "colour=red" in table.out and "Treated as if nobody had bought it: " in table.out
    )


def test_a_photo_of_a_catalogue_item_says_so(shop: Path, ivbpr: Run, tmp_path: Path) -> None:
    if not (shop / "model.h5").exists():
        test_a_new_red_product_is_for_those_who_like_red(shop, ivbpr)
    from ivbpr_numba import load

    model = load(shop / "model.h5")
    bought = int(model.data_.train_counts[3])
    photo = tmp_path / f"{model.data_.items[3]}.png"
    photo.write_bytes((shop / "new-red.png").read_bytes())
    line = ("score", shop / "model.h5", "--network", shop / "net.onnx", "-n", "3", "--image")
    said = f"{photo.stem} is in the catalogue already, with {bought} training purchase"
    assert said in ivbpr(*line, photo).err
    assert "catalogue" not in ivbpr(*line, shop / "new-red.png").err


def test_several_photos_are_averaged(shop: Path) -> None:
    network = Network.read(shop / "net.onnx")
    photos = [shop / "new-red.png", shop / "new-blue.png"]
    each = [look_at([photo], network).values for photo in photos]
    np.testing.assert_array_equal(look_at(photos, network).values, np.mean(each, axis=0))


def test_wrong_questions_are_answered_clearly(shop: Path, ivbpr: Run, tmp_path: Path) -> None:
    if not (shop / "model.h5").exists():
        test_a_new_red_product_is_for_those_who_like_red(shop, ivbpr)
    start = ["score", shop / "model.h5", "--network", shop / "net.onnx"]
    red = ["--image", shop / "new-red.png"]
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    cases = [
        ([*start], 2, "--image"),
        ([*start, "--image", tmp_path / "none.jpg"], 2, "does not exist"),
        ([*start, "--image", broken], 3, "can't be used"),
        ([*start, *red, "--user", "99"], 3, "Unknown user '99'"),
        ([*start, *red, "-n", "0"], 2, "--number 0"),
        ([*start, *red, "--at", "2020-01-01"], 2, "knows no time"),
        ([*start, *red, "--output", "feature"], 2, "Did you mean 'features'"),
        ([*start, *red, "--output", "features"], 3, "other kind"),
        ([*start, *red, "--device", "cdua"], 2, "Did you mean 'cuda'"),
        (["score", shop / "net.onnx", "--network", shop / "net.onnx", *red], 3, "net.onnx"),
        (["score", shop / "model.h5", "--network", shop / "model.h5", *red], 3, "onnxruntime"),
    ]
    for words, code, said in cases:
        done = ivbpr(*words)
        assert (done.code, said in done.err) == (code, True), (words, done.err)


# --- many products -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 3, FEW + 5])
def test_many_products_are_as_each_alone(count: int) -> None:
    """Ranks by comparing and by sorting agree, and the best users are those of a full sort."""
    model = fitted("i-vbpr")
    rng = np.random.default_rng(5)
    values = rng.integers(0, 3, (count, len(model.features_.names))) / 2.0
    together, users = NewItems(model, values), np.arange(len(DATA.users))
    ranks, best = together.ranks(users), together.best_users(7)
    for p in range(count):
        alone = NewItem(model, values[p])
        for key, own in alone.ranks(users).items():
            assert ranks[key][:, p].tolist() == own.tolist()
        order = sorted(users, key=lambda u: (-ranks["percentile"][u, p], -ranks["score"][u, p], u))[:7]
        assert best["row"][:, p].tolist() == order
        assert best["score"][:, p].tolist() == ranks["score"][order, p].tolist()


def test_best_users_do_not_depend_on_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    products = NewItems(fitted("i-vbpr"), np.random.default_rng(5).random((4, 5)))
    whole = products.best_users(9)
    monkeypatch.setattr("ivbpr_numba.questions.unbought.SCORE_BYTES", 4 * len(DATA.items) * 7)
    assert {key: own.tolist() for key, own in products.best_users(9).items()} == {
        key: own.tolist() for key, own in whole.items()
    }


@pytest.fixture(scope="module")
def shelf(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of new products: one with two photos, one that is none, and a text."""
    folder = tmp_path_factory.mktemp("shelf") / "new"
    folder.mkdir()
    for name in COLOURS:
        (folder / f"new-{name}.png").write_bytes((shop / f"new-{name}.png").read_bytes())
    (folder / "more").mkdir()
    (folder / "more" / "new-red.png").write_bytes((shop / "new-blue.png").read_bytes())
    (folder / "broken.jpg").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("of the buyer")
    return folder


def asked(shop: Path, *more: Any) -> list[Any]:
    return ["score", shop / "model.h5", "--network", shop / "net.onnx", *more]


def test_a_folder_of_new_products(shop: Path, shelf: Path, ivbpr: Run, tmp_path: Path) -> None:
    if not (shop / "model.h5").exists():
        test_a_new_red_product_is_for_those_who_like_red(shop, ivbpr)
    single = {
        name: json.loads(
            ivbpr(*asked(shop, "--image", shop / f"new-{name}.png", "--user", "00", "--format", "json")).out
        )
        for name in COLOURS
    }
    done = ivbpr(*asked(shop, "--image", shelf, "--user", "00", "--format", "json"))
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found["schema"] == "ivbpr.score/1" and found["user"] == "00"
    assert [p["item"] for p in found["products"]] == ["new-blue", "new-green", "new-red"]
    assert found["products"][2]["images"] == ["more/new-red.png", "new-red.png"]
    for product in found["products"][:2]:  # of one photo each: the very answer that the photo alone gets
        alone = single[product["item"].removeprefix("new-")]
        for key in ("score", "rank", "of", "percentile", "attributes"):
            assert product[key] == alone[key]
    assert [row["image"] for row in found["bad"]] == ["broken.jpg"] and found["left_out"] == ["broken"]
    assert found["others"][0]["first"] == ["notes.txt"]
    # The same from a zip, in another order and without the broken one, as files.
    with zipfile.ZipFile(tmp_path / "new.zip", "w") as archive:
        for path in sorted(shelf.rglob("*.png"), reverse=True):
            archive.write(path, path.relative_to(shelf))
    for form in ("csv", "jsonl"):
        out = tmp_path / f"new.{form}"
        done = ivbpr(
            *asked(shop, "--image", tmp_path / "new.zip", "--user", "00", "-o", out, "--format", form)
        )
        assert done.code == 0, done.err
        if form == "csv":
            rows = list(csv.DictReader(out.read_text().splitlines()))
            assert [*rows[0]] == ["item", "images", "attributes", "user", "score", "rank", "of", "percentile"]
        else:
            rows = [json.loads(line) for line in out.read_text().splitlines()]
            assert [row["attributes"] for row in rows] == [p["attributes"] for p in found["products"]]
        for key in ("item", "score", "rank", "percentile"):
            assert [str(row[key]) for row in rows] == [str(p[key]) for p in found["products"]]
    table = ivbpr(*asked(shop, "--image", shelf, "--user", "00")).out
    share = found["products"][2]["percentile"]
    assert f"{100 * share:.1f} %" in table and "broken.jpg" in table
    assert "Treated as if nobody had bought them: " in table


def test_best_users_of_many_products(shop: Path, shelf: Path, ivbpr: Run, tmp_path: Path) -> None:
    if not (shop / "model.h5").exists():
        test_a_new_red_product_is_for_those_who_like_red(shop, ivbpr)
    (tmp_path / "table.csv").write_text("sku,path\nA,new-green.png\nB,more/new-red.png\nB,gone.png\n")
    listed = ("--items", tmp_path / "table.csv", "--id", "sku", "--file", "path")
    done = ivbpr(*asked(shop, "--image", shelf, *listed, "-n", "4", "--format", "json"))
    assert done.code == 0, done.err
    found = json.loads(done.out)["products"]
    assert [(p["item"], p["images"]) for p in found] == [
        ("A", ["new-green.png"]),
        ("B", ["more/new-red.png"]),
    ]
    one = ivbpr(*asked(shop, "--image", shop / "new-green.png", "-n", "4", "--format", "json"))
    assert found[0]["users"] == json.loads(one.out)["users"]
    out = tmp_path / "one.csv"
    done = ivbpr(*asked(shop, "--image", shop / "new-green.png", "-n", "2", "-o", out))
    (row,) = csv.DictReader(out.read_text().splitlines())
    best = found[0]["users"][0]
    said = f"{best['user']} ({100 * best['percentile']:.1f} %)"
    assert row["item"] == "new-green" and row["users"].startswith(said)


def test_wrong_questions_about_many_products(shop: Path, shelf: Path, ivbpr: Run, tmp_path: Path) -> None:
    if not (shop / "model.h5").exists():
        test_a_new_red_product_is_for_those_who_like_red(shop, ivbpr)
    red = ("--image", shop / "new-red.png")
    (tmp_path / "empty").mkdir()
    cases = [
        ((*red, "--image", shelf), 2, "holds many products"),
        ((*red, "--items", shop / "purchases.csv", "--id", "user", "--file", "item"), 2, "folder or archive"),
        (("--image", tmp_path / "empty"), 3, "no images"),
        (("--image", shelf, "--user", "99"), 3, "Unknown user '99'"),
        (("--image", shelf, "--id", "user"), 2, "--items"),
        (("--image", shelf, "-o", shop / "model.h5"), 2, "also an input"),
        (("--image", shelf, "-o", shop / "attributes.h5"), 2, "holds the features"),
    ]
    for words, code, said in cases:
        done = ivbpr(*asked(shop, *words))
        assert (done.code, said in done.err) == (code, True), (words, done.err)
