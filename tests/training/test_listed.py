"""Lists of labelled images, as DeepFashion and CelebA have them: recognised, read, and matched with photos."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import squares
from tiny_networks import toy

from ivbpr_numba.errors import DataError
from ivbpr_numba.photos.pictures import Pictures
from ivbpr_numba.readers.image_lists import is_image_list, read_image_list
from ivbpr_numba.training.labels import UNKNOWN, read_labels
from ivbpr_numba.training.task import make_task

# By hand: two products whose photos are numbered anew, one of them with two photos.
IMAGES = """3
image_name  attribute_labels
img/Floral_Dress/img_00000001.jpg        1  -1  -1   0
img/Denim_Jacket/img_00000001.jpg       -1   1   0  -1
img/Denim_Jacket/img_00000002.jpg       -1   1   1  -1
"""
ATTRIBUTES = """4
attribute_name  attribute_type
floral          1
faux leather    2
zip up          4
abstract chevron print  1
"""
CATEGORIES = """3
image_name  category_label
img/Floral_Dress/img_00000001.jpg        2
img/Denim_Jacket/img_00000001.jpg        1
img/Denim_Jacket/img_00000002.jpg        1
"""
NAMES = """2
category_name  category_type
Jacket  1
Dress   3
"""
FACES = """2
Smiling Wearing_Hat
000001.jpg -1  1
000002.jpg  1  0
"""


@pytest.fixture
def anno(tmp_path: Path) -> Path:
    for name, text in {
        "list_attr_img.txt": IMAGES,
        "list_attr_cloth.txt": ATTRIBUTES,
        "list_category_img.txt": CATEGORIES,
        "list_category_cloth.txt": NAMES,
    }.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_attributes_by_type_and_masks(anno: Path) -> None:
    labels = read_labels(anno / "list_attr_img.txt")
    # Sorted by path; the two photos of one number are two items.
    assert labels.items.texts() == [
        "img/Denim_Jacket/img_00000001.jpg",
        "img/Denim_Jacket/img_00000002.jpg",
        "img/Floral_Dress/img_00000001.jpg",
    ]
    assert labels.by_path
    groups = [(group.name, group.values, group.exclusive) for group in labels.vocabulary.groups]
    assert groups == [
        ("texture", ("floral", "abstract chevron print"), False),
        ("fabric", ("faux leather",), False),
        ("part", ("zip up",), False),
    ]
    texture, fabric, part = labels.values
    assert texture.tolist() == [[0, 0], [0, 0], [1, UNKNOWN]]
    assert fabric.tolist() == [[1], [1], [0]]
    assert part.tolist() == [[UNKNOWN], [1], [0]]
    assert texture.dtype == np.int8
    some = read_labels(anno / "list_attr_img.txt", groups=["fabric"], tags=["part"])
    assert [group.name for group in some.vocabulary.groups] == ["fabric", "part"]
    with pytest.raises(DataError, match="Did you mean 'fabric'"):
        read_labels(anno / "list_attr_img.txt", groups=["fabrics"])


def test_categories(anno: Path) -> None:
    labels = read_labels(anno / "list_category_img.txt")
    (group,) = labels.vocabulary.groups
    assert (group.name, group.values, group.exclusive) == ("category", ("Jacket", "Dress"), True)
    assert labels.values[0].tolist() == [0, 0, 1]


def test_packed_lists_of_other_clothes(anno: Path) -> None:
    wanted = read_labels(anno / "list_attr_img.txt")
    path = anno / "packed"
    path.write_bytes(gzip.compress(IMAGES.replace("\n", "\r\n").encode()))
    (anno / "list_attr_cloth.txt").unlink()
    (anno / "list_attr_cloth.txt.gz").write_bytes(gzip.compress(ATTRIBUTES.encode()))
    found = read_labels(path)
    assert found.vocabulary == wanted.vocabulary and found.items.texts() == wanted.items.texts()
    assert all(np.array_equal(one, two) for one, two in zip(found.values, wanted.values))


def test_lists_that_name_their_attributes(tmp_path: Path) -> None:
    for name, header in (("faces.txt", "Smiling Wearing_Hat"), ("named.txt", "image Smiling Wearing_Hat")):
        path = tmp_path / name
        path.write_text(FACES.replace("Smiling Wearing_Hat", header))
        labels = read_labels(path)
        assert labels.items.texts() == ["000001", "000002"] and not labels.by_path
        assert labels.vocabulary.names == ["attributes=Smiling", "attributes=Wearing_Hat"]
        assert labels.values[0].tolist() == [[0, 1], [1, UNKNOWN]]


def test_types_beyond_the_known_ones_stay_numbers(anno: Path) -> None:
    """A list with a sixth type gives the first five other meanings."""
    (anno / "list_attr_cloth.txt").write_text(ATTRIBUTES.replace("zip up          4", "zip up 6"))
    labels = read_labels(anno / "list_attr_img.txt")
    assert [group.name for group in labels.vocabulary.groups] == ["type 1", "type 2", "type 6"]
    (anno / "list_attr_cloth.txt").write_text("4\nattribute_name\nblue\nfaux leather\nzip up\nred\n")
    labels = read_labels(anno / "list_attr_img.txt")
    assert labels.vocabulary.names[1] == "attributes=faux leather" and len(labels.vocabulary.groups) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "3\n",
        "id,colour\n1,Black\n",
        "1\nimage_name evaluation_status\na.jpg train\n",
        "3\n4\n5\n",
        '{"a": 1}',
    ],
)
def test_what_is_no_list(text: str) -> None:
    assert not is_image_list(text.encode())


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("3\nimage", "4\nimage", "announces 4 rows and has 3"),
        ("3\nimage", "2\nimage", "announces 2 rows and has 3"),
        ("-1   1   0  -1", "-1   1   0", "line 4: 3 labels where the first row has 4"),
        ("-1   1   0  -1", "-1   1   2  -1", "line 4: '2' is no label"),
        ("img/Denim_Jacket/img_00000002", "img/Denim_Jacket/img_00000001", "'img/Denim_Jacket/img_00000001.jpg' twice"),
        ("1  -1  -1   0", "1  -1  -1", "names 4 attributes|line 4: 4 labels"),
        ("img/Denim_Jacket/img_00000002.jpg", "img/\xff.jpg", "not UTF-8"),
    ],
)  # fmt: skip
def test_damaged_lists_are_named(anno: Path, old: str, new: str, said: str) -> None:
    assert old in IMAGES
    (anno / "list_attr_img.txt").write_bytes(IMAGES.replace(old, new).encode("latin-1"))
    with pytest.raises(DataError, match=said):
        read_labels(anno / "list_attr_img.txt")


def test_kin_that_does_not_fit(anno: Path) -> None:
    (anno / "list_attr_cloth.txt").write_text("1\nattribute_name attribute_type\nfloral 1\n")
    with pytest.raises(DataError, match=r"names 1 attributes.* has 4"):
        read_labels(anno / "list_attr_img.txt")
    (anno / "list_attr_cloth.txt").write_text(ATTRIBUTES.replace("zip up ", "floral "))
    with pytest.raises(DataError, match="'floral' twice"):
        read_labels(anno / "list_attr_img.txt")
    (anno / "list_attr_cloth.txt").unlink()
    with pytest.raises(DataError, match=r"no 'list_attr_cloth.txt' beside"):
        read_labels(anno / "list_attr_img.txt")
    (anno / "list_category_cloth.txt").write_text("1\ncategory_name category_type\nJacket 1\n")
    with pytest.raises(DataError, match=r"category 2.* names 1"):
        read_labels(anno / "list_category_img.txt")
    (anno / "list_category_img.txt").write_text(CATEGORIES.replace("jpg        2", "jpg 0"))
    with pytest.raises(DataError, match="line 3"):
        read_labels(anno / "list_category_img.txt")
    (anno / "faces.txt").write_text(FACES.replace("000002.jpg", "000001.png"))
    with pytest.raises(DataError, match="two images of the item '000001'"):
        read_labels(anno / "faces.txt")


def test_many_rows_are_read_as_they_stand(tmp_path: Path) -> None:
    """Across the blocks in which lines are read, against a plain reading."""
    marks = np.random.default_rng(0).integers(-1, 2, (3000, 90))
    rows = [f"img/p{k % 50}/{k}.jpg " + "  ".join(map(str, row)) for k, row in enumerate(marks.tolist())]
    (tmp_path / "list_attr_img.txt").write_text(
        "3000\nimage " + " ".join(f"a{k}" for k in range(90)) + "\n" + "\n".join(rows)
    )
    read = read_image_list(tmp_path / "list_attr_img.txt")
    assert read.paths == [row.split()[0] for row in rows]
    assert np.array_equal(read.groups[0].labels, np.array([0, UNKNOWN, 1])[marks + 1])


# With photos


def photos(folder: Path, n: int = 60) -> Path:
    """Squares in folders of a product each, numbered anew in each of them, and the list of their colours."""
    squares.write(folder / "all", n)
    _, colour, marks = squares.draw(n)
    rows = []
    for k in range(n):
        name = f"Img/img/product_{k // 4}/img_{k % 4}.png"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "all" / f"p{k:03d}.png").rename(folder / name)
        has = [*(np.arange(4) == colour[k]).astype(int), *marks[k]]
        rows.append(f"{name[4:]} " + " ".join(str(2 * int(one) - 1) for one in has))
    (folder / "list_attr_cloth.txt").write_text(
        "6\nattribute_name attribute_type\nblue 1\ngreen 1\nred 1\nyellow 1\nframe 3\nstripes 3\n"
    )
    path = folder / "list_attr_img.txt"
    path.write_text(f"{n}\nimage_name attribute_labels\n" + "\n".join(rows) + "\n")
    return path


@pytest.mark.parametrize("root", ["Img", "Img/img", "."])
def test_photos_are_found_from_any_folder(tmp_path: Path, root: str) -> None:
    path = photos(tmp_path)
    if root == ".":
        path.write_text(path.read_text().replace("img/product", "Img/img/product"))
    task = make_task(Pictures.open(tmp_path / root), path, min_images=2, valid_share=0.2)
    assert task.report["images"] == 60 and task.report["images_without_label"] == 0
    _, colour, _ = squares.draw(60)
    for place, row in zip(task.chosen, task.picture_rows):
        name = task.pictures.pictures[place].name
        k = 4 * int(name.split("product_")[1].split("/")[0]) + int(name[-5])
        assert task.labels.values[0][row].tolist() == (np.arange(4) == colour[k]).astype(int).tolist()


def test_photos_that_are_not_in_the_list(tmp_path: Path) -> None:
    path = photos(tmp_path)
    path.write_text(path.read_text().replace("product", "article"))
    with pytest.raises(DataError, match=r"None of the 60 images .*paths of the images"):
        make_task(Pictures.open(tmp_path / "Img"), path, min_images=2)


def test_the_commands_train_on_and_judge_by_a_list(tmp_path: Path, ivbpr: Callable[..., Any]) -> None:
    pytest.importorskip("onnx", reason="writing networks needs the extra 'onnx'")
    path, out = photos(tmp_path), tmp_path / "net.onnx"
    own = ["--images", tmp_path / "Img", "--labels", path, "--device", "cpu", "--threads", 1]
    how = ["--frozen", toy(tmp_path / "b.onnx"), "--preprocess", "imagenet", "--size", "32x32", "--epochs", 2]
    done = ivbpr(
        "network", "train", *own, *how, "--min-images", 2, "--test-share", 0.2, "-o", out, "--format", "json"
    )
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert {name: row["values"] for name, row in found["groups"].items()} == {"texture": 4, "shape": 2}
    done = ivbpr("network", "evaluate", out, *own, "--split", "test", "--format", "json")
    assert done.code == 0, done.err
    judged = json.loads(done.out)
    assert judged["items"] == judged["images"] == found["images"]["test"] > 0
    assert set(judged["groups"]) == {"texture", "shape"}
