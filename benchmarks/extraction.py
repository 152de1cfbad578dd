"""How fast `features extract` is beside the bare network: the same batches, once with and once without us.

    python benchmarks/extraction.py IMAGES MODEL [--preprocess FILE|PRESET] [--output NAME] [--batch 32]
                                    [--limit 1024] [--threads N] [--device auto]

Prints images a second of the onnxruntime session alone (pixels ready in memory), of decoding and scaling
alone, and of the whole command, in interleaved rounds; and what share of the slower of the first two the
whole reaches.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from ivbpr_numba.network.extraction import extract
from ivbpr_numba.network.file import Network
from ivbpr_numba.photos.pictures import Pictures, load_pixels, pixels_of
from ivbpr_numba.photos.preprocessing import Preprocessing


def clock(work: Callable[[], object]) -> float:
    """Seconds of one run."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("images", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--preprocess")
    parser.add_argument("--output")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--limit", type=int, default=1024, help="images used")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()

    network = Network.read(given.model)
    prepared = network.prepared_by(Preprocessing.read(given.preprocess) if given.preprocess else None)
    name = network.output_named(given.output)
    session = network.session([name], given.device, given.threads)
    with tempfile.TemporaryDirectory() as place:
        chosen = some(given.images, given.limit, Path(place) / "images")
        pictures = Pictures.open(chosen)
        pixels, ok, _ = load_pixels(pictures, pictures.order, prepared.fit, prepared.size)
        steps = range(0, len(pixels), given.batch)
        batches = [prepared.normalise(pixels[k : k + given.batch][ok[k : k + given.batch]]) for k in steps]
        count = int(ok.sum())

        def bare() -> None:
            for batch in batches:
                session.run(batch)

        def decoding() -> None:
            stream = pixels_of(pictures, pictures.order, prepared.fit, prepared.size, given.threads)
            with closing(stream):
                for _ in stream:
                    pass

        reports = []

        def whole() -> None:
            reports.append(
                extract(
                    chosen,
                    given.model,
                    Path(place) / "out.h5",
                    output=given.output,
                    device=given.device,
                    preprocess=given.preprocess,
                    batch=given.batch,
                    threads=given.threads,
                )
            )

        session.run(batches[0])
        seconds: dict[str, list[float]] = {"bare": [], "decoding": [], "whole": []}
        for _ in range(given.rounds):
            seconds["bare"].append(clock(bare))
            seconds["decoding"].append(clock(decoding))
            whole()
            seconds["whole"].append(count / reports[-1]["images_per_second"])
    rates = {what: count / statistics.median(values) for what, values in seconds.items()}
    # On the CPU both share the cores: together they can't be faster than one after the other.
    shared = 1 / (1 / rates["bare"] + 1 / rates["decoding"])
    bound = shared if session.provider.startswith("CPU") else min(rates["bare"], rates["decoding"])
    print(
        json.dumps(
            {
                "images": count,
                "size": prepared.size,
                "batch": given.batch,
                "provider": session.provider,
                **{f"{what}_images_per_second": round(rate, 1) for what, rate in rates.items()},
                "bound_images_per_second": round(bound, 1),
                "share_of_bare": round(rates["whole"] / rates["bare"], 3),
                "share_of_bound": round(rates["whole"] / bound, 3),
                "inside": [report["network_images_per_second"] for report in reports],
            },
            indent=2,
        )
    )


def some(images: Path, limit: int, folder: Path) -> Path:
    """A folder with the first `limit` images."""
    pictures = Pictures.open(images)
    folder.mkdir()
    for index, data in pictures.read(pictures.order[:limit]):
        if isinstance(data, bytes):
            (folder / f"{index:08}{Path(pictures.pictures[index].name).suffix}").write_bytes(data)
    return folder


if __name__ == "__main__":
    main()
