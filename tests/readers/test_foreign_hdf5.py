"""HDF5 files of others are read by a child process: whatever happens to it becomes one paragraph."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from ivbpr_numba.errors import DataError
from ivbpr_numba.features.features import Features
from ivbpr_numba.features.importing import import_features
from ivbpr_numba.features.sources import open_source
from ivbpr_numba.readers import foreign_hdf5
from ivbpr_numba.store import hdf5
from ivbpr_numba.store.verify import inspect, verify

VALUES = np.arange(60, dtype=np.float32).reshape(20, 3)


def write(path: Path, **options: object) -> Path:
    with h5py.File(path, "w", **options) as file:
        file["deep/features"], file["ids"] = VALUES, [f"i{k:02d}" for k in range(20)]
        file["text"], file["pair"] = "made by somebody", np.zeros(2, dtype=[("a", "f4")])
        file["nothing"] = h5py.Empty("f4")
    return path


@pytest.mark.parametrize("options", [{}, {"libver": "latest"}])
def test_every_layout_is_read(tmp_path: Path, options: dict) -> None:
    path = write(tmp_path / "x.h5", **options)
    source = open_source(path)
    assert source.ids.tolist() == [b"i%02d" % k for k in range(20)]
    assert np.array_equal(np.concatenate(list(source.blocks())), VALUES)
    import_features(path, dtype="float32", out=tmp_path / "f.h5")
    assert np.array_equal(Features.read(tmp_path / "f.h5").matrix, VALUES)


def test_an_older_layout_never_meets_the_library_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There, one damaged byte of an attribute makes HDF5 loop for ever."""
    path = write(tmp_path / "x.h5")
    monkeypatch.setattr(hdf5.h5py, "File", lambda *_, **__: pytest.fail("HDF5 opened it"))
    for read in (verify, inspect, Features.read):
        with pytest.raises(DataError, match="no ivbpr format"):
            read(path)


SIGSEGV = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
FOREVER = """
from ivbpr_numba.readers import foreign_hdf5
foreign_hdf5._answer = lambda *_: [None for _ in iter(int, 1)]
foreign_hdf5.serve()
"""


@pytest.mark.parametrize(("code", "words"), [(SIGSEGV, "SIGSEGV"), (FOREVER, "no end")])
def test_a_child_that_ends_badly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, words: str
) -> None:
    monkeypatch.setattr(foreign_hdf5, "_CODE", code)
    monkeypatch.setattr(foreign_hdf5, "SECONDS", 1.0)
    with pytest.raises(DataError, match=words) as caught:
        open_source(write(tmp_path / "x.h5"))
    assert "\n" not in str(caught.value) and caught.value.hint


def test_damage_that_shows_while_rows_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=VALUES, chunks=(5, 3), fletcher32=True)
        file["ids"] = np.arange(20)
        offset = file["x"].id.get_chunk_info(3).byte_offset
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match="damaged or cut short"):
        import_features(path, out=tmp_path / "f.h5")
    assert [p.name for p in tmp_path.iterdir()] == ["x.h5"]


def test_ids_that_are_no_text(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["x"], file["ids"] = VALUES[:2], np.array([b"good", b"\xff\xfe"])
    np.savez(tmp_path / "x.npz", x=VALUES[:2], ids=np.array([b"good", b"\xff\xfe"]))
    for name in ("x.h5", "x.npz"):
        with pytest.raises(DataError, match="row 2 is not UTF-8"):
            open_source(tmp_path / name)
