"""Feature files: the same values by item out, and everything that is damaged refused."""

from __future__ import annotations

from pathlib import Path

import h5py
import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from small_features import IDS, VALUES, values_of

from ivbpr_numba.errors import CheckFailed, DataError, UsageError
from ivbpr_numba.features import alignment
from ivbpr_numba.features.alignment import align
from ivbpr_numba.features.features import Features
from ivbpr_numba.features.inputs import DenseInput
from ivbpr_numba.features.layout import Group
from ivbpr_numba.features.writing import features_sink, write_features
from ivbpr_numba.ids import Ids
from ivbpr_numba.store import blocks as blocks_module
from ivbpr_numba.store.atomic import lock
from ivbpr_numba.store.verify import verify


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two rows of three halves under one digest instead of 8 MiB."""
    monkeypatch.setattr(blocks_module, "_BLOCK_BYTES", 12)


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
