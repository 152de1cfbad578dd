"""The type that an import stores: rounded as documented, wide enough, nothing lost unsaid."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from small_features import IDS, save_npy, values_of

from ivbpr_numba.errors import DataError
from ivbpr_numba.features.features import Features
from ivbpr_numba.features.importing import import_features


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
