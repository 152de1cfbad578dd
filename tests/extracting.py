"""What tests of `ivbpr features extract` share: its rows in the plain way, and an interruption at a known batch."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
from tiny_networks import SIZE

from ivbpr_numba.network.file import Network
from ivbpr_numba.photos.pictures import decode
from ivbpr_numba.photos.preprocessing import Preprocessing

RAW = Preprocessing(SIZE, scale=1.0, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


def loop(network: Path, images: list[bytes], prepared: Preprocessing, output: str, batch: int) -> np.ndarray:
    """The plain way: every `batch` images at once, unusable ones left out."""
    session = Network.read(network).session([output], "cpu")
    rows = []
    for start in range(0, len(images), batch):
        found = [decode(data).image for data in images[start : start + batch]]
        usable = [np.asarray(prepared.fit(image)) for image in found if image is not None]
        if usable:
            (values,) = session.run(prepared.normalise(np.stack(usable)))
            rows.append(values.reshape(len(usable), -1))
    return np.concatenate(rows)


def stop_after(batches: int, number: int = signal.SIGTERM) -> Callable[[], int]:
    """A signal that is seen after so many batches."""
    calls = [0]

    def stopped() -> int:
        calls[0] += 1
        return number if calls[0] >= batches else 0

    return stopped
