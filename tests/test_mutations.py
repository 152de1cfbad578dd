"""Damaged files of every kind end well: a result or one paragraph, no traceback, no crash, no hang."""

from __future__ import annotations

import pytest
from mutations import HDF5_FILES, KINDS, OURS, Kind, run, summary

# Mutations that once ended badly, by kind; they stay.
SEEDS = {
    # TokenError of NumPy's parser for headers of Python 2 (exit code 1)
    "npy": [1038, 1042],
    "npy by columns": [1055, 1073],
    # zlib.error of the archive (exit code 1)
    "npz compressed": [1015, 1032, 1082],
    # control characters in the message, quoted by pyarrow
    "parquet of none": [1027, 1043],
    "parquet of gzip": [1013, 1090],
    # another exit code than `prepare` has for a column that is not there
    "catalogue (gzip)": [1090],
    "catalogue of Parquet": [1053],
    # a RuntimeWarning about a NaN beside the error
    "b records": [143],
    # bytes that are no UTF-8 in the answers of `verify` and `inspect` (exit code 1)
    "our dataset file": [1030, 1070],
}


def check(jobs: list[tuple[str, int]]) -> str:
    """Run them all; fails with every problem, returns the table."""
    results = run(jobs)
    assert len(results) == len(jobs)
    wrong = [f"{r.kind}, seed {r.seed}: {r.problem}" for r in results if r.problem]
    assert not wrong, "\n".join(wrong)
    return summary(results)


def test_some_mutations_and_those_that_once_failed() -> None:
    """Every reader in one of its compressions; all of them are in the slow ring."""
    bases: dict[str, list[str]] = {}
    for kind in KINDS:
        bases.setdefault(kind.partition(" (")[0], []).append(kind)
    chosen = [kinds[k % len(kinds)] for k, kinds in enumerate(bases.values())]
    jobs = [(kind, seed) for kind in chosen for seed in range(6)]
    check(jobs + [(kind, seed) for kind, seeds in SEEDS.items() for seed in seeds])


@pytest.mark.slow
def test_many_mutations_of_every_kind() -> None:
    """At least 3,000; more of the files that the HDF5 library reads."""
    jobs = [(kind, 100 + k) for kind in KINDS for k in range(200 if "hdf5" in kind or kind in OURS else 50)]
    assert len(jobs) >= 3000
    print(f"\n{check(jobs)}")


def test_a_crash_and_a_hang_are_reported() -> None:
    """The harness itself: they cost one mutation each, and the seed is told."""
    results = run([("a crash", 1), ("a hang", 2), ("ids.txt", 3)])
    assert [(result.kind, result.seed) for result in results] == [
        ("a crash", 1),
        ("a hang", 2),
        ("ids.txt", 3),
    ]
    assert "ended with -11" in results[0].problem and "no end in time" in results[1].problem
    assert not results[2].problem


def test_every_kind_of_hdf5_file_is_there() -> None:
    assert {"features", "sparse features", "dataset", "model", "tuning", "table"} == set(HDF5_FILES)
    assert len(OURS) == len(HDF5_FILES) and all(isinstance(KINDS[name], Kind) for name in OURS)
