"""The same generated purchases in every format and compression that readers know."""

from __future__ import annotations

import gzip
import io
import json
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zstandard

Row = tuple[str, str, str, int]
_RNG = random.Random(5)
ROWS: list[Row] = [
    (
        f"A{_RNG.randrange(12):013d}",
        f"B{_RNG.randrange(60):09d}",
        f"{_RNG.randrange(1, 6)}.0",
        1_300_000_000 + 1000 * _RNG.randrange(10**5),
    )
    for _ in range(300)
]


def delimited_text(rows: list[Row], order: tuple[int, ...], header: list[str] | None, by: str = ",") -> bytes:
    lines = [by.join(header)] if header else []
    lines += [by.join(str(row[k]) for k in order) for row in rows]
    return ("\n".join(lines) + "\n").encode()


def objects(rows: list[Row], make: Callable[[Row], dict], dump: Callable[[dict], str] = json.dumps) -> bytes:
    return "".join(dump(make(row)) + "\n" for row in rows).encode()


def review(row: Row, **more: object) -> dict:
    user, item, stars, time = row
    text = 'it\'s "fine" é 𝄞'
    return {"reviewerID": user, "asin": item, "overall": float(stars), "reviewText": text, **more} | {
        "unixReviewTime": time
    }


def review_2023(row: Row) -> dict:
    user, item, _, time = row
    return {"user_id": user, "asin": "B00VARIANT", "parent_asin": item, "timestamp": 1000 * time}


def parquet_of(rows: list[Row]) -> bytes:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    users, items, _, times = zip(*rows)
    moments = pa.array(np.array(times, dtype="datetime64[s]"))
    out = io.BytesIO()
    pq.write_table(
        pa.table({"user": users, "item": pa.array(items).dictionary_encode(), "time": moments}), out
    )
    return out.getvalue()


HEADER = ["user", "item", "rating", "time"]
CLOTHES: dict[str, tuple[str, Callable[[list[Row]], bytes]]] = {
    "ratings 2014": ("amazon-2014", lambda rows: delimited_text(rows, (0, 1, 2, 3), None)),
    "ratings 2018": ("amazon-2018", lambda rows: delimited_text(rows, (1, 0, 2, 3), None)),
    "ratings 2023": (
        "amazon-2023",
        lambda rows: delimited_text(
            [(u, i, r, 1000 * t) for u, i, r, t in rows],
            (0, 1, 2, 3),
            ["user_id", "parent_asin", "rating", "timestamp"],
        ),
    ),
    "reviews 2014": ("amazon-2014", lambda rows: objects(rows, review)),
    "reviews 2014 literal": ("amazon-2014", lambda rows: objects(rows, review, repr)),
    "reviews 2018": ("amazon-2018", lambda rows: objects(rows, lambda row: review(row, verified=True))),
    "reviews 2023": ("amazon-2023", lambda rows: objects(rows, review_2023)),
    "simple": (
        "simple",
        lambda rows: "".join(f"{u} {i} {r} {t} 3 nice, nice; été\n" for u, i, r, t in rows).encode(),
    ),
    "csv": ("table", lambda rows: delimited_text(rows, (2, 1, 0, 3), ["rating", "item", "user", "time"])),
    "csv, quoted": (
        "table",
        lambda rows: (
            b'"user";"item";"note";"time"\n'
            + "".join(f'"{u}";"{i}";"say ""x"";\ny";"{t}"\n' for u, i, _, t in rows).encode()
        ),
    ),
    "tsv without header": ("table", lambda rows: delimited_text(rows, (0, 1, 2, 3), None, "\t")),
    "csv of dates": (
        "table",
        lambda rows: delimited_text(
            [(u, i, r, str(np.datetime64(t, "s"))) for u, i, r, t in rows],  # type: ignore[misc]
            (0, 1, 3),
            ["customer_id", "article_id", "t_dat"],
            "|",
        ),
    ),
    "json lines": (
        "table",
        lambda rows: objects(rows, lambda row: dict(zip(HEADER, row))),
    ),
    "parquet": ("table", parquet_of),
}
CODECS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "zstd": zstandard.compress,
    "gzip in two members": lambda data: gzip.compress(data[:99]) + gzip.compress(data[99:]) + bytes(8),
    "zstd in two frames": lambda data: zstandard.compress(data[:99]) + zstandard.compress(data[99:]),
}


def writer(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes bytes to a file whose name tells nothing; for fixtures."""
    numbers = iter(range(1000))

    def write(data: bytes | str) -> Path:
        path = tmp_path / f"input{next(numbers)}"
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return path

    return write
