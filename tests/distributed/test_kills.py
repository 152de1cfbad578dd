"""Workers are killed at random moments while others go on: the same results, in bounded time.

A few of them in the ring of clusters, forty in the slow one.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import odd_images
import pytest
from extracting import RAW
from photo_files import write_all
from small_models import fitted
from tiny_networks import plain_network

from ivbpr_numba import auc, prepare
from ivbpr_numba.datasets import sharing
from ivbpr_numba.network.extraction import extract
from ivbpr_numba.ranking import counting

often = pytest.mark.parametrize(
    "kills", [pytest.param(4, marks=pytest.mark.cluster), pytest.param(14, marks=pytest.mark.slow)]
)


@contextmanager
def killer(client: Any, kills: int) -> Iterator[threading.Thread]:
    """A thread that kills so many workers, one after the other, those that have work first.

    Dask starts a worker again that dies, but not one that dies before its nanny has heard of it.
    """
    done = 0

    def kill() -> None:
        nonlocal done
        rng, seen = np.random.default_rng(kills), dict[int, float]()
        until = time.monotonic() + 60 * kills
        while done < kills and time.monotonic() < until:
            try:
                time.sleep(float(rng.uniform(0.3, 1.0)))
                pids, now = client.run(os.getpid, on_error="ignore"), time.monotonic()
                seen = {pid: seen.get(pid, now) for pid in pids.values()}
                old = {address: pid for address, pid in pids.items() if now - seen[pid] > 1.5}
                busy = [
                    old[address] for address, keys in client.processing().items() if keys and address in old
                ]
                if len(old) > 1:
                    os.kill(int(rng.choice(sorted(busy or old.values()))), signal.SIGKILL)
                    done += 1
            except (OSError, KeyError, ValueError, TimeoutError):
                continue

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    yield thread
    thread.join()
    assert done == kills


@often
def test_while_a_model_is_judged(kills: int, fresh: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "PART", 3)
    model = fitted("i-vbpr")
    expected = {**auc(model), "seconds": 0}
    with killer(fresh, kills) as thread:
        while thread.is_alive():
            assert {**auc(model, client=fresh), "seconds": 0} == expected


@often
def test_while_photos_are_extracted(kills: int, fresh: Any, tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="networks for tests are made with onnx")
    files = {f"p{k:03d}.png": odd_images.saved(odd_images.photo(k % 40), "PNG") for k in range(300)}
    files |= {name: odd.data for name, odd in odd_images.broken().items()}
    folder, net = write_all(tmp_path / "photos", files), plain_network(tmp_path / "net.onnx")
    given: dict[str, Any] = {"batch": 3, "overwrite": True, "preprocess": RAW}
    expected = extract(folder, net, tmp_path / "here.h5", **given)["payload_sha256"]
    with killer(fresh, kills) as thread:
        while thread.is_alive():
            report = extract(folder, net, tmp_path / "there.h5", client=fresh, **given)
            assert report["payload_sha256"] == expected


@often
def test_while_purchases_are_prepared(
    kills: int, fresh: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    rows = [f"u{u},i{i},{1_500_000_000 + k}" for k, (u, i) in enumerate(rng.integers(0, 300, (40_000, 2)))]
    rows[123] = "no purchase"
    (tmp_path / "p.csv").write_text("user,item,time\n" + "\n".join(rows))
    monkeypatch.setattr(sharing, "SPAN", 10_000)
    expected = prepare(tmp_path / "p.csv")
    with killer(fresh, kills) as thread:
        while thread.is_alive():
            found = prepare(tmp_path / "p.csv", client=fresh)
            assert found.payload_sha256 == expected.payload_sha256 and found.source == expected.source


@often
@pytest.mark.parametrize("name", ["i-vbpr", "i-tvbpr"])
def test_while_parts_are_fitted(kills: int, name: str, fresh: Any) -> None:
    options: dict[str, Any] = {"parts": 4, "factors": 3, "iterations": 40}
    if name == "i-tvbpr":
        options |= {"segment_every": 2, "epochs": 3, "bins": 6}
    expected = fitted(name, **options).payload_sha256_
    with killer(fresh, kills) as thread:
        while thread.is_alive():
            assert fitted(name, {"client": fresh}, **options).payload_sha256_ == expected
