"""Vocabulary, labels of tables and JSON, masks, rare values, and the split by family."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivbpr_numba import DataError, UsageError
from ivbpr_numba.ids import Ids
from ivbpr_numba.network.vocabulary import AttributeGroup, Vocabulary
from ivbpr_numba.training.labels import UNKNOWN, read_labels
from ivbpr_numba.training.splitting import part_of

TABLE = """id,colour,style,shape
017,Black,flared;ripped,
018, White ,,round
2,,ripped,round
9,Black,flared;flared,square
"""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "labels.csv"
    path.write_text(TABLE)
    return path


def test_a_table_gives_values_tags_and_masks(table: Path) -> None:
    labels = read_labels(table, "id", ["colour", "shape"], ["style"])
    assert labels.items.texts() == ["017", "018", "2", "9"]
    assert labels.vocabulary.names == [
        *("colour=Black", "colour=White", "shape=round", "shape=square"),
        *("style=flared", "style=ripped"),
    ]
    colour, shape, style = labels.values
    assert colour.tolist() == [0, 1, UNKNOWN, 0]  # an empty cell is unknown
    assert shape.tolist() == [UNKNOWN, 0, 0, 1]
    assert style.tolist() == [[1, 1], [0, 0], [0, 1], [1, 0]]  # an empty cell of tags has none of them
    assert [group.exclusive for group in labels.vocabulary.groups] == [True, True, False]
    assert labels.counts(0).tolist() == [2, 1]
    assert labels.counts(2, np.array([0, 2])).tolist() == [1, 2]


def test_compressed_tables_and_other_separators(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv.gz"
    path.write_bytes(gzip.compress(b"id;tags\n1;a|b\n2;b\n"))
    labels = read_labels(path, "id", tags=["tags:|"])
    assert labels.values[0].tolist() == [[1, 1], [0, 1]]


def test_json_knows_partly_known_tags(tmp_path: Path) -> None:
    path = tmp_path / "labels.json"
    document = {
        "groups": [
            {"name": "colour", "exclusive": True, "values": ["White", "Black"]},
            {"name": "style", "exclusive": False},
        ],
        "items": {
            "1": {"colour": "Black", "style": ["a"]},
            "2": {"style": {"b": True, "a": False}},
            "3": {"colour": None, "style": None},
            "4": {"style": []},
            "5": {"style": {"b": False}},
        },
    }
    path.write_text(json.dumps(document))
    labels = read_labels(path)
    assert labels.vocabulary.groups[0].values == ("White", "Black")  # the order of the file
    assert labels.values[0].tolist() == [1, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN]
    unknown = [UNKNOWN, UNKNOWN]
    assert labels.values[1].tolist() == [[1, 0], [0, 1], unknown, [0, 0], [UNKNOWN, 0]]
    assert labels.known(1).tolist() == [True, True, False, True, True]
    assert [g.name for g in read_labels(path, groups=["style"]).vocabulary.groups] == ["style"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1, 2", "no JSON"),
        ("[1, 2]", "holds no labels"),
        ('{"groups": [], "items": {"1": {}}}', "no label at all"),
        ('{"groups": [{"name": "c"}], "items": {}}', "exclusive"),
        ('{"groups": [{"name": "c", "exclusive": true}], "items": {}}', "no items"),
        ('{"groups": [{"name": "c", "exclusive": true}], "items": {"1": 3}}', "no object"),
        ('{"groups": [{"name": "c", "exclusive": true}], "items": {"1": {"c": ["a"]}}}', "Write a text"),
        ('{"groups": [{"name": "c", "exclusive": false}], "items": {"1": {"c": "a"}}}', "list of texts"),
        (
            '{"groups": [{"name": "c", "exclusive": true, "values": ["Red"]}], "items": {"1": {"c": "red"}}}',
            "Did you mean 'Red'",
        ),
        (
            '{"groups": [{"name": "c", "exclusive": true, "values": ["a", "a"]}], "items": {"1": {"c": "a"}}}',
            "twice",
        ),
        ('{"groups": [{"name": "c", "exclusive": true}], "items": {"1": {"c": ""}}}', "vocabulary"),
    ],
)
def test_wrong_json_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "labels.json"
    path.write_text(text)
    with pytest.raises(DataError, match=said):
        read_labels(path)


def test_json_as_editors_save_it(tmp_path: Path) -> None:
    text = '{"groups": [{"name": "c", "exclusive": true}],\r\n "items": {"1": {"c": "ü"}}}'
    path = tmp_path / "l.json"
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert read_labels(path).vocabulary.groups[0].values == ("ü",)
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=r"l\.json', line 2 is not UTF-8"):
        read_labels(path)


def test_lists_are_tags_of_labels_too(tmp_path: Path) -> None:
    path = tmp_path / "l.jsonl"
    path.write_text('{"id": "a", "t": ["red", "big"]}\n{"id": "b", "t": []}\n')
    labels = read_labels(path, "id", tags=["t"])
    assert labels.vocabulary.groups[0].values == ("big", "red")
    assert labels.values[0].tolist() == [[1, 1], [0, 0]]
    with pytest.raises(DataError, match=r"line 1: the cell .* is a list, not one value"):
        read_labels(path, "id", groups=["t"])


def test_wrong_tables_are_named(tmp_path: Path, table: Path) -> None:
    with pytest.raises(DataError, match="colour"):
        read_labels(table, "id", ["color"])
    with pytest.raises(UsageError, match="id_column="):
        read_labels(table, None, ["colour"])
    with pytest.raises(UsageError, match="groups= or tags="):
        read_labels(table, "id")
    with pytest.raises(UsageError):
        read_labels(tmp_path / "none.csv", "id", ["colour"])
    table.write_text("id,colour\n1,Black\n1,White\n")
    with pytest.raises(DataError, match=r"'1' .*'Black' or 'White'"):
        read_labels(table, "id", ["colour"])
    table.write_text("id,colour\n1,\n2,\n")
    with pytest.raises(DataError, match="no label at all"):
        read_labels(table, "id", ["colour"])


def test_rare_values_are_dropped_and_masked(table: Path) -> None:
    labels = read_labels(table, "id", ["colour", "shape"], ["style"])
    images = np.array([1, 1, 3, 1])
    kept = labels.keeping(2, images, np.array([True, True, True, True]))
    assert kept.vocabulary.names == ["colour=Black", "shape=round", "style=flared", "style=ripped"]
    assert kept.values[0].tolist() == [0, UNKNOWN, UNKNOWN, 0]
    assert kept.values[1].tolist() == [UNKNOWN, 0, 0, UNKNOWN]
    rows = {row["group"]: row for row in kept.report["groups"]}
    assert rows["colour"]["dropped"] == [{"value": "White", "images": 1}]
    assert rows["shape"]["labelled_images"] == 4
    # A value that no item of the training part has can't be learned.
    kept = labels.keeping(1, images, np.array([True, False, True, True]))
    assert "colour=White" not in kept.vocabulary.names
    kept = labels.keeping(1, images, np.array([False, True, False, False]))
    assert kept.vocabulary.names == ["colour=White", "shape=round"]  # the tags are gone altogether
    with pytest.raises(DataError, match="No attribute has 100 images"):
        labels.keeping(100, images, np.ones(4, bool))


def test_onto_another_vocabulary(table: Path) -> None:
    labels = read_labels(table, "id", ["colour", "shape"], ["style"])
    theirs = Vocabulary(
        (
            AttributeGroup("style", ("new", "ripped"), False),
            AttributeGroup("colour", ("White", "Green"), True),
        )
    )
    there = labels.onto(theirs)
    assert there.values[0].tolist() == [[0, 1], [0, 0], [0, 1], [0, 0]]
    assert there.values[1].tolist() == [UNKNOWN, 0, UNKNOWN, UNKNOWN]
    assert there.report["other_values"] == {"colour": 2, "style": 2}
    with pytest.raises(DataError, match="no group 'fit'"):
        labels.onto(Vocabulary((AttributeGroup("fit", ("slim",), True),)))
    with pytest.raises(DataError, match="'colour' with tags"):
        labels.onto(Vocabulary((AttributeGroup("colour", ("Black",), False),)))


texts = st.text(
    st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), min_size=1, max_size=6
)


@given(
    st.dictionaries(
        texts, st.tuples(st.lists(texts, min_size=1, max_size=5, unique=True), st.booleans()), min_size=1
    )
)
@settings(max_examples=60, deadline=None)
def test_vocabulary_survives_json(raw: dict[str, tuple[list[str], bool]]) -> None:
    groups = tuple(AttributeGroup(name, tuple(values), ex) for name, (values, ex) in raw.items())
    vocabulary = Vocabulary(groups)
    if len(set(vocabulary.names)) < vocabulary.size:  # a= + b and a + =b
        with pytest.raises(DataError):
            Vocabulary.from_json(vocabulary.to_json(), "here")
        return
    assert Vocabulary.from_json(vocabulary.to_json(), "here") == vocabulary
    layout = vocabulary.layout
    assert [g.offset for g in layout] == np.cumsum([0, *(g.size for g in layout[:-1])]).tolist()
    assert sum(g.size for g in layout) == vocabulary.size == len(vocabulary.names)


@given(
    st.sets(st.integers(0, 99999).map(lambda n: f"{n:05d}"), min_size=1, max_size=60),
    st.integers(0, 5),
    st.sampled_from([None, 1, 3]),
)
@settings(max_examples=60, deadline=None)
def test_families_stay_together_whatever_else_is_there(
    items: set[str], seed: int, family: int | None
) -> None:
    ids = Ids.collect(items)
    parts = dict(zip(ids.texts(), part_of(ids, seed, 0.2, 0.3, family).tolist()))
    for item, part in parts.items():
        name = item if family is None else item[:family]
        # Written out once more, from the documented rule.
        h = int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:8], "big") / 2**64
        assert part == (2 if h < 0.3 else 1 if h < 0.5 else 0)
        alone = part_of(Ids.collect([item]), seed, 0.2, 0.3, family)
        assert alone.tolist() == [part]


def test_shares_are_met_and_checked() -> None:
    ids = Ids.collect(f"{n}" for n in range(20_000))
    found = np.bincount(part_of(ids, 0, 0.1, 0.2), minlength=3) / len(ids)
    assert np.abs(found - [0.7, 0.1, 0.2]).max() < 0.01
    assert part_of(ids, 0, 0.0, 0.0).max() == 0
    for shares in ((0.5, 0.5), (-0.1, 0.2), (float("nan"), 0.1)):
        with pytest.raises(UsageError):
            part_of(ids, 0, *shares)
    with pytest.raises(UsageError):
        part_of(ids, 0, 0.1, 0.1, 0)
