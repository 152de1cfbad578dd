"""Feature files of the sparse layout: written, read with suspicion, made by every way that makes features."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.sparse

from ivbpr_numba.errors import DataError, UsageError
from ivbpr_numba.features.features import Features
from ivbpr_numba.features.importing import import_features
from ivbpr_numba.features.layout import SPARSE_BELOW, Group
from ivbpr_numba.features.tables import build_feature_table
from ivbpr_numba.features.writing import features_sink, write_features
from ivbpr_numba.ids import Ids
from ivbpr_numba.kernels.arguments import Csr
from ivbpr_numba.store import blocks as blocks_module
from ivbpr_numba.store.atomic import lock
from ivbpr_numba.store.sparse_file import PARTS, write_csr
from ivbpr_numba.store.verify import inspect, verify

IDS = ["0108", "0020", "b", "a", "äpfel"]
NAMES = ["x", "y", "z"]
VALUES = np.array([[0.5, 1, 0], [0, 2, 0.25], [3, 0, 0], [-1, 0, 7], [0, 0, 0]], dtype=np.float16)
ONES = (VALUES != 0).astype(np.float16)
ROOT = Path(__file__).parents[2]


def features_of(values: np.ndarray) -> Features:
    return Features.from_arrays(IDS, values, NAMES, layout="sparse")


# --- the file ---


@pytest.mark.parametrize("values", [VALUES, ONES, np.zeros_like(ONES)])
def test_what_is_not_zero_is_written_and_read(tmp_path: Path, values: np.ndarray) -> None:
    features = features_of(values)
    path = tmp_path / "f.h5"
    assert features.write(path, layout="sparse") == features.payload_sha256
    back = Features.read(path)
    order = [1, 0, 3, 2, 4]
    assert back.sparse and back.take(np.arange(5)).tobytes() == values[order].tobytes()
    assert all(np.array_equal(a, b) for a, b in zip(back.csr(), features.csr()))
    assert verify(path).ok and verify(path).blocks == 1
    rows = {row["path"]: row["shape"] for row in inspect(path)["objects"]}
    kept = np.count_nonzero(values)
    assert [rows[name] for name in PARTS] == [[6], [kept], [kept if values is VALUES else 0]]
    assert "/matrix" not in rows
    with h5py.File(path) as file:  # a stranger's view
        assert file.attrs["format_version"] == b"1.1"
        place = slice(*file["sparse/indptr"][:2])
        assert file["sparse/indices"][place].tolist() == np.flatnonzero(values[1]).tolist()
        assert file["sparse/values"].dtype == np.float16


def test_one_payload_for_both_layouts_and_the_least_version_that_tells(tmp_path: Path) -> None:
    features = features_of(VALUES)
    for layout in ("sparse", "dense", "sparse"):
        features.write(tmp_path / f"{layout}.h5", layout=layout)
        features = Features.read(tmp_path / f"{layout}.h5")  # from one to the other and back
        assert features.payload_sha256 == features_of(VALUES).payload_sha256
    versions = [verify(tmp_path / f"{layout}.h5").format_version for layout in ("dense", "sparse")]
    assert versions == ["1.0", "1.1"]
    features.attrs["network_sha256"], features.source = "ab" * 32, {"command": "test"}
    features.write(tmp_path / "sparse.h5", layout="sparse")
    again = Features.read(tmp_path / "sparse.h5")
    assert (again.attrs, again.source) == (features.attrs, features.source)


def test_auto_is_sparse_below_the_threshold_that_the_documents_name(tmp_path: Path) -> None:
    values = np.zeros((20, 100), np.float32)
    values[:, : round(100 * SPARSE_BELOW)] = 1
    for few in (False, True):
        values[0, 0] = not few
        for layout in ("dense", "sparse"):
            for kind in ("attributes", "dense"):
                Features.from_matrix(values, ids=range(20), kind=kind, layout=layout).write(tmp_path / "f.h5")
                assert Features.read(tmp_path / "f.h5").sparse == (few and kind == "attributes")
    assert SPARSE_BELOW == 0.1
    assert "less than a tenth of the values" in (ROOT / "data" / "FORMAT.md").read_text()


def test_two_files_of_equal_features_are_the_same_bytes(tmp_path: Path) -> None:
    for name in "ab":
        features_of(VALUES).write(tmp_path / name, layout="sparse")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("values", [VALUES, ONES])
def test_every_flipped_byte_is_found_at_opening(
    tmp_path: Path, values: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks_module, "_BLOCK_BYTES", 12)
    path = tmp_path / "f.h5"
    features_of(values).write(path, layout="sparse")
    whole = path.read_bytes()
    with h5py.File(path) as file:
        places = {
            name: (file[name].id.get_offset(), file[name].id.get_storage_size())
            for name in (*PARTS, "/block_sha256", "/names")
            if file[name].size
        }
    assert len(places) == (5 if values is VALUES else 4)
    for name, (offset, size) in places.items():
        for position in range(offset, offset + size):
            damaged = bytearray(whole)
            damaged[position] ^= 0x04
            path.write_bytes(damaged)
            with pytest.raises(DataError, match=f"changed since it was written: {name}"):
                Features.read(path)
            report = verify(path)
            assert f"{name} differs" in report.mismatches
            assert not report.ok and name in inspect(path)["changed"]


def test_a_cut_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    features_of(VALUES).write(path, layout="sparse")
    whole = path.read_bytes()
    for size in range(0, len(whole) - 1, 97):
        path.write_bytes(whole[:size])
        for read in (Features.read, verify):
            with pytest.raises(DataError):
                read(path)


def written(path: Path, csr: Csr, columns: int = 3, digests: Csr | None = None) -> None:
    """A file whose digests are right, whatever is in it."""
    from ivbpr_numba.features.layout import PAYLOAD, feature_tree
    from ivbpr_numba.store import sparse_file

    tree = feature_tree(
        Ids.collect(IDS), NAMES, [Group("dense", 0, 3, False)], "dense", 1.0, (5, 3), np.dtype(np.float16)
    )
    with pytest.MonkeyPatch.context() as patch:
        good = features_of(VALUES).csr()
        made = blocks_module.block_count((len(csr.indptr) - 1, columns), csr.values.dtype)
        found = sparse_file.digest_csr(digests or good, columns)[:made]
        patch.setattr(sparse_file, "digest_csr", lambda *_: np.resize(found, made))
        write_csr(path, tree, PAYLOAD, csr, columns)


BAD: dict[str, tuple[Callable[[Csr], Csr], str]] = {
    "begins late": (
        lambda c: c._replace(indptr=np.r_[1, c.indptr[1:]]),
        "indptr does not rise from 0",
    ),
    "falls": (lambda c: c._replace(indptr=c.indptr[[0, 2, 1, 3, 4, 5]]), "indptr does not rise from 0"),
    "ends early": (lambda c: c._replace(indptr=np.minimum(c.indptr, 6)), "indptr does not rise from 0 to 7"),
    "ends late": (lambda c: c._replace(indptr=np.r_[c.indptr[:-1], 9]), "indptr does not rise from 0"),
    "negative": (lambda c: c._replace(indptr=np.r_[0, -9, c.indptr[2:]]), "indptr does not rise from 0"),
    "few values": (lambda c: c._replace(values=c.values[:6]), "6 values for 7 entries"),
    "column −1": (lambda c: c._replace(indices=c.indices - 1), "columns other than 0 to 2"),
    "column 3": (lambda c: c._replace(indices=c.indices + 1), "columns other than 0 to 2"),
    "twice": (lambda c: c._replace(indices=np.int32([0, 0, *c.indices[2:]])), "does not ascend in row 0"),
    "back": (lambda c: c._replace(indices=np.int32([*c.indices[:4], 2, 0, 0])), "does not ascend in row 2"),
    "zero": (lambda c: c._replace(values=c.values * np.float16([0, 1, 1, 1, 1, 1, 1])), "holds zeros"),
    "no number": (lambda c: c._replace(values=c.values * np.float16(np.nan)), "NaN or infinity"),
    "infinity": (lambda c: c._replace(values=c.values / np.float16(0)), "NaN or infinity"),
    "ones": (lambda c: c._replace(values=np.ones(7, np.float16)), "nothing but ones"),
}


@pytest.mark.filterwarnings("ignore:divide by zero")
@pytest.mark.parametrize("name", BAD)
def test_parts_that_do_not_fit_are_named(tmp_path: Path, name: str) -> None:
    """Their digests are right: another program wrote them so."""
    good = features_of(VALUES).csr()
    assert good.indptr.tolist() == [0, 2, 4, 6, 7, 7]
    spoil, said = BAD[name]
    written(tmp_path / "f.h5", good)
    assert verify(tmp_path / "f.h5").ok and Features.read(tmp_path / "f.h5").sparse
    written(tmp_path / "f.h5", spoil(good))
    with pytest.raises(DataError, match=f"f.h5' is damaged: /sparse/.*{said}"):
        Features.read(tmp_path / "f.h5")
    [mismatch] = verify(tmp_path / "f.h5").mismatches
    assert said in mismatch


@pytest.mark.parametrize(
    "spoil",
    [
        lambda c: c._replace(indptr=c.indptr.astype(np.int32)),
        lambda c: c._replace(indices=c.indices.astype(np.int64)),
        lambda c: c._replace(values=c.values.astype(np.float64)),
        lambda c: c._replace(indptr=c.indptr[:1]),
        lambda c: c._replace(indptr=c.indptr[:4]),
        lambda c: c._replace(indices=c.indices[None]),
    ],
)
def test_parts_of_other_types_and_shapes_are_refused(tmp_path: Path, spoil: Callable[[Csr], Csr]) -> None:
    written(tmp_path / "f.h5", spoil(features_of(VALUES).csr()))
    with pytest.raises(DataError):
        Features.read(tmp_path / "f.h5")


@pytest.mark.parametrize("name", [*PARTS, "/names", "/block_sha256"])
def test_parts_that_are_missing_are_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / "f.h5"
    features_of(VALUES).write(path, layout="sparse")
    with h5py.File(path, "r+", libver="latest") as file:
        del file[name]
    with pytest.raises(DataError) as caught:
        Features.read(path)
    assert name in caught.value.message or "has no matrix" in caught.value.message


def test_rows_that_are_not_those_of_their_digests_do_not_verify(tmp_path: Path) -> None:
    written(tmp_path / "f.h5", features_of(ONES).csr(), digests=features_of(VALUES).csr())
    assert verify(tmp_path / "f.h5").mismatches == ["/matrix differs in rows 0 to 4"]
    with pytest.raises(DataError, match="/matrix, rows 0 to 4"):
        Features.read(tmp_path / "f.h5").check()


# --- writing rows as they come ---


def test_rows_in_any_order_each_once(tmp_path: Path) -> None:
    path, items, groups = tmp_path / "f.h5", Ids.collect(IDS), [Group("dense", 0, 3, False)]
    parts: tuple = (path, items, NAMES, groups, "dense", 1.0, "float16", 3)
    with lock(path) as held, features_sink(*parts, keep_lock=held, sparse=True) as sink:
        sink.put(np.array([4, 0, 1]), VALUES[[4, 0, 1]])
        with pytest.raises(ValueError, match="does not fit"):
            sink.put(np.array([3]), VALUES[:2])
        with pytest.raises(DataError, match=r"'z' \(column 3\) of item 'b' is nan"):
            sink.put(np.array([3]), np.array([[0, 1, np.nan]], np.float16))
        sink.put(np.array([3, 2]), VALUES[[3, 2]])
    back = Features.read(path)
    assert back.sparse and back.take(np.arange(5)).tobytes() == VALUES.tobytes()
    assert sink.payload_sha256 == back.payload_sha256
    path.unlink()
    for rows in ([0, 1, 2, 3], [0, 1, 2, 3, 3]):
        with (
            pytest.raises(ValueError, match="twice or not at all"),
            features_sink(*parts, sparse=True) as sink,
        ):
            sink.put(np.array(rows), VALUES[rows])
    assert list(tmp_path.iterdir()) == []
    with lock(path), pytest.raises(UsageError), features_sink(*parts, sparse=True):
        pytest.fail("somebody else writes this file")
    path.write_text("a table")
    with pytest.raises(UsageError), features_sink(*parts, sparse=True):
        pytest.fail("this is no feature file")
    path.unlink()
    whole: dict = {"items": items, "names": NAMES, "groups": groups, "kind": "dense", "scale": 1.0}
    digest = write_features(path, **whole, blocks=[VALUES], dtype="float16", shape=(5, 3), sparse=True)
    assert digest == back.payload_sha256


# --- tables and imports ---


def table(folder: Path) -> Path:
    lines = [f"i{k % 40:02},{f'h{k % 23}' if k % 9 else ''},a{k % 13}; b{k % 5}" for k in range(60)]
    (folder / "t.csv").write_text("\n".join(["id,hue,tags", *lines]) + "\n")
    return folder / "t.csv"


@pytest.mark.parametrize("aggregate", ["first", "share"])
def test_a_table_gives_either_layout(tmp_path: Path, aggregate: str) -> None:
    options: dict = {"id_column": "id", "columns": ["hue"], "tags": ["tags"], "aggregate": aggregate}
    reports = {}
    for layout in ("dense", "sparse", "auto"):
        path = tmp_path / f"{layout}.h5"
        reports[layout] = build_feature_table(table(tmp_path), **options, layout=layout, out=path)
        assert verify(path).ok and reports[layout]["layout"] == ("dense" if layout == "dense" else "sparse")
        assert verify(path).payload_sha256 == reports[layout]["payload_sha256"]
    assert len({report["payload_sha256"] for report in reports.values()}) == 1
    dense, sparse = (Features.read(tmp_path / f"{layout}.h5") for layout in ("dense", "sparse"))
    assert dense.matrix.tobytes() == sparse.take(np.arange(40)).tobytes()
    assert (len(sparse.csr().values) == 0) == (aggregate == "first")
    with pytest.raises(UsageError, match="Unknown layout 'csr'"):
        build_feature_table(table(tmp_path), **options, layout="csr", out=tmp_path / "x.h5")


def saved(folder: Path, values: Any, name: str = "x.npz", ids: list[str] | None = None) -> dict:
    scipy.sparse.save_npz(folder / name, values)
    (folder / "ids.txt").write_text("\n".join(ids or IDS) + "\n")
    return {"path": folder / name, "ids": folder / "ids.txt"}


@pytest.mark.parametrize("dtype", [None, "float16", "float32", "uint8"])
@pytest.mark.parametrize("divide_by", [None, 3.5])
def test_scipy_matrices_are_imported_like_dense_ones(
    tmp_path: Path, dtype: str | None, divide_by: float | None
) -> None:
    values = np.where(
        np.random.default_rng(4).random((5, 30)) < 0.3, np.random.default_rng(5).uniform(0.5, 1, (5, 30)), 0
    )
    values[0, 0] = 1.0
    np.save(tmp_path / "x.npy", values)
    options: dict = {"dtype": dtype, "divide_by": divide_by, "kind": "attributes"}
    found = []
    for make in (scipy.sparse.csr_array, scipy.sparse.csc_matrix, scipy.sparse.coo_array):
        for layout in ("sparse", "dense"):
            source = saved(tmp_path, make(values))
            found.append(import_features(**source, **options, layout=layout, out=tmp_path / "f.h5"))
            assert Features.read(tmp_path / "f.h5").sparse == (layout == "sparse")
            assert verify(tmp_path / "f.h5").ok
    plain = {"path": tmp_path / "x.npy", "ids": tmp_path / "ids.txt"}
    for layout in ("dense", "sparse"):
        found.append(import_features(**plain, **options, layout=layout, out=tmp_path / "f.h5"))
        assert Features.read(tmp_path / "f.h5").sparse == (layout == "sparse")
    for report in found:
        del report["input"], report["layout"]
    assert all(report == found[0] for report in found)


def test_an_import_chooses_by_the_share_of_values(tmp_path: Path) -> None:
    values = np.zeros((20, 100))
    values[:, : round(100 * SPARSE_BELOW)] = 1
    ids = [f"i{k}" for k in range(20)]
    for few in (False, True):
        values[0, 0] = not few
        np.savez(tmp_path / "d.npz", features=values, ids=np.array(ids))
        for source in (
            {"path": tmp_path / "d.npz"},
            saved(tmp_path, scipy.sparse.csr_array(values), ids=ids),
        ):
            assert import_features(**source, out=tmp_path / "f.h5")["layout"] == "dense"  # of nameless ones
            report = import_features(**source, kind="attributes", out=tmp_path / "f.h5")
            assert report["layout"] == ("sparse" if few else "dense")
            assert Features.read(tmp_path / "f.h5").sparse == few
            again = import_features(tmp_path / "f.h5", kind="attributes", out=tmp_path / "g.h5")
            assert (again["layout"], again["payload_sha256"]) == (report["layout"], report["payload_sha256"])
    with pytest.raises(UsageError, match="Unknown layout 'csr'"):
        import_features(tmp_path / "d.npz", layout="csr", out=tmp_path / "f.h5")


def test_a_scipy_matrix_is_rounded_like_a_dense_one(tmp_path: Path) -> None:
    values = np.zeros((5, 3))
    values[2, 1] = 1e-9
    source = saved(tmp_path, scipy.sparse.csr_array(values))
    report = import_features(**source, layout="sparse", out=tmp_path / "f.h5")
    assert report["dtype"] == "float32" and "float16 keeps next to nothing of 1 of 3" in report["dtype_why"]
    values[3, 2] = 70000
    source = saved(tmp_path, scipy.sparse.csr_array(values))
    said = r"row 4 \(item 'a'\), column 3 \('2'\): 70000"
    with pytest.raises(DataError, match=said):
        import_features(**source, layout="sparse", dtype="float16", out=tmp_path / "f.h5")
    values[3, 2] = np.nan
    with pytest.raises(DataError, match=r"row 4 \(item 'a'\), column 3 \('2'\): nan"):
        import_features(
            **saved(tmp_path, scipy.sparse.csr_array(values)), layout="sparse", out=tmp_path / "g.h5"
        )
    with pytest.raises(DataError, match=r"column 3 \('2'\): nan"):
        import_features(
            **saved(tmp_path, scipy.sparse.csr_array(values)),
            dtype="uint8",
            layout="sparse",
            out=tmp_path / "g.h5",
        )


def test_scipy_files_that_are_refused(tmp_path: Path) -> None:
    good = scipy.sparse.csr_array(VALUES.astype(np.float32))
    source = saved(tmp_path, good)
    with pytest.raises(UsageError, match="does not say which row belongs to which item"):
        import_features(source["path"], out=tmp_path / "f.h5")
    with pytest.raises(DataError, match="form dia"):
        import_features(**saved(tmp_path, scipy.sparse.dia_array(good)), out=tmp_path / "f.h5")
    with pytest.raises(DataError, match="complex128"):
        import_features(**saved(tmp_path, good.astype(complex)), out=tmp_path / "f.h5")
    with pytest.raises(DataError, match=r"has 5 ids, but .* has 4 rows"):
        import_features(**saved(tmp_path, good[:4]), out=tmp_path / "f.h5")
    wide = scipy.sparse.coo_array(([1.0], ([0], [1])), shape=(5, 1 << 30))
    with pytest.raises(DataError, match=r"1,073,741,824 columns; at most 16,777,216"):
        import_features(**saved(tmp_path, wide), out=tmp_path / "f.h5")
    for name, spoiled in {
        "indices": good.indices + 5,
        "indptr": good.indptr[::-1],
        "data": np.array([None]),
        "format": np.array(b"xyz"),
        "shape": np.array([5]),
    }.items():
        saved(tmp_path, good)
        with np.load(tmp_path / "x.npz") as archive:
            arrays = dict(archive)
        np.savez(tmp_path / "x.npz", **{**arrays, name: spoiled})
        with pytest.raises(DataError):
            import_features(**source, out=tmp_path / "f.h5")
    arrays["indices"] = arrays["indices"].astype(float)
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(DataError, match="indices holds float64"):
        import_features(**source, out=tmp_path / "f.h5")
    assert not (tmp_path / "f.h5").exists()
