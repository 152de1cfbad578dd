"""Feature files: tables and foreign matrices in, the same values by item out."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numba
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ivbpr_numba.errors import CheckFailed, DataError, UsageError
from ivbpr_numba.features import alignment
from ivbpr_numba.features.alignment import align
from ivbpr_numba.features.describing import describe, examples
from ivbpr_numba.features.features import Features
from ivbpr_numba.features.importing import import_features
from ivbpr_numba.features.inputs import DenseInput
from ivbpr_numba.features.layout import Group
from ivbpr_numba.features.tables import build_feature_table
from ivbpr_numba.features.writing import features_sink, write_features
from ivbpr_numba.ids import Ids
from ivbpr_numba.readers.cells import list_in_text
from ivbpr_numba.store import blocks as blocks_module
from ivbpr_numba.store.atomic import lock
from ivbpr_numba.store.verify import inspect, verify

IDS = ["0108", "0020", "b", "a", "äpfel"]
VALUES = np.array([[0.5, 1, 0], [0, 2, 0.25], [3, 0, 0], [-1, 0, 7], [0, 0, 0]], dtype=np.float16)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two rows of three halves under one digest instead of 8 MiB."""
    monkeypatch.setattr(blocks_module, "_BLOCK_BYTES", 12)


def values_of(features: Features, ids: list[str]) -> np.ndarray:
    return features.values(features.rows(Ids.collect(ids, "item")))


# --- the file ---


def test_rows_are_sorted_by_id_and_found_again(tmp_path: Path) -> None:
    features = Features.from_arrays(IDS, VALUES)
    assert features.items.texts() == ["0020", "0108", "a", "b", "äpfel"]
    digest = features.write(tmp_path / "f.h5")
    back = Features.read(tmp_path / "f.h5")
    assert digest == back.payload_sha256 == features.payload_sha256
    assert back.matrix.dtype == np.float16
    assert not back.matrix.flags.writeable
    assert back.rows(Ids.collect(["b", "nobody", "0020"])).tolist() == [0, 3, -1]
    assert values_of(back, ["a", "b"]).tolist() == [[-1, 0, 7], [3, 0, 0]]
    assert back.path == str(tmp_path / "f.h5")
    assert verify(tmp_path / "f.h5").ok
    with h5py.File(tmp_path / "f.h5") as file:  # a stranger's view
        assert file["matrix"].id.get_create_plist().get_layout() == h5py.h5d.CONTIGUOUS
        assert file["matrix"][1].tolist() == [0.5, 1, 0]
        assert file["ids/items"][1] == b"0108"
        assert file.attrs["kind"] == b"dense"
        assert file.attrs["scale"] == 1.0


def test_kernels_see_one_type_of_matrix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In memory, mapped or somebody's own array: numba would compile every kernel again for another type."""
    Features.from_arrays(IDS, VALUES).write(tmp_path / "f.h5")
    features, items = Features.read(tmp_path / "f.h5"), Ids.collect(IDS, "item")
    taken = align(features, items)
    monkeypatch.setattr(alignment, "IN_MEMORY_BYTES", 0)
    mapped = align(features, items)
    assert mapped.matrix.base is not None and np.shares_memory(mapped.matrix, features.matrix)
    own = VALUES.view(np.uint16).copy()
    given = DenseInput(own, np.arange(len(own)), 1.0)
    assert own.flags.writeable and np.shares_memory(given.matrix, own)
    assert numba.typeof(taken.matrix) == numba.typeof(mapped.matrix) == numba.typeof(given.matrix)
    with pytest.raises(ValueError, match="read-only"):
        given.matrix[0, 0] = 1


@given(
    values=st.sampled_from(["float16", "float32", "uint8"]).flatmap(
        lambda dtype: hnp.arrays(
            dtype,
            hnp.array_shapes(min_dims=2, max_dims=2, max_side=9),
            elements=st.integers(0, 255) if dtype == "uint8" else st.floats(-60000, 60000, width=16),
        )
    ),
    kind=st.sampled_from(["dense", "attributes"]),
    scale=st.sampled_from([1.0, 1 / 255]),
    block=st.sampled_from([1, 40, 8 << 20]),
    layout=st.sampled_from(["dense", "sparse"]),
)
def test_any_matrix_survives(
    tmp_path_factory: pytest.TempPathFactory,
    values: np.ndarray,
    kind: str,
    scale: float,
    block: int,
    layout: str,
) -> None:
    path = tmp_path_factory.mktemp("any") / "f.h5"
    if kind == "attributes":
        values = np.clip(values, 0, 1).astype(values.dtype)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks_module, "_BLOCK_BYTES", block)
        features = Features.from_arrays(
            [f"item {k:03d}" for k in range(len(values))], values, kind=kind, scale=scale
        )
        digest = features.write(path, layout=layout)
        back = Features.read(path)
        assert back.sparse == (layout == "sparse")
        assert back.payload_sha256 == digest == features.payload_sha256
        assert (back.dtype, back.kind, back.scale) == (values.dtype, kind, scale)
        assert back.take(np.arange(len(values))).tobytes() == values.tobytes()
        assert (back.names, back.groups) == (features.names, features.groups)
        assert verify(path).ok


def test_payload_depends_on_everything_that_means_something(tmp_path: Path) -> None:
    def digest(**changes: object) -> str:
        arguments: dict = {
            "items": IDS,
            "matrix": VALUES,
            "names": ["x", "y", "z"],
            "kind": "dense",
            "scale": 1.0,
        }
        return Features.from_arrays(**{**arguments, **changes}).payload_sha256

    other = VALUES.copy()
    other[2, 1] = 5
    digests = {
        digest(),
        digest(matrix=other),
        digest(matrix=VALUES.astype(np.float32)),
        digest(items=[*IDS[:4], "c"]),
        digest(names=["x", "y", "w"]),
        digest(matrix=VALUES * 0),
        digest(matrix=VALUES * 0, kind="attributes"),
        digest(scale=0.5),
        digest(groups=[Group("g", 0, 1, True), Group("h", 1, 2, False)]),
    }
    assert len(digests) == 9
    # … and on nothing else: where it came from is content, not payload.
    features = Features.from_arrays(IDS, VALUES)
    features.source = {"command": "test"}
    assert features.write(tmp_path / "f.h5") == Features.from_arrays(IDS, VALUES).payload_sha256
    assert Features.read(tmp_path / "f.h5").source == {"command": "test"}


def test_further_attributes_are_kept(tmp_path: Path) -> None:
    features = Features.from_arrays(IDS, VALUES)
    features.attrs["network_sha256"] = "ab" * 32
    features.write(tmp_path / "f.h5")
    assert Features.read(tmp_path / "f.h5").attrs == {"network_sha256": "ab" * 32}


@pytest.mark.usefixtures("small_blocks")
def test_a_flipped_byte_is_found_when_its_block_is_read(tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    Features.from_arrays(IDS, VALUES).write(path)
    with h5py.File(path) as file:
        offset = file["matrix"].id.get_offset()
    whole = path.read_bytes()
    for position in range(offset, offset + VALUES.nbytes):
        damaged = bytearray(whole)
        damaged[position] ^= 0x10
        path.write_bytes(damaged)
        row = (position - offset) // 6
        features = Features.read(path)  # matrix blocks are not read at opening
        block = [k for k in range(5) if k // 2 == row // 2]
        others = [k for k in range(5) if k // 2 != row // 2]
        assert features.take(np.array(others)).shape == (len(others), 3)
        for k in block:
            with pytest.raises(
                DataError, match=f"changed since it was written: /matrix, rows {block[0]} to {block[-1]}"
            ):
                features.take(np.array([k]))
        report = verify(path)
        assert report.mismatches == [f"/matrix differs in rows {block[0]} to {block[-1]}"]
        with pytest.raises(CheckFailed) as caught:
            report.raise_for_mismatch()
        assert caught.value.exit_code == 5


def test_flipped_names_ids_and_digests_are_refused_at_opening(tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    Features.from_arrays(IDS, VALUES, names=["red", "green", "blue"]).write(path)
    whole = path.read_bytes()
    with h5py.File(path) as file:
        places = {
            name: range(
                file[name].id.get_offset(), file[name].id.get_offset() + file[name].id.get_storage_size()
            )
            for name in ("/ids/items", "/names", "/groups/exclusive", "/block_sha256")
        }
    for name, positions in places.items():
        for position in positions:
            damaged = bytearray(whole)
            damaged[position] ^= 0x04
            path.write_bytes(damaged)
            assert f"{name} differs" in verify(path).mismatches
            with pytest.raises(DataError, match=f"changed since it was written: {name}"):
                Features.read(path)


@pytest.mark.parametrize("storage", ["chunked", "external", "never written", "cut", "cube", "text", "none"])
def test_matrices_that_cannot_be_mapped_are_refused(tmp_path: Path, storage: str) -> None:
    path = tmp_path / "f.h5"
    Features.from_arrays(IDS, VALUES).write(path)
    if storage == "cut":
        with h5py.File(path) as file:
            end = file["matrix"].id.get_offset() + VALUES.nbytes
        path.write_bytes(path.read_bytes()[: end - 1])
    else:
        with h5py.File(path, "r+", libver="latest") as file:
            del file["matrix"]
            if storage == "chunked":
                file.create_dataset("matrix", data=VALUES, chunks=(1, 3))
            elif storage == "external":
                (tmp_path / "raw").write_bytes(VALUES.tobytes())
                file.create_dataset(
                    "matrix", VALUES.shape, "f2", external=[(str(tmp_path / "raw"), 0, VALUES.nbytes)]
                )
            elif storage == "never written":
                file.create_dataset("matrix", VALUES.shape, "f2")
            elif storage == "cube":
                file.create_dataset("matrix", data=VALUES[None])
            elif storage == "text":
                file.create_dataset("matrix", data=np.array([[b"a"]]))
    with pytest.raises(DataError) as caught:
        Features.read(path)
    assert str(path) in caught.value.message
    with pytest.raises(DataError):
        verify(path)


def test_parts_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    def write(**changes: object) -> None:
        arguments: dict = {
            "items": Ids.collect(IDS), "names": ["x", "y", "z"], "groups": [Group("dense", 0, 3, False)],
            "kind": "dense", "scale": 1.0, "blocks": [VALUES], "dtype": "float16", "shape": (5, 3),
        }  # fmt: skip
        write_features(tmp_path / "f.h5", **{**arguments, **changes})

    for changes, kind in [
        ({"kind": "sparse"}, UsageError),
        ({"dtype": "float64"}, UsageError),
        ({"scale": 0.0}, DataError),
        ({"names": ["x", "y"]}, DataError),
        ({"names": ["x", "y", "x"]}, DataError),
        ({"names": ["x", "y", ""]}, DataError),
        ({"groups": []}, DataError),
        ({"groups": [Group("g", 0, 2, False)]}, DataError),
        ({"groups": [Group("g", 1, 2, False), Group("h", 0, 1, False)]}, DataError),
        ({"items": Ids(np.array([], dtype="S1")), "shape": (0, 3)}, DataError),
        ({"blocks": [VALUES[:4]]}, ValueError),
        ({"blocks": [VALUES, VALUES[:1]]}, IndexError),
        ({"blocks": [VALUES.astype(np.float32)]}, ValueError),
    ]:
        with pytest.raises(kind):
            write(**changes)
        assert list(tmp_path.iterdir()) == []
    write()
    assert verify(tmp_path / "f.h5").ok


def test_rows_in_any_order_each_once(tmp_path: Path) -> None:
    items = Ids.collect(IDS)
    groups = [Group("dense", 0, 3, False)]
    with lock(tmp_path / "f.h5") as held, features_sink(
        tmp_path / "f.h5", items, ["x", "y", "z"], groups, "dense", 1.0, "float16", 3, keep_lock=held
    ) as sink:  # fmt: skip
        sink.put(np.array([4, 0, 1]), VALUES[[4, 0, 1]])
        with pytest.raises(ValueError, match="given twice"):
            sink.put(np.array([0]), VALUES[:1])
        with pytest.raises(ValueError, match="given twice"):
            sink.put(np.array([2, 2]), VALUES[:2])
        sink.put(np.array([3, 2]), VALUES[[3, 2]])
    assert Features.read(tmp_path / "f.h5").matrix.tobytes() == VALUES.tobytes()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_values_that_are_no_numbers_are_named(bad: float, dtype: type) -> None:
    values = VALUES.astype(dtype)
    values[3, 1] = bad
    with pytest.raises(DataError, match=r"'green' .column 2. of item 'a' is"):
        Features.from_arrays(IDS, values, names=["red", "green", "blue"])


def test_ids_that_repeat_are_named() -> None:
    with pytest.raises(DataError, match="'b' is row 2 and row 3"):
        Features.from_arrays(["a", "b", "b"], np.zeros((3, 1)))
    with pytest.raises(DataError, match="2 ids for 3 rows"):
        Features.from_arrays(["a", "b"], np.zeros((3, 1)))


def test_asking_for_an_item_without_features_is_an_error() -> None:
    features = Features.from_arrays(IDS, VALUES)
    with pytest.raises(DataError, match="has none"):
        features.take(features.rows(Ids.collect(["a", "unknown"])))


# --- names ---


def attributes() -> Features:
    names = ["colour=Black", "colour=Red", "lining=Black", "tags=a=b", "tags=leather"]
    values = np.array([[1, 0, 1, 1, 1], [0, 1, 0, 0, 0.5], [1, 0, 0, 0, 0.5]])
    return Features.from_arrays(["i1", "i2", "i3"], values, names=names, kind="attributes")


def test_groups_follow_from_the_names_of_attributes() -> None:
    assert attributes().groups == [
        Group("colour", 0, 2, True),
        Group("lining", 2, 1, True),
        Group("tags", 3, 2, False),
    ]


def test_columns_by_full_name_or_by_unique_value() -> None:
    features = attributes()
    assert features.column("colour=Black") == 0
    assert features.column("Red") == 1
    assert features.column("a=b") == 3
    with pytest.raises(UsageError, match="ambiguous") as caught:
        features.column("Black")
    assert "'colour=Black' or 'lining=Black'" in caught.value.hint
    with pytest.raises(UsageError, match="Unknown feature 'leathr'") as caught:
        features.column("leathr")
    assert caught.value.hint == "Did you mean 'leather'?"


def test_description_and_examples() -> None:
    features = attributes()
    facts = describe(features)
    assert (facts["items"], facts["columns"], facts["kind"], facts["dtype"]) == (
        3,
        5,
        "attributes",
        "float32",
    )
    assert (facts["min"], facts["max"]) == (0.0, 1.0)
    assert facts["zero_share"] == pytest.approx(7 / 15)
    assert facts["groups"][1] == {
        "group": "lining", "columns": 1, "exclusive": True, "items_with_value": 1, "share_with_value": 1 / 3,
    }  # fmt: skip
    assert [(e["item"], e["value"]) for e in examples(features, "leather")] == [
        ("i1", 1.0),
        ("i2", 0.5),
        ("i3", 0.5),
    ]
    assert [e["item"] for e in examples(features, "Red", 5)] == ["i2"]  # items without it are no examples
    assert examples(features, "leather", 2)[1] == {
        "rank": 2,
        "item": "i2",
        "feature": "tags=leather",
        "value": 0.5,
    }
    for n in (0, -1):
        with pytest.raises(UsageError, match="can't be shown"):
            examples(features, "leather", n)
    assert (facts["items_without_values"], facts["columns_without_values"]) == (0, 0)
    dense = Features.from_arrays(IDS, VALUES * np.float16([1, 1, 0]))
    about = describe(dense)
    assert (about["items_without_values"], about["first_without_values"]) == (1, ["äpfel"])
    assert (about["columns_without_values"], about["first_empty_columns"]) == (1, ["2"])
    dense = Features.from_arrays(IDS, VALUES)
    assert [e["item"] for e in examples(dense, "0", 9)] == ["b", "0108", "0020", "äpfel", "a"]


# --- import ---


def texts(path: Path, ids: list[str]) -> Path:
    path.write_text("\n".join(ids) + "\n", encoding="utf-8")
    return path


def amazon(path: Path, ids: list[str], values: np.ndarray) -> Path:
    rows = np.zeros(len(ids), dtype=[("id", "S10"), ("values", "<f4", (4096,))])
    rows["id"] = [f"{i:<10}".encode() for i in ids]
    rows["values"] = values
    path.write_bytes(rows.tobytes())
    return path


def save_npy(folder: Path, values: np.ndarray) -> dict:
    np.save(folder / "x.npy", values)
    return {"path": folder / "x.npy", "ids": texts(folder / "ids.txt", IDS)}


def save_npz(folder: Path, values: np.ndarray) -> dict:
    np.savez(folder / "x.npz", features=values, ids=np.array(IDS))
    return {"path": folder / "x.npz"}


def save_npz_compressed(folder: Path, values: np.ndarray) -> dict:
    np.savez_compressed(folder / "x.npz", features=values)
    return {"path": folder / "x.npz", "ids": texts(folder / "ids.txt", IDS)}


def save_hdf5(folder: Path, values: np.ndarray) -> dict:
    with h5py.File(folder / "x.h5", "w") as file:
        file.create_dataset("deep/features", data=values, chunks=(2, 3), compression="gzip")
        file["ids"] = IDS
    return {"path": folder / "x.h5"}


@pytest.mark.parametrize("save", [save_npy, save_npz, save_npz_compressed, save_hdf5])
@pytest.mark.parametrize("source", ["<f2", "<f4", ">f4", "<f8", "<i4", "|u1", "|b1"])
def test_import_of_every_container_and_type(tmp_path: Path, save: Callable[..., dict], source: str) -> None:
    numbers = np.arange(15).reshape(5, 3) % 7
    report = import_features(**save(tmp_path, numbers.astype(source)), out=tmp_path / "f.h5")
    expected = numbers.astype(source).astype(np.float32)
    back = Features.read(tmp_path / "f.h5")
    assert back.matrix.dtype == np.float16
    for text, row in zip(IDS, expected):
        assert values_of(back, [text])[0].tolist() == row.tolist()
    assert (report["items"], report["columns"], report["min"], report["max"]) == (5, 3, 0, expected.max())
    assert report["payload_sha256"] == back.payload_sha256
    assert verify(tmp_path / "f.h5").ok


def test_import_streams_in_blocks_and_reports_progress(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ivbpr_numba.features import sources as feature_sources

    monkeypatch.setattr(feature_sources, "BLOCK_BYTES", 30)
    rng = np.random.default_rng(5)
    values = rng.random((23, 3)).astype(np.float32)
    ids = [f"{k}" for k in rng.permutation(1000)[:23]]
    texts(tmp_path / "ids.txt", ids)
    digests = set()
    for order in ("C", "F"):
        np.save(tmp_path / "x.npy", np.asarray(values, order=order))
        seen: list[dict] = []
        report = import_features(
            tmp_path / "x.npy",
            ids=tmp_path / "ids.txt",
            dtype="float32",
            out=tmp_path / "f.h5",
            progress=seen.append,
        )
        digests.add(report["payload_sha256"])
        assert [e["done"] for e in seen] == [*range(2, 23, 2), 23]
        assert {e["total"] for e in seen} == {23}
    assert digests == {Features.from_arrays(ids, values).payload_sha256}


def test_amazon_records(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    values = (rng.random((4, 4096)) * 58).astype(np.float32)
    path = amazon(tmp_path / "image_features.b", ["B00X", "0001234567", "B00A", "A"], values)
    import_features(path, divide_by=58.388599, dtype="float32", out=tmp_path / "f.h5")
    back = Features.read(tmp_path / "f.h5")
    assert back.items.texts() == ["0001234567", "A", "B00A", "B00X"]
    assert np.array_equal(back.matrix, (values / np.float32(58.388599))[[1, 3, 2, 0]])
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match="not a multiple of 16,394"):
        import_features(path, out=tmp_path / "g.h5")
    amazon(path, ["B00X", "", "B00A", "A"], values)
    with pytest.raises(DataError, match="record 2"):
        import_features(path, out=tmp_path / "g.h5")
    amazon(path, ["B00X", "A", "B00A", "A"], values)
    with pytest.raises(DataError, match="'A' is row 2 and row 4"):
        import_features(path, out=tmp_path / "g.h5")
    assert not (tmp_path / "g.h5").exists()


def test_import_rounds_as_documented(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    values = rng.random((5, 300)).astype(np.float32)
    arguments = save_npy(tmp_path, values)
    rows = np.argsort([i.encode() for i in IDS])
    import_features(**arguments, dtype="uint8", out=tmp_path / "f.h5")
    back = Features.read(tmp_path / "f.h5")
    assert back.scale == 1 / 255
    assert np.abs(back.values(np.arange(5)) - values[rows]).max() <= 1 / 510 + 1e-6
    import_features(**arguments, out=tmp_path / "g.h5")
    assert np.array_equal(Features.read(tmp_path / "g.h5").matrix, values[rows].astype(np.float16))
    # Bytes of an image survive exactly.
    pixels = np.arange(256, dtype=np.uint8).reshape(2, 128)
    np.savez(tmp_path / "p.npz", x=pixels, ids=np.array(["a", "b"]))
    import_features(tmp_path / "p.npz", divide_by=255, dtype="uint8", out=tmp_path / "p.h5")
    assert np.array_equal(Features.read(tmp_path / "p.h5").matrix, pixels)


def test_our_own_files_keep_names_and_groups(tmp_path: Path) -> None:
    attributes().write(tmp_path / "a.h5")
    import_features(tmp_path / "a.h5", dtype="uint8", kind="attributes", out=tmp_path / "b.h5")
    back = Features.read(tmp_path / "b.h5")
    assert (back.names, back.groups, back.kind) == (attributes().names, attributes().groups, "attributes")
    assert back.matrix.tolist()[1] == [0, 255, 0, 0, 128]


@pytest.mark.parametrize(
    ("value", "dtype", "words"),
    [
        (np.nan, "float16", r"row 4 \(item 'a'\), column 2 \('1'\): nan"),
        (np.inf, "float32", r"row 4 \(item 'a'\), column 2 \('1'\): inf"),
        (np.nan, "uint8", "nan"),
        (65520.0, "float16", r"float16 holds values up to 65504"),
        (-70000.0, "float16", r"float16 holds values up to"),
        (1.01, "uint8", r"uint8 holds values from 0 to 1"),
        (-0.01, "uint8", r"uint8 holds values from 0 to 1"),
        (1e300, "float32", r"float32 holds values up to"),
    ],
)
def test_values_a_type_cannot_hold_are_named(tmp_path: Path, value: float, dtype: str, words: str) -> None:
    values = np.zeros((5, 3))
    values[3, 1] = value
    with pytest.raises(DataError, match="row 4 ") as caught:
        import_features(**save_npy(tmp_path, values), dtype=dtype, out=tmp_path / "f.h5")
    assert re.search(words, str(caught.value))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["ids.txt", "x.npy"]


BASE = np.array([[0, 1, 2], [3, 7, 5], [6, 4, 8], [9, 2, 11], [12, 13, 14]])


@pytest.mark.parametrize(
    ("values", "dtype", "lost"),
    [
        (BASE * 1e-9, "float16", 3),  # all zero
        (BASE * 3e-8, "float16", 3),  # below the normal numbers: three bits left
        (np.full((5, 3), 1e-9), "float16", 3),  # one value, which would become 0
        (BASE * np.array([1, 1e-9, 1]), "float16", 1),
        (BASE / 100 + 4000, "float16", 3),  # what differs is smaller than the steps
        (BASE * 1e-50, "float32", 3),
        (BASE + 1.7e9, "float32", 3),  # seconds since 1970
        (BASE / 14 * 0.01, "uint8", 3),
        (BASE * np.array([0.07, 0.0005, 0.07]), "uint8", 1),
    ],
)
def test_columns_that_a_type_would_lose_are_refused(
    tmp_path: Path, values: np.ndarray, dtype: str, lost: int
) -> None:
    arguments = save_npy(tmp_path, values)
    with pytest.raises(
        DataError, match=f"x.npy': {dtype} keeps next to nothing of {lost} of 3 col"
    ) as caught:
        import_features(**arguments, dtype=dtype, out=tmp_path / "f.h5")
    assert "divide_by=" in caught.value.hint
    assert not (tmp_path / "f.h5").exists()


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (BASE * 1e-9, "float16 keeps next to nothing of 3 of 3 columns"),
        (BASE * 10_000.0, "float16 can't hold the value 70000"),
    ],
)
def test_without_a_type_a_wider_one_is_chosen_and_said(tmp_path: Path, values: np.ndarray, why: str) -> None:
    arguments = save_npy(tmp_path, values)
    report = import_features(**arguments, out=tmp_path / "f.h5")
    assert (report["dtype"], report["dtype_why"][: len(why)]) == ("float32", why)
    back = Features.read(tmp_path / "f.h5")
    assert np.array_equal(values_of(back, ["0108"])[0], values[0].astype(np.float32))
    assert report["largest_error"] <= 1e-7 * values.max()
    small = import_features(**save_npy(tmp_path, BASE / 3), out=tmp_path / "f.h5")
    assert (small["dtype"], small["dtype_why"]) == ("float16", None)
    assert small["largest_error"] == pytest.approx(
        float(np.abs(BASE / 3 - (BASE / 3).astype(np.float16)).max()), rel=1e-6
    )


def test_what_is_only_rounded_is_stored(tmp_path: Path) -> None:
    rare = BASE / 14  # one tiny value beside large ones is no loss
    rare[0, 0] = 1e-9
    for dtype, step in (("float16", 2**-11), ("uint8", 1 / 510)):
        report = import_features(**save_npy(tmp_path, rare), dtype=dtype, out=tmp_path / "f.h5")
        assert 0 < report["largest_error"] <= step * 1.001
    exact = import_features(**save_npy(tmp_path, BASE.astype(np.float16)), out=tmp_path / "f.h5")
    assert exact["largest_error"] == 0


def test_inputs_that_cannot_be_imported(tmp_path: Path) -> None:
    out = tmp_path / "f.h5"
    good = save_npy(tmp_path, VALUES)

    def refused(error: type[Exception], match: str, **changes: object) -> None:
        with pytest.raises(error, match=match):
            import_features(**{**good, "out": out, **changes})  # type: ignore[arg-type]
        assert not out.exists()

    refused(UsageError, "no file", path=tmp_path / "none.npy")
    refused(UsageError, "none of the endings", path=good["ids"])
    refused(UsageError, "which row belongs", ids=None)
    refused(UsageError, "no such file", ids=tmp_path / "none.txt")
    refused(UsageError, "can't be stored as 'float64'", dtype="float64")
    refused(UsageError, "Unknown kind", kind="sparse")
    refused(UsageError, "divided by 0", divide_by=0)
    refused(UsageError, "divided by nan", divide_by=float("nan"))
    refused(UsageError, "folder does not exist", out=tmp_path / "none" / "f.h5")
    refused(UsageError, "the input itself", out=good["path"])
    refused(DataError, "has 4 ids, but .* has 5 rows", ids=texts(tmp_path / "short.txt", IDS[:4]))
    refused(DataError, "'b' is row 3 and row 5", ids=texts(tmp_path / "twice.txt", [*IDS[:4], "b"]))
    refused(DataError, "position 1 is empty", ids=texts(tmp_path / "hole.txt", ["x", "", *IDS[2:]]))
    (tmp_path / "latin.txt").write_bytes("ä\n".encode("latin-1"))
    refused(DataError, "not UTF-8", ids=tmp_path / "latin.txt")
    for name, array in {
        "flat": np.zeros(5),
        "cube": np.zeros((5, 2, 2)),
        "empty": np.zeros((5, 0)),
        "c": np.zeros((5, 2), complex),
    }.items():
        np.save(tmp_path / f"{name}.npy", array)
        refused(DataError, "table of numbers|is empty", path=tmp_path / f"{name}.npy")
    np.save(tmp_path / "objects.npy", np.array([[{}]]), allow_pickle=True)
    refused(DataError, "not a .npy file of numbers", path=tmp_path / "objects.npy")
    whole = Path(good["path"]).read_bytes()
    (tmp_path / "cut.npy").write_bytes(whole[:-1])
    refused(DataError, "cut short", path=tmp_path / "cut.npy")
    (tmp_path / "text.npz").write_text("no zip")
    refused(DataError, "not a .npz file", path=tmp_path / "text.npz")
    np.savez(tmp_path / "two.npz", a=VALUES, b=VALUES)
    refused(DataError, "holds 2 two-dimensional", path=tmp_path / "two.npz")
    np.savez(tmp_path / "alone.npz", a=VALUES)
    refused(DataError, "no arrays that may be ids", path=tmp_path / "alone.npz", ids=None)
    np.savez(tmp_path / "columns.npz", a=np.asfortranarray(VALUES), ids=np.array(IDS))
    refused(DataError, "stored by columns", path=tmp_path / "columns.npz", ids=None)
    (tmp_path / "text.h5").write_text("no HDF5")
    refused(DataError, "not an HDF5 file", path=tmp_path / "text.h5", ids=None)


@pytest.mark.parametrize(
    "pack",
    [
        lambda text: text,
        lambda text: b"\xef\xbb\xbf" + text,
        lambda text: text.replace(b"\n", b"\r\n"),
        lambda text: b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n").rstrip(),
        lambda text: gzip.compress(b"\xef\xbb\xbf" + text),
    ],
)
def test_ids_as_editors_save_them(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    arguments = save_npy(tmp_path, VALUES)
    arguments["ids"].write_bytes(pack(arguments["ids"].read_bytes()))
    import_features(**arguments, out=tmp_path / "f.h5")
    back = Features.read(tmp_path / "f.h5")
    assert back.items.texts() == ["0020", "0108", "a", "b", "äpfel"]
    assert values_of(back, ["0108"]).tolist() == [[0.5, 1, 0]]


def test_a_line_of_ids_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    arguments = save_npy(tmp_path, VALUES)
    arguments["ids"].write_bytes(b"x\ny\nt\xfcr\nz\na\n")
    with pytest.raises(DataError, match=r"ids\.txt', line 3 is not UTF-8"):
        import_features(**arguments, out=tmp_path / "f.h5")


def test_ids_that_are_python_objects_are_named_and_never_opened(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple:
            return Path.touch, (tmp_path / "sprung",)

    objects = np.array([*IDS[:4], Trap()], dtype=object)
    np.savez(tmp_path / "x.npz", x=VALUES, ids=objects)
    assert not (tmp_path / "sprung").exists()
    with pytest.raises(DataError, match="ids holds Python objects, which only pickle can read") as caught:
        import_features(tmp_path / "x.npz", out=tmp_path / "f.h5")
    assert "ids=ids.astype(str)" in caught.value.hint
    # Where a list of ids is given, the objects don't matter.
    import_features(tmp_path / "x.npz", ids=texts(tmp_path / "ids.txt", IDS), out=tmp_path / "f.h5")
    assert len(Features.read(tmp_path / "f.h5")) == 5
    # One text many times makes a pickle shorter than the pointers that its header tells of.
    np.savez(tmp_path / "y.npz", x=np.eye(5), ids=np.array(["a"] * 5, dtype=object))
    with pytest.raises(DataError, match="ids holds Python objects"):
        import_features(tmp_path / "y.npz", out=tmp_path / "g.h5")
    np.savez(tmp_path / "z.npz", x=VALUES.astype(object), ids=np.array(IDS))
    with pytest.raises(DataError, match="holds 0 two-dimensional arrays of numbers") as caught:
        import_features(tmp_path / "z.npz", out=tmp_path / "g.h5")
    assert "astype('float32')" in caught.value.hint
    assert not (tmp_path / "sprung").exists() and not (tmp_path / "g.h5").exists()


def test_a_matrix_that_is_still_being_written_is_named(tmp_path: Path) -> None:
    arguments = save_npy(tmp_path, VALUES)
    whole = arguments["path"].read_bytes()
    code = (
        "import sys, time; f = open(sys.argv[1], 'r+b'); f.truncate(100); print(flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(arguments["path"])], stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        with pytest.raises(UsageError, match=f"x.npy' is being written by another process .pid {writer.pid}"):
            import_features(**arguments, out=tmp_path / "f.h5")
        writer.kill()
    with pytest.raises(DataError, match=r"not a .npy file of numbers, or cut short"):
        import_features(**arguments, out=tmp_path / "f.h5")
    arguments["path"].write_bytes(whole)
    assert import_features(**arguments, out=tmp_path / "f.h5")["items"] == 5


def test_a_damaged_archive_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    np.savez(tmp_path / "x.npz", features=rng.random((5, 3000)), ids=np.array(IDS))
    with zipfile.ZipFile(tmp_path / "x.npz") as archive:
        start = archive.getinfo("features.npy").header_offset
    data = bytearray((tmp_path / "x.npz").read_bytes())
    data[start + 5000] ^= 1
    (tmp_path / "x.npz").write_bytes(data)
    with pytest.raises(DataError, match=r"features is damaged"):
        import_features(tmp_path / "x.npz", out=tmp_path / "f.h5")
    assert [p.name for p in tmp_path.iterdir()] == ["x.npz"]


def test_import_never_holds_the_file(tmp_path: Path) -> None:
    """96 MB go through a process whose memory may grow by 48 MB at most."""
    rows = 6000
    amazon(
        tmp_path / "x.b",
        [f"{k:010d}" for k in np.random.default_rng(9).permutation(rows)],
        np.ones((rows, 4096), np.float32),
    )
    code = f"""
import resource
from ivbpr_numba.features.importing import import_features
from ivbpr_numba.features.features import Features
def resident():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
before = resident()
import_features({str(tmp_path / "x.b")!r}, out={str(tmp_path / "f.h5")!r})
print(resident() - before)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert int(done.stdout) < 48_000
    assert len(Features.read(tmp_path / "f.h5")) == rows


# --- tables ---


def build(folder: Path, text: str, **options: object) -> tuple[dict, Features]:
    (folder / "catalogue.csv").write_text(text, encoding="utf-8")
    arguments: dict = {"id_column": "id", "out": folder / "a.h5", **options}
    report = build_feature_table(folder / "catalogue.csv", **arguments)
    return report, Features.read(folder / "a.h5")


CATALOGUE = """id,colour,shape,tags
0012,Black,round,leather;floral
0007, Red ,,
0003,black,round,"floral; leather;"
0012,Black,round,floral;leather
0100,Black,NA,lace
"""


def test_one_hot_groups_and_tags(tmp_path: Path) -> None:
    report, features = build(tmp_path, CATALOGUE, columns=["shape", "colour"], tags=["tags"])
    assert features.kind == "attributes"
    assert features.items.texts() == ["0003", "0007", "0012", "0100"]  # zeros in front survive
    assert features.names == [
        "shape=NA", "shape=round", "colour=Black", "colour=Red", "colour=black",
        "tags=floral", "tags=lace", "tags=leather",
    ]  # fmt: skip
    assert features.groups == [
        Group("shape", 0, 2, True),
        Group("colour", 2, 3, True),
        Group("tags", 5, 3, False),
    ]
    assert features.values(np.arange(4)).tolist() == [
        [0, 1, 0, 0, 1, 1, 0, 1],
        [0, 0, 0, 1, 0, 0, 0, 0],
        [0, 1, 1, 0, 0, 1, 0, 1],
        [1, 0, 1, 0, 0, 0, 1, 0],
    ]
    assert (report["rows"], report["items"], report["merged_rows"], report["disagreeing_items"]) == (
        5,
        4,
        1,
        0,
    )
    assert [g["items_without_value"] for g in report["groups"]] == [1, 0, 1]
    assert report["payload_sha256"] == features.payload_sha256
    assert features.source["columns"] == ["shape", "colour"]


def test_rare_values_are_dropped_and_reported(tmp_path: Path) -> None:
    report, features = build(tmp_path, CATALOGUE, columns=["shape", "colour"], tags=["tags"], min_count=2)
    assert features.names == ["shape=round", "colour=Black", "tags=floral", "tags=leather"]
    shape, colour, tags = report["groups"]
    assert shape["dropped"] == [{"value": "NA", "items": 1}]
    assert (colour["values_seen"], colour["values_dropped"], colour["columns"]) == (3, 2, 1)
    assert colour["items_dropped"] == 2
    assert (tags["items_dropped"], tags["items_without_value"]) == (1, 1)
    assert report["items_without_values"] == 1  # 0007 keeps its all-zero row
    assert report["first_without_values"] == ["0007"]
    assert (shape["first_without_value"], shape["first_items_dropped"]) == (["0007"], ["0100"])
    assert colour["first_items_dropped"] == ["0003", "0007"]
    assert features.values(np.array([1])).tolist() == [[0, 0, 0, 0]]
    with pytest.raises(DataError, match="no value of the chosen columns is left"):
        build(tmp_path, CATALOGUE, columns=["shape"], min_count=9)


def test_a_group_without_any_value_is_left_out_and_reported(tmp_path: Path) -> None:
    report, features = build(tmp_path, "id,a,b\n1,x,\n2,y,\n", columns=["b", "a"])
    assert [g.name for g in features.groups] == ["a"]
    assert report["groups"][0] == {
        "group": "b", "columns": 0, "exclusive": True, "values_seen": 0, "values_dropped": 0,
        "items_without_value": 2, "items_dropped": 0, "dropped": [],
        "first_without_value": ["1", "2"], "first_items_dropped": [],
    }  # fmt: skip


ROWS = "id,kind,tags\nb,gown,x;y\na,top,x\nb,dress,y\nb,gown,\na,top,x\n"


def test_rows_that_disagree(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"1 items have rows that disagree: 'b' \(kind: 'gown' or 'dress'\)"):
        build(tmp_path, ROWS, columns=["kind"])
    report, features = build(tmp_path, ROWS, columns=["kind"], tags=["tags"], aggregate="first")
    assert features.names == ["kind=gown", "kind=top", "tags=x", "tags=y"]
    assert features.values(np.arange(2)).tolist() == [[0, 1, 1, 0], [1, 0, 1, 1]]
    assert (report["disagreeing_items"], report["first_disagreeing"]) == (1, ["b"])
    _, features = build(tmp_path, ROWS, columns=["kind"], tags=["tags"], aggregate="share")
    assert features.names == ["kind=dress", "kind=gown", "kind=top", "tags=x", "tags=y"]
    third = float(np.float16(1 / 3))
    assert features.values(np.arange(2)).tolist()[0] == [0, 0, 1, 1, 0]
    assert features.values(np.arange(2)).tolist()[1] == pytest.approx(
        [third, 2 / 3, 0, third, 2 / 3], abs=3e-4
    )


@given(
    rows=st.lists(
        st.tuples(st.integers(0, 4), st.sampled_from(["", "x", "y", "z"])), min_size=1, max_size=12
    ),
    aggregate=st.sampled_from(["first", "share"]),
    least=st.integers(1, 3),
)
def test_tables_equal_a_plain_count(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, str]], aggregate: str, least: int
) -> None:
    by_item: dict[str, list[str]] = {}
    for item, value in rows:
        by_item.setdefault(f"i{item}", []).append(value)
    wanted: dict[str, dict[str, float]] = {}
    for item, seen in by_item.items():
        used = seen[:1] if aggregate == "first" else seen
        wanted[item] = {v: used.count(v) / len(used) for v in set(used) - {""}}
    kept = [v for v in "xyz" if sum(v in w for w in wanted.values()) >= least]
    text = "id,c\n" + "".join(f"i{i},{v}\n" for i, v in rows)
    folder = tmp_path_factory.mktemp("count")
    if not kept:
        with pytest.raises(DataError, match="no value"):
            build(folder, text, columns=["c"], aggregate=aggregate, min_count=least)
        return
    _, features = build(folder, text, columns=["c"], aggregate=aggregate, min_count=least)
    assert features.names == [f"c={v}" for v in kept]
    assert features.items.texts() == sorted(wanted)
    expected = [[wanted[item].get(v, 0) for v in kept] for item in sorted(wanted)]
    assert np.array_equal(features.values(np.arange(len(expected))), np.array(expected, dtype=np.float16))


def test_separators(tmp_path: Path) -> None:
    _, features = build(tmp_path, "id,t:u,v\n1,a|b,c;d\n", tags=["t:u:|", "v"])
    assert features.names == ["t:u=a", "t:u=b", "v=c", "v=d"]
    _, features = build(tmp_path, "id,v\n1,a\n2,a:b\n", tags=["v::"])
    assert features.names == ["v=a", "v=b"]


LISTED = [["red", "big"], [], None, ["red", 38], [" red ", ""]]


def table_of(folder: Path, cells: list, kind: str) -> Path:
    """A table of items a, b, … whose column t holds these cells."""
    frame = pd.DataFrame({"id": list("abcdefgh")[: len(cells)], "t": pd.Series(cells, dtype=object)})
    path = folder / f"t.{kind}"
    if kind == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in frame.to_dict("records")))
    elif kind == "parquet":
        frame["t"] = [cell if cell is None else list(map(str, cell)) for cell in cells]
        frame.to_parquet(path)
    elif kind == "json in csv":
        frame["t"] = ["" if cell is None else json.dumps(cell) for cell in cells]
        frame.to_csv(path, index=False)
    else:
        frame.to_csv(path, index=False)
    return path


@pytest.mark.parametrize("kind", ["jsonl", "parquet", "python in csv", "json in csv"])
def test_lists_are_tags(tmp_path: Path, kind: str) -> None:
    path = table_of(tmp_path, LISTED, kind)
    report = build_feature_table(path, id_column="id", tags=["t"], out=tmp_path / "a.h5")
    features = Features.read(tmp_path / "a.h5")
    assert features.names == ["t=38", "t=big", "t=red"]
    assert features.values(np.arange(5)).tolist() == [[0, 1, 1], [0, 0, 0], [0, 0, 0], [1, 0, 1], [0, 0, 1]]
    assert report["groups"][0]["first_without_value"] == ["b", "c"]
    in_text = {
        "python in csv": [{"column": "t", "rows": 4, "first": "['red', 'big']"}],
        "json in csv": [{"column": "t", "rows": 4, "first": '["red", "big"]'}],
    }
    assert report["lists_in_text"] == in_text.get(kind, [])


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("[]", ()),
        (" [ 'a' , \"b\", 3, -1.5e3, None, nan, ] ", ("a", "b", "3", "-1.5e3")),
        ("['it\\'s', 'a,b', \"c]d\"]", ("it's", "a,b", "c]d")),
        ('["\\u00e9\\/", "\\t"]', ("é/", "\t")),
        ("('red', 'big')", ("red", "big")),
        ("{'red'}", ("red",)),
        ("red;big", None),
        ("[new];red", None),
        ("(new)", None),
        ("{new}", None),
        ("[", None),
        ("", None),
    ],
)
def test_the_text_of_a_list(text: str, values: tuple[str, ...] | None) -> None:
    assert list_in_text(text) == values


@pytest.mark.parametrize(
    "text",
    [
        "[red, big]",  # of a writer without quotes: a tag may hold a comma
        "['a' 'b']",  # of a NumPy array; Python would read 'ab'
        "[['a']]",
        "[{'a': 1}]",
        "['a', open('x')]",
        '{"a": 1}',
        "['\\x']",
        "['a'",
        "['a', 'b1'",  # cut off, as by a program that splits at commas
        '["a", "b1',
        "[" * 5000 + "]" * 5000,
    ],
)
def test_what_only_looks_like_a_list_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match="the text of a"):
        list_in_text(text)
    path = table_of(tmp_path, ["plain", text], "csv")
    with pytest.raises(DataError, match=r"t\.csv', line 3: the cell .* of the column 't' is the text of a"):
        build_feature_table(path, id_column="id", tags=["t"], out=tmp_path / "a.h5")
    assert not (tmp_path / "a.h5").exists()


@pytest.mark.parametrize(
    ("cell", "kind", "said"),
    [
        (["red"], "jsonl", "line 2: the cell .* is a list, not one value"),
        (["red"], "parquet", "row 2: the cell .* is a list, not one value"),
        ([], "csv", "line 3: the cell .* is a list, not one value"),
        (["red", "big"], "csv", "line 3: the cell .* is a list, not one value"),
        ({"a": 1}, "jsonl", "line 2: the cell .* is an object"),
        ('{"a": 1}', "csv", "the text of a structure"),
    ],
)
def test_one_value_is_no_list(tmp_path: Path, cell: Any, kind: str, said: str) -> None:
    before: Any = ["x"] if kind == "parquet" else "x"
    path = table_of(tmp_path, [before, cell], kind)
    if kind == "parquet":
        said = said.replace("row 2", "row 1")
    with pytest.raises(DataError, match=said) as caught:
        build_feature_table(path, id_column="id", columns=["t"], out=tmp_path / "a.h5")
    assert ("tags=" in caught.value.hint) == ("a list" in said)


def test_brackets_of_a_value_stay(tmp_path: Path) -> None:
    path = table_of(tmp_path, ["[new]", "(old)", "{odd}"], "csv")
    build_feature_table(path, id_column="id", columns=["t"], out=tmp_path / "a.h5")
    assert Features.read(tmp_path / "a.h5").names == ["t=(old)", "t=[new]", "t={odd}"]


@pytest.mark.parametrize("value", [1.5, True, ["a"], {"a": 1}])
def test_ids_are_text_or_whole_numbers(tmp_path: Path, value: Any) -> None:
    rows = [{"id": 7, "t": "x"}, {"id": value, "t": "y"}]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(DataError, match=r"line 2: the id is .*, which is neither text nor a whole number"):
        build_feature_table(tmp_path / "t.jsonl", id_column="id", columns=["t"], out=tmp_path / "a.h5")


def test_choices_that_make_no_table(tmp_path: Path) -> None:
    def refused(error: type[Exception], match: str, text: str = CATALOGUE, **options: object) -> None:
        with pytest.raises(error, match=match):
            build(tmp_path, text, **options)
        assert not (tmp_path / "a.h5").exists()

    refused(UsageError, "No column was chosen")
    refused(DataError, "no column 'color'. Did you mean 'colour'", columns=["color"])
    refused(DataError, "no column 'tagz'", tags=["tagz:,"])
    refused(DataError, "no column 'article'", columns=["colour"], id_column="article")
    refused(UsageError, "chosen twice", columns=["tags"], tags=["tags"])
    refused(UsageError, "no separator", tags=["tags:"])
    refused(UsageError, "Unknown way to aggregate 'mean'", columns=["colour"], aggregate="mean")
    refused(UsageError, "asked to occur 0 times", columns=["colour"], min_count=0)
    refused(DataError, "1 rows have no id, the first is data row 2", "id,a\n1,x\n,y\n", columns=["a"])
    refused(DataError, "no rows|empty", "id,a\n", columns=["a"])


# --- real data ---


@pytest.mark.real_data
def test_hm_articles_and_squeezenet(tmp_path: Path, real_data: Path) -> None:
    columns = [
        "product_type_name", "graphical_appearance_name", "colour_group_name", "perceived_colour_value_name",
        "perceived_colour_master_name", "department_name", "index_name", "section_name", "garment_group_name",
    ]  # fmt: skip
    articles = real_data / "hm" / "articles.csv.gz"
    build_feature_table(articles, id_column="article_id", columns=columns, out=tmp_path / "a.h5")
    table = Features.read(tmp_path / "a.h5")
    assert table.shape == (10_695, 495) and table.sparse
    assert set(table.take(np.arange(len(table))).sum(axis=1).tolist()) == {9.0}
    assert table.items[0] == "0108775015"
    import_features(
        real_data / "hm" / "squeezenet512.f16.npy",
        ids=real_data / "hm" / "squeezenet512.ids.txt",
        out=tmp_path / "s.h5",
    )
    network = Features.read(tmp_path / "s.h5")
    assert np.array_equal(network.items.values, table.items.values)
    facts = describe(network)
    assert facts["max"] == 84.75
    assert facts["zero_share"] == pytest.approx(0.36, abs=0.005)
    assert inspect(tmp_path / "s.h5")["changed"] == []


@pytest.mark.real_data
def test_rental_categories_as_shares(tmp_path: Path, real_data: Path) -> None:
    rentals = real_data / "rtr" / "rtr_interactions.csv.gz"
    with pytest.raises(DataError, match="5 items have rows that disagree"):
        build_feature_table(rentals, id_column="item_id", columns=["category"], out=tmp_path / "a.h5")
    report = build_feature_table(
        rentals, id_column="item_id", columns=["category"], aggregate="share", out=tmp_path / "a.h5"
    )
    assert (report["items"], report["columns"], report["disagreeing_items"]) == (5850, 68, 5)
    features = Features.read(tmp_path / "a.h5")
    values = features.values(np.arange(len(features)))
    assert np.allclose(values.sum(axis=1), 1, atol=1e-3)
    assert int(((values > 0).sum(axis=1) > 1).sum()) == 5
