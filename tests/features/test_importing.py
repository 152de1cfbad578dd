"""Matrices of other programs: every container, ids as people keep them, and what can't be imported."""

from __future__ import annotations

import gzip
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from small_features import IDS, VALUES, attributes, save_npy, texts, values_of

from ivbpr_numba.errors import DataError, UsageError
from ivbpr_numba.features.features import Features
from ivbpr_numba.features.importing import import_features
from ivbpr_numba.store.verify import verify


def amazon(path: Path, ids: list[str], values: np.ndarray) -> Path:
    rows = np.zeros(len(ids), dtype=[("id", "S10"), ("values", "<f4", (4096,))])
    rows["id"] = [f"{i:<10}".encode() for i in ids]
    rows["values"] = values
    path.write_bytes(rows.tobytes())
    return path


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


def test_our_own_files_keep_names_and_groups(tmp_path: Path) -> None:
    attributes().write(tmp_path / "a.h5")
    import_features(tmp_path / "a.h5", dtype="uint8", kind="attributes", out=tmp_path / "b.h5")
    back = Features.read(tmp_path / "b.h5")
    assert (back.names, back.groups, back.kind) == (attributes().names, attributes().groups, "attributes")
    assert back.matrix.tolist()[1] == [0, 255, 0, 0, 128]


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
