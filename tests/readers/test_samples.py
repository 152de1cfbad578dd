"""`data/FORMAT.md` tells what to type for each kind of file: every command line of it runs on a sample."""

from __future__ import annotations

import gzip
import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.sparse
import zstandard

from ivbpr_numba.datasets.dataset import Dataset
from ivbpr_numba.readers.tables import read_table
from ivbpr_numba.store.verify import verify

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "data" / "samples"
PAGE = (ROOT / "data" / "FORMAT.md").read_text(encoding="utf-8").split("What to type for your files\n")[1]
LINES = [line.strip() for line in PAGE.splitlines() if line.startswith("    ivbpr ")]


def fill(folder: Path) -> None:
    """The samples, each also packed, and the binary files that the page names."""
    for sample in SAMPLES.iterdir():
        data = sample.read_bytes()
        shutil.copy(sample, folder)
        (folder / f"{sample.name}.gz").write_bytes(gzip.compress(data))
        (folder / f"{sample.name}.zst").write_bytes(zstandard.compress(data))
    ids = (SAMPLES / "ids.txt").read_text().split()
    records = np.zeros(len(ids), dtype=[("id", "S10"), ("values", "<f4", (4096,))])
    records["id"] = ids
    records["values"] = np.random.default_rng(4).random((len(ids), 4096)) * 58
    (folder / "image_features.b").write_bytes(records.tobytes())
    matrix = records["values"][:, :8]
    np.save(folder / "features.npy", matrix)
    np.savez(folder / "features.npz", features=matrix, ids=np.array(ids))
    scipy.sparse.save_npz(
        folder / "tags.npz", scipy.sparse.csr_array(np.round(records["values"][:, :4] / 58))
    )
    with h5py.File(folder / "features.h5", "w") as file:
        file["features"], file["ids"] = matrix, ids
    if "purchases.parquet" in PAGE:
        pytest.importorskip("pyarrow")
        read_table(SAMPLES / "purchases.csv").to_parquet(folder / "purchases.parquet")


def test_every_command_line_of_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ivbpr: Callable[..., Any]
) -> None:
    fill(tmp_path)
    monkeypatch.chdir(tmp_path)
    named = set()
    payloads: dict[str, list[str]] = {}
    for line in LINES:
        words = shlex.split(line)[1:]
        named |= {word for word in words if re.fullmatch(r"[\w.]+\.\w+", word)}
        done = ivbpr(*words, "--format", "json")
        assert done.code == 0, f"{line}: {done.err}"
        document = json.loads(done.out)
        if words[0] == "verify":
            continue
        out = Path(words[words.index("-o") + 1])
        assert verify(out).ok
        if words[0] == "prepare":
            data = Dataset.read(out)
            assert len(data.users) in (1, 2) and document["payload_sha256"] == data.payload_sha256
            assert data.source["inputs"][0]["bad_lines"] == []
            if not {"--meta", "--catalogue"} & set(words):
                payloads.setdefault(data.payload_sha256, []).append(line)
    # The samples tell of the same purchases: without titles there is one dataset.
    assert len(payloads) == 1, payloads
    unnamed = {sample.name for sample in SAMPLES.iterdir()} - {re.sub(r"\.(gz|zst)$", "", n) for n in named}
    assert unnamed == set(), "samples that the page does not use"
    wanted = "2014 2018 2023 simple .csv .tsv .jsonl .parquet .zst articles .b .npy .npz .h5".split()
    assert [kind for kind in wanted if not any(kind in name for name in named)] == []
