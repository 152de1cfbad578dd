"""How long `ivbpr prepare` and `ivbpr features import` take at full size, and how much memory they hold.

    python benchmarks/prepare_size.py    # everything; 10 GB of free disk, 5 to 20 minutes
    python benchmarks/prepare_size.py --lines 100000 --rows 2000

Reviews (JSON lines like those of the 2018 Amazon release, one gzip file) and ratings (CSV, item first) are
generated from a seed in a temporary folder, which is removed at the end. Each reader runs in a process of
its own, one after the other, so that peaks of memory don't mix:

    prepare, JSON    the command, from the gzip file to the finished dataset file
    gzip + orjson    for line in gzip.open(FILE): orjson.loads(line)
    prepare, CSV     the command
    pandas           pandas.read_csv of the same file, nothing else
    import           `ivbpr features import` of ROWS records of Amazon's .b format (4096 float32 each)
    copy             the same bytes, 8 MiB at a time, to another file, synced

The page cache is emptied of the input before each run where the system allows it. Ratios of one run mean
something on a busy machine, seconds alone do not. Compiled kernels are cached before anything is measured.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any

WANTED = ("all", "reviews", "ratings", "import")
RECORD = 10 + 4 * 4096
FULL_ROWS = 1_400_000
MB = 1e6


# --- what is measured; each in a process of its own ---


def read_gzip_orjson(path: str) -> None:
    """The bare reader of reviews."""
    import gzip

    import orjson

    count = 0
    with gzip.open(path, "rb") as lines:
        for line in lines:
            orjson.loads(line)
            count += 1
    print(count)


def read_pandas(path: str) -> None:
    """The bare reader of ratings."""
    import pandas as pd

    names = ["item", "user", "rating", "time"]
    print(len(pd.read_csv(path, header=None, names=names)))


def copy(source: str, target: str) -> None:
    """What a disk takes for the same bytes, read and written."""
    with open(source, "rb", buffering=0) as reader, open(target, "wb", buffering=0) as writer:
        while data := reader.read(8 << 20):
            writer.write(data)
        os.fsync(writer.fileno())


# --- generated files ---


def draws(lines: int, seed: int) -> Iterator[tuple[list[str], list[str], list[int], list[int], Any]]:
    """Users, items, stars and times of the lines, 100,000 at a time, and a generator for the rest."""
    import numpy as np

    rng = np.random.default_rng(seed)
    # As in the real clothing reviews: about 2.6 lines a user, 12 an item, both heavy-tailed.
    users, items = max(lines * 2 // 5, 10), max(lines // 12, 10)
    for start in range(0, lines, 100_000):
        n = min(100_000, lines - start)
        who = (users * rng.random(n) ** 2.5).astype(np.int64)
        what = (items * rng.random(n) ** 3).astype(np.int64)
        # Neighbouring numbers must not be neighbouring ids.
        names = [f"A{(int(k) * 2_654_435_761) % 36**9:013X}" for k in who]
        asins = [f"B{(int(k) * 40_503 + 7) % 10**9:09d}" for k in what]
        stars = (1 + 4 * rng.random(n) ** 0.4).astype(np.int64)
        when = rng.integers(1_100_000_000, 1_538_000_000, n)
        yield names, asins, stars.tolist(), when.tolist(), rng


def sentences(rng: Any, count: int = 20_000) -> list[str]:
    """Text that packs about as well as reviews do."""
    letters = "etaoinshrdlucmfwypvbgk"
    words = [
        "".join(letters[int(len(letters) * x**1.7)] for x in rng.random(length))
        for length in rng.integers(2, 9, 4000).tolist()
    ]
    picks = (len(words) * rng.random((count, 12)) ** 2).astype(int).tolist()
    return [" ".join(words[k] for k in row) for row in picks]


def make_reviews(path: str, lines: int, seed: int) -> None:
    """JSON lines of the 2018 release, gzip; compressed in a second thread."""
    import gzip

    import numpy as np

    texts = sentences(np.random.default_rng(seed + 1))
    waiting: Queue[bytes | None] = Queue(maxsize=2)

    def compress() -> None:
        with gzip.open(path, "wb", compresslevel=6) as out:
            while (data := waiting.get()) is not None:
                out.write(data)

    worker = Thread(target=compress)
    worker.start()
    for users, items, stars, times, rng in draws(lines, seed):
        lengths = rng.geometric(0.35, len(users)).tolist()
        starts = rng.integers(0, len(texts) - 40, len(users)).tolist()
        out = []
        for user, item, star, moment, start, length in zip(users, items, stars, times, starts, lengths):
            text = ", ".join(texts[start : start + min(length, 40)])
            out.append(
                f'{{"overall": {star}.0, "vote": "{star + length}", "verified": true, '
                f'"reviewTime": "09 {length % 28 + 1}, 2016", "reviewerID": "{user}", "asin": "{item}", '
                f'"style": {{"Size:": " Large", "Color:": " Blue"}}, "reviewerName": "{text[:12]}", '
                f'"reviewText": "{text}", "summary": "{text[:30]}", "unixReviewTime": {moment}}}\n'
            )
        waiting.put("".join(out).encode())
    waiting.put(None)
    worker.join()


def make_ratings(path: str, lines: int, seed: int) -> None:
    """Ratings of the 2018 release: item, user, stars, seconds; no header."""
    with open(path, "w", encoding="ascii") as out:
        for users, items, stars, times, _ in draws(lines, seed):
            out.writelines(
                f"{item},{user},{star}.0,{moment}\n"
                for user, item, star, moment in zip(users, items, stars, times)
            )


def make_records(path: str, rows: int, seed: int) -> None:
    """Amazon's .b records, ids in no order; two thirds of the values are zero, as after a ReLU."""
    import numpy as np

    rng = np.random.default_rng(seed)
    kind = np.dtype([("id", "S10"), ("values", "<f4", (4096,))])
    numbers = rng.permutation(rows)
    with open(path, "wb", buffering=0) as out:
        for start in range(0, rows, 500):
            block = np.zeros(min(500, rows - start), kind)
            block["id"] = [f"B{k:09d}".encode() for k in numbers[start : start + 500].tolist()]
            block["values"] = np.maximum(rng.standard_normal((len(block), 4096), np.float32) - 0.43, 0)
            out.write(block.tobytes())
        os.fsync(out.fileno())


# --- running ---


def forget(path: Path) -> None:
    """Let the next reader fetch the file from the disk."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(fd)


def child(function: Callable[..., None], *arguments: object) -> list[str]:
    """The command line that runs one function of this file in a new process."""
    return [sys.executable, __file__, "--run", function.__name__, *map(str, arguments)]


def measure(command: list[str], reads: Path | None = None) -> dict[str, float]:
    """Run a command alone; seconds from start to end, and its largest resident size in MB.

    Raises
    ------
    SystemExit
        When it fails.
    """
    if reads is not None:
        forget(reads)
    gc.collect()
    begin = time.perf_counter()
    quiet = os.open(os.devnull, os.O_WRONLY)
    pid = os.posix_spawn(
        command[0], command, dict(os.environ), file_actions=[(os.POSIX_SPAWN_DUP2, quiet, 1)]
    )
    os.close(quiet)
    _, status, usage = os.wait4(pid, 0)
    seconds = time.perf_counter() - begin
    if status:
        raise SystemExit(f"failed ({os.waitstatus_to_exitcode(status)}): {' '.join(command)}")
    return {
        "seconds": seconds,
        "cpu": usage.ru_utime + usage.ru_stime,
        "peak_mb": usage.ru_maxrss * 1024 / MB,
    }


def ivbpr(*arguments: object) -> list[str]:
    """A command line of the installed `ivbpr`."""
    return [str(Path(sys.executable).with_name("ivbpr")), "--quiet", *map(str, arguments)]


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def best(runs: int, command: list[str], reads: Path) -> dict[str, float]:
    """The fastest of some runs (the machine may be busy), with the largest memory of all."""
    found = [measure(command, reads) for _ in range(runs)]
    return {**min(found, key=lambda row: row["seconds"]), "peak_mb": max(row["peak_mb"] for row in found)}


def compare_prepare(folder: Path, kind: str, lines: int, runs: int, seed: int) -> list[dict[str, Any]]:
    """`prepare` and the bare reader over one file."""
    path = folder / ("reviews.json.gz" if kind == "reviews" else "ratings.csv")
    maker = make_reviews if kind == "reviews" else make_ratings
    reader = read_gzip_orjson if kind == "reviews" else read_pandas
    names = ("prepare, JSON", "gzip + orjson") if kind == "reviews" else ("prepare, CSV", "pandas")
    say(f"generating {lines:,} {kind} …")
    measure(child(maker, path, lines, seed))
    say(f"{path.name}: {path.stat().st_size / MB:,.0f} MB")
    commands = ivbpr("prepare", path, "-o", folder / "dataset.h5"), child(reader, path)
    rows = []
    for name, command in zip(names, commands):
        say(f"running {name} …")
        rows.append({"what": name, "lines": lines, **best(runs, command, path)})
    for row in rows:
        row["per_second"] = lines / row["seconds"]
        row["ratio"] = row["seconds"] / rows[1]["seconds"]
    path.unlink()
    (folder / "dataset.h5").unlink()
    return rows


def compare_import(folder: Path, rows: int, runs: int, seed: int) -> list[dict[str, Any]]:
    """`features import` and a plain copy over one file, and over its first tenth."""
    whole, part, out = folder / "features.b", folder / "part.b", folder / "features.h5"
    say(f"generating {rows:,} records …")
    measure(child(make_records, whole, rows, seed))
    say(f"{whole.name}: {whole.stat().st_size / MB:,.0f} MB")
    few = max(rows // 10, 1)
    with open(whole, "rb") as source, open(part, "wb") as target:
        for _ in range(few):
            target.write(source.read(RECORD))
    found = []
    for name, path, count in (("import", whole, rows), ("import, a tenth", part, few)):
        say(f"running {name} …")
        command = ivbpr("features", "import", path, "--divide-by", "58.388599", "-o", out)
        run = best(runs, command, path)
        moved = count * RECORD + out.stat().st_size
        found.append({"what": name, "rows": count, **run, "mb_per_second": moved / MB / run["seconds"]})
        out.unlink()
    say("running copy …")
    run = best(runs, child(copy, whole, out), whole)
    found.append(
        {"what": "copy", "rows": rows, **run, "mb_per_second": 2 * rows * RECORD / MB / run["seconds"]}
    )
    for row in found:
        row["ratio"] = row["seconds"] / run["seconds"] * rows / row["rows"]
    for path in (whole, part, out):
        path.unlink()
    return found


# --- the tables ---


def show(title: str, header: list[str], rows: list[list[str]]) -> None:
    print(f"\n{title}\n")
    widths = [max(len(row[k]) for row in [header, *rows]) for k in range(len(header))]
    for row in [header, ["-" * width for width in widths], *rows]:
        cells = [text.ljust(w) if k == 0 else text.rjust(w) for k, (text, w) in enumerate(zip(row, widths))]
        print("  ".join(cells).rstrip())


def show_prepare(rows: list[dict[str, Any]]) -> None:
    header = ["", "lines", "seconds", "CPU s", "lines/s", "peak MB", "× bare"]
    cells = [
        [
            row["what"],
            f"{row['lines']:,}",
            f"{row['seconds']:.1f}",
            f"{row['cpu']:.1f}",
            f"{row['per_second']:,.0f}",
            f"{row['peak_mb']:,.0f}",
            f"{row['ratio']:.2f}",
        ]
        for row in rows
    ]
    show("Preparing (goals: 2,000 MB, 1.50 × gzip + orjson)", header, cells)


def show_import(rows: list[dict[str, Any]]) -> None:
    header = ["", "rows", "seconds", "CPU s", "rows/s", "disk MB/s", "peak MB", "× copy"]
    cells = [
        [
            row["what"],
            f"{row['rows']:,}",
            f"{row['seconds']:.1f}",
            f"{row['cpu']:.1f}",
            f"{row['rows'] / row['seconds']:,.0f}",
            f"{row['mb_per_second']:,.0f}",
            f"{row['peak_mb']:,.0f}",
            f"{row['ratio']:.2f}",
        ]
        for row in rows
    ]
    show("Importing features, 4096 float32 → float16 (disk MB/s: read and written)", header, cells)
    large, small = rows[0], rows[1]
    times = FULL_ROWS / large["rows"]
    slope = (large["peak_mb"] - small["peak_mb"]) / (large["rows"] - small["rows"])
    print(
        f"\nTo {FULL_ROWS:,} rows (× {times:.2f}): {large['seconds'] * times / 60:.1f} minutes, "
        f"{FULL_ROWS * RECORD / 1e9:.1f} GB read, {FULL_ROWS * 8192 / 1e9:.1f} GB written, peak "
        f"{large['peak_mb'] + slope * (FULL_ROWS - large['rows']):,.0f} MB ({1e6 * slope:,.0f} bytes a row)."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--lines", type=int, default=10_000_000, help="reviews and ratings")
    parser.add_argument("--rows", type=int, default=200_000, help="records of the .b file, at least 10")
    parser.add_argument("--parts", choices=WANTED, default="all", help="what to measure")
    parser.add_argument("--runs", type=int, default=1, help="take the fastest of so many runs")
    parser.add_argument("--folder", type=Path, help="where the temporary folder is made")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the rows to this file, too")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="ivbpr-size-", dir=arguments.folder))
    chosen = WANTED[1:] if arguments.parts == "all" else (arguments.parts,)
    # Each part removes its files before the next begins.
    needed = max(arguments.lines * 250, 3 * arguments.rows * RECORD if "import" in chosen else 0)
    rows: dict[str, list[dict[str, Any]]] = {"prepare": [], "import": []}
    try:
        free = shutil.disk_usage(folder).free
        if free < needed:
            raise SystemExit(f"{folder} has {free / 1e9:.0f} GB free, {needed / 1e9:.0f} GB may be needed.")
        # Kernels are compiled here, not while the clock runs.
        make_ratings(str(folder / "warm.csv"), 1000, arguments.seed)
        measure(ivbpr("prepare", folder / "warm.csv", "-o", folder / "warm.h5", "--min-interactions", "1"))
        for kind in chosen:
            if kind == "import":
                rows["import"] = compare_import(folder, arguments.rows, arguments.runs, arguments.seed)
            else:
                rows["prepare"] += compare_prepare(
                    folder, kind, arguments.lines, arguments.runs, arguments.seed
                )
    finally:
        shutil.rmtree(folder)
    if rows["prepare"]:
        show_prepare(rows["prepare"])
    if rows["import"]:
        show_import(rows["import"])
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")


RUNNABLE = {f.__name__: f for f in (read_gzip_orjson, read_pandas, copy)}
MAKERS = {f.__name__: f for f in (make_reviews, make_ratings, make_records)}

if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        name, *rest = sys.argv[2:]
        if name in MAKERS:
            MAKERS[name](rest[0], int(rest[1]), int(rest[2]))
        else:
            RUNNABLE[name](*rest)
    else:
        main()
