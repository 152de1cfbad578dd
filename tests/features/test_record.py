"""What a model remembers of its features: where they were, and that they say something."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest

from ivbpr_numba.errors import DataError, UsageError
from ivbpr_numba.features.alignment import align, fit_scaling
from ivbpr_numba.features.features import Features
from ivbpr_numba.features.layout import Group
from ivbpr_numba.features.record import FeatureRecord

IDS = ["a", "b", "c", "d"]
VALUES = np.array([[1, 0, 0], [0, 1, 0], [0, 1, 0.5], [1, 0, 1]], dtype=np.float16)


def record_of(features: Features, how: str = "none") -> FeatureRecord:
    return FeatureRecord.of(features, fit_scaling(align(features, features.items), how))


@pytest.fixture
def recorded(tmp_path: Path) -> FeatureRecord:
    """Of a model in ``model/`` whose features are in ``first/`` and, by the relative path, in ``second/``."""
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        Features.from_arrays(IDS, VALUES).write(tmp_path / name / "f.h5")
    found = record_of(Features.read(tmp_path / "first" / "f.h5"))
    return FeatureRecord(**{**vars(found), "relative_path": "f.h5", "folder": str(tmp_path / "second")})


def spoil(path: Path, how: str) -> None:
    if how == "cut":
        path.write_bytes(path.read_bytes()[:-1])
    elif how == "text":
        path.write_text("not HDF5")
    elif how == "other":
        Features.from_arrays(IDS, 2 * VALUES).write(path)
    elif how == "model":
        from ivbpr_numba.store.files import write_tree
        from ivbpr_numba.store.tree import Tree

        path.unlink()
        write_tree(path, Tree("ivbpr-model", {"/x": "y"}), payload=["/x"])
    elif how == "newer":
        with h5py.File(path, "r+") as file:
            file.attrs["format_version"] = "9.0"
    elif how == "flipped value":  # its header still has the right digest
        with h5py.File(path) as file:
            offset = file["matrix"].id.get_offset()
        data = bytearray(path.read_bytes())
        data[offset] ^= 1
        path.write_bytes(data)


@pytest.mark.parametrize("how", ["cut", "text", "other", "model", "newer", "flipped value"])
def test_a_wrong_file_at_the_first_place_does_not_hide_the_right_one(
    tmp_path: Path, recorded: FeatureRecord, how: str
) -> None:
    first, second = tmp_path / "first" / "f.h5", tmp_path / "second" / "f.h5"
    assert recorded.find().path == str(first)
    spoil(first, how)
    found = recorded.find()
    assert found.path == str(second)
    assert found.take(np.arange(4)).tolist() == VALUES.tolist()
    assert recorded.refuse_others() is None
    spoil(second, "other")
    said = {
        "cut": "damaged or cut short",
        "text": "is not an HDF5 file",
        "other": r"first/f.h5 \(.*…\) are others",
        "model": "is an ivbpr-model file",
        "newer": "format version 9",
        "flipped value": "/matrix, rows 0 to 3",
    }
    for ask in (recorded.find, recorded.refuse_others):
        with pytest.raises(DataError, match=f"not those of the fit.*{said[how]}.*; .*second/f.h5 .*are oth"):
            ask()


def test_places_that_are_one_file_are_read_once_and_missing_ones_named(
    tmp_path: Path, recorded: FeatureRecord
) -> None:
    first, second = tmp_path / "first" / "f.h5", tmp_path / "second" / "f.h5"
    second.unlink()
    os.link(first, second)
    spoil(first, "text")  # both
    with pytest.raises(DataError) as caught:
        recorded.find()
    assert str(caught.value).count("is not an HDF5 file") == 1
    first.unlink()
    second.unlink()
    assert recorded.refuse_others() is None
    with pytest.raises(UsageError, match=f"not at {first}"):
        recorded.find()


def test_given_features_are_judged_alone(recorded: FeatureRecord) -> None:
    right = Features.from_arrays(IDS, VALUES)
    assert recorded.find(right) is right
    with pytest.raises(DataError, match=r"not those of the fit.*\(in memory\) \(.*…\) are others"):
        recorded.find(Features.from_arrays(IDS, 2 * VALUES))


@pytest.mark.parametrize("how", ["none", "max", "standard", "idf"])
def test_features_without_a_value_are_warned_of(how: str) -> None:
    groups = [Group("colour", 0, 2, True), Group("style", 2, 1, False)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        record_of(Features.from_arrays(IDS, VALUES, groups=groups), how)
    nothing = Features.from_arrays(IDS, 0 * VALUES, groups=groups)
    with pytest.warns(UserWarning, match=r"Every value of the features \(in memory\) is zero"):
        record_of(nothing, how)
    half = Features.from_arrays(IDS, VALUES * np.float16([1, 1, 0]), groups=groups)
    with pytest.warns(UserWarning, match=r"1 of 2 groups .* are zero for every item of the fit: 'style'\."):
        record_of(half, how)
