"""Seeded damage to one small file of every kind, and what the commands make of it.

A *kind* is a function that writes an intact file (and whatever must lie beside it) into a folder, and the
command lines that read it. `run` damages the file once per seed and runs the commands in a worker process:
a crash, a hang or a memory bomb then costs one mutation, not the test run, and the seed is reported.

To add a kind, a model file for example, give `HDF5_FILES` a function that writes one and returns its path,
and `HDF5_COMMANDS` the commands that read it besides ``verify`` and ``inspect``.

    python tests/mutations.py "reviews 2018 (gzip)" 17      # one mutation again, in this process
"""

from __future__ import annotations

import contextlib
import faulthandler
import gzip
import io
import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import zstandard
from clothes import CLOTHES, ROWS

SECONDS = 20  # one mutation may take so long
MEMORY = 1 << 30  # bytes of address space that a worker may grow by

ITEMS = sorted({row[1] for row in ROWS})
USERS = sorted({row[0] for row in ROWS})


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Bit flips, cuts, splices, noise, repetitions and shuffled blocks."""
    out = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 5, 20])):
        if not out:
            break
        begin = rng.randrange(len(out))
        end = min(len(out), begin + rng.randrange(1, 200))
        kind = rng.randrange(7)
        if kind == 0:
            out[begin] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del out[begin:]
        elif kind == 2:
            del out[begin:end]
        elif kind == 3:
            out[begin:begin] = out[rng.randrange(len(out)) :][:300]
        elif kind == 4:
            out[begin:end] = rng.randbytes(end - begin)
        elif kind == 5:
            out[begin:begin] = out[begin:end] * rng.choice([1, 50])
        else:
            blocks = [out[k : k + 64] for k in range(0, len(out), 64)]
            rng.shuffle(blocks)
            out = bytearray(b"".join(blocks))
    return bytes(out)


# --- kinds ---

CODECS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "zstd": zstandard.compress,
}


@dataclass(frozen=True)
class Kind:
    """One kind of file.

    Attributes
    ----------
    make : callable
        Takes a folder and returns the bytes of the intact file; may write other files there.
    name : str
        Of the damaged file in that folder.
    commands : list of command lines
        ``FILE`` and ``OUT`` stand for the damaged file and for a result, the folder's other files for
        themselves.
    codec : str
        Half of the mutations damage what is inside of the compression.
    """

    make: Callable[[Path], bytes]
    name: str
    commands: list[list[str]]
    codec: str = "plain"
    intact_code: int = 0


def metadata(release: str) -> bytes:
    root = "Clothing, Shoes & Jewelry"
    lines = []
    for k, item in enumerate(ITEMS):
        path = [root, ("Women", "Men")[k % 2], "Shirts"]
        title = f'It\'s "{item}" é'
        if release.startswith("2014"):
            record: dict[str, Any] = {"asin": item, "title": title, "categories": [path, ["Books"]]}
        elif release == "2018":
            record = {"category": path, "title": title, "asin": item, "imageURL": ["http://x/y.jpg"]}
        else:
            record = {"main_category": "x", "title": title, "categories": path, "parent_asin": item}
        lines.append(repr(record) if release == "2014 literal" else json.dumps(record))
    return "\n".join(lines).encode()


def catalogue() -> bytes:
    lines = ["item,name,colour,tags"]
    lines += [f'{item},"Name, of {item}",{("red", "blue")[k % 2]},a;b' for k, item in enumerate(ITEMS)]
    return "\n".join(lines).encode()


def catalogue_json() -> bytes:
    lines = [json.dumps({"item": i, "name": i, "colour": k % 2, "tags": "a"}) for k, i in enumerate(ITEMS)]
    return "\n".join(lines).encode()


def parquet(columns: dict[str, list], compression: str) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    out = io.BytesIO()
    pq.write_table(pa.table(columns), out, compression=compression)
    return out.getvalue()


def purchases_parquet(compression: str) -> bytes:
    users, items, _, times = zip(*ROWS)
    return parquet({"user": list(users), "item": list(items), "time": list(times)}, compression)


def with_purchases(folder: Path) -> None:
    (folder / "purchases.csv").write_bytes(CLOTHES["csv"][1](ROWS))


def values(rows: int, columns: int) -> np.ndarray:
    return (np.arange(rows * columns).reshape(rows, columns) % 17 / 16).astype(np.float32)


def saved(write: Callable[[io.BytesIO], None]) -> bytes:
    out = io.BytesIO()
    write(out)
    return out.getvalue()


def npy(order: str) -> bytes:
    return saved(lambda out: np.save(out, np.asarray(values(len(ITEMS), 6), order=order)))  # type: ignore[call-overload]


def npz(save: Callable[..., None]) -> bytes:
    return saved(lambda out: save(out, features=values(len(ITEMS), 6), ids=np.array(ITEMS)))


def npz_of_scipy() -> bytes:
    from scipy import sparse

    return saved(lambda out: sparse.save_npz(out, sparse.csr_array(values(len(ITEMS), 6))))


def records() -> bytes:
    rows = np.zeros(4, dtype=[("id", "S10"), ("values", "<f4", (4096,))])
    rows["id"], rows["values"] = [item.encode() for item in ITEMS[:4]], values(4, 4096)
    return rows.tobytes()


def foreign_hdf5(**options: Any) -> bytes:
    """As others write it: in h5py's default layout, which has no checksums."""

    def write(out: io.BytesIO) -> None:
        with h5py.File(out, "w") as file:
            file.create_dataset("deep/features", data=values(len(ITEMS), 6), **options)
            file["deep"].attrs["made by"] = "somebody"
            file.attrs.update({"title": "features", "version": 3, "mean": 0.5})
            file.create_dataset("ids", data=np.array(ITEMS, "S"))

    return saved(write)


def with_ids(folder: Path) -> None:
    (folder / "ids.txt").write_text("\n".join(ITEMS) + "\n")


def make_features(folder: Path) -> Path:
    """A feature file; several digest blocks would need 8 MiB."""
    from ivbpr_numba.features.features import Features

    path = folder / "intact.h5"
    Features.from_arrays(ITEMS, values(len(ITEMS), 6), names=[f"c={k}" for k in "abcdef"]).write(path)
    return path


def make_sparse_features(folder: Path) -> Path:
    """The same values, laid out sparse."""
    from ivbpr_numba.features.features import Features

    path = folder / "intact.h5"
    given = Features.from_arrays(ITEMS, values(len(ITEMS), 6), names=[f"c={k}" for k in "abcdef"])
    given.write(path, layout="sparse")
    return path


def make_dataset(folder: Path) -> Path:
    """A dataset file with item columns."""
    from ivbpr_numba.datasets.prepare import prepare

    with_purchases(folder)
    (folder / "items.csv").write_bytes(catalogue())
    data = prepare(folder / "purchases.csv", catalogue=folder / "items.csv", title="name", keep=["colour"])
    path = folder / "intact.h5"
    data.write(path)
    return path


def make_model(folder: Path) -> Path:
    """A model in time, with every array that a model file can hold."""
    from ivbpr_numba.datasets.prepare import prepare
    from ivbpr_numba.features.features import Features
    from ivbpr_numba.models import TVBPR

    with_purchases(folder)
    data = prepare(folder / "purchases.csv")
    features = Features.from_arrays(data.items, values(len(data.items), 6))
    features.write(folder / "f.h5")
    path = folder / "intact.h5"
    options: dict[str, Any] = {
        "factors": 2,
        "visual_factors": 2,
        "epochs": 2,
        "iterations": 2,
        "eval_every": 1,
    }
    TVBPR(**options, segment_every=1, item_drift=True).fit(data, Features.read(folder / "f.h5"), out=path)
    return path


def make_tuning(folder: Path) -> Path:
    """What a search found."""
    from ivbpr_numba import prepare, tune

    with_purchases(folder)
    path, data = folder / "intact.h5", prepare(folder / "purchases.csv")
    data.write(folder / "d.h5")
    tune("bpr-mf", data, trials=9, processes=1, options={"iterations": 2}, out=path)
    return path


def make_table(folder: Path) -> Path:
    """A table of models."""
    from ivbpr_numba.datasets.prepare import prepare
    from ivbpr_numba.table2 import table2

    with_purchases(folder)
    prepare(folder / "purchases.csv", out=folder / "d.h5")
    path = folder / "intact.h5"
    table2(folder / "d.h5", models=["rand", "pop"], runs=2, processes=1, out=path)
    return path


# Files of our own: what writes an intact one into a folder.
HDF5_FILES: dict[str, Callable[[Path], Path]] = {
    "features": make_features,
    "sparse features": make_sparse_features,
    "dataset": make_dataset,
    "model": make_model,
    "tuning": make_tuning,
    "table": make_table,
}
# What reads them besides `verify` and `inspect`; each mutation runs `verify` and one of the others.
_FEATURES = [
    ["features", "info", "FILE"],
    ["features", "examples", "FILE", "c=a"],
    ["features", "import", "FILE", "-o", "OUT"],
    ["prepare", "purchases.csv", "--features", "FILE", "-o", "OUT"],
]
HDF5_COMMANDS: dict[str, list[list[str]]] = {
    "features": _FEATURES,
    "sparse features": _FEATURES,
    "dataset": [["fit", "FILE", "--model", "pop", "-o", "OUT"]],
    "model": [
        ["auc", "FILE"],
        ["recommend", "FILE", USERS[0], "-n", "2"],
        ["similar", "FILE", ITEMS[0]],
    ],
    "tuning": [["fit", "d.h5", "--from", "FILE", "-o", "OUT"]],
    "table": [["table2", "--again", "FILE", "-o", "OUT", "--processes", "1"]],
}
VERIFY = ["verify", "FILE", "--format", "json"]


def _kinds() -> dict[str, Kind]:
    found: dict[str, Kind] = {}
    prepare = ["prepare", "FILE", "-o", "OUT"]

    def add(name: str, content: Callable[[], bytes], commands: list[list[str]], before: Any = None, file: str = "input") -> None:  # fmt: skip
        def make(folder: Path) -> bytes:
            if before is not None:
                before(folder)
            return content()

        codecs = CODECS if file == "input" else {"plain": bytes}
        for codec in codecs:
            full = f"{name} ({codec})" if len(codecs) > 1 else name
            found[full] = Kind(make, file, commands, codec)

    for name, (_, write) in CLOTHES.items():
        if name != "parquet":
            add(name, lambda write=write: write(ROWS), [prepare, [*prepare, "--strict"]])
    for inside in ("none", "snappy", "gzip", "zstd"):
        add(
            f"parquet of {inside}",
            lambda inside=inside: purchases_parquet(inside),
            [prepare],
            file="x.parquet",
        )
    for release in ("2014 literal", "2014", "2018", "2023"):
        meta = ["prepare", "purchases.csv", "--meta", "FILE", "-o", "OUT"]
        commands = [[*meta, "--category", "women", "--min-interactions", "1"], meta]
        add(f"metadata {release}", lambda release=release: metadata(release), commands, with_purchases)
    listing = ["prepare", "purchases.csv", "--catalogue", "FILE", "--title", "name", "--keep", "colour", "-o", "OUT"]  # fmt: skip
    table = [
        "features",
        "table",
        "FILE",
        "--id",
        "item",
        "--columns",
        "colour",
        "--tags",
        "tags",
        "-o",
        "OUT",
    ]
    shares = [*table, "--aggregate", "share", "--min-count", "2"]
    add("catalogue", catalogue, [listing, table, shares], with_purchases)
    add("catalogue of JSON lines", catalogue_json, [listing, table, shares], with_purchases)
    add(
        "catalogue of Parquet",
        lambda: parquet(
            {"item": ITEMS, "colour": ["red"] * len(ITEMS), "tags": ["a;b"] * len(ITEMS)}, "snappy"
        ),
        [table, shares],
        file="x.parquet",
    )
    bring, named = ["features", "import", "FILE", "-o", "OUT"], ["--ids", "ids.txt"]
    as_bytes = ["--dtype", "uint8"]
    add("b records", records, [bring, [*bring, "--divide-by", "58.388599"]], file="x.b")
    add("npy", lambda: npy("C"), [[*bring, *named], [*bring, *named, *as_bytes]], with_ids, "x.npy")
    add("npy by columns", lambda: npy("F"), [[*bring, *named]], with_ids, "x.npy")
    add("npz", lambda: npz(np.savez), [bring, [*bring, *as_bytes]], file="x.npz")
    add("npz compressed", lambda: npz(np.savez_compressed), [bring], file="x.npz")
    shapes = [[*bring, *named, "--layout", layout] for layout in ("sparse", "dense")]
    add("npz of SciPy", npz_of_scipy, shapes, with_ids, "x.npz")
    add("hdf5 of others", foreign_hdf5, [bring], file="x.h5")
    refused = [VERIFY, ["inspect", "FILE"], ["features", "info", "FILE"]]
    foreign = Kind(lambda folder: foreign_hdf5(), "x.h5", refused, intact_code=3)
    packed = {"chunks": (7, 6), "compression": "gzip", "shuffle": True, "fletcher32": True}
    add("hdf5 of others, packed", lambda: foreign_hdf5(**packed), [bring], file="x.h5")
    found["hdf5 of others, not ours"] = foreign
    add(
        "ids.txt",
        lambda: ("\n".join(ITEMS) + "\n").encode(),
        [["features", "import", "x.npy", "--ids", "FILE", "-o", "OUT"]],
        lambda folder: (folder / "x.npy").write_bytes(npy("C")),
        "ids.txt",
    )
    for name, write_file in HDF5_FILES.items():
        commands = [VERIFY, ["inspect", "FILE"], *HDF5_COMMANDS[name]]

        def make(folder: Path, write_file: Callable[[Path], Path] = write_file) -> bytes:
            with_purchases(folder)
            path = write_file(folder)
            data = path.read_bytes()
            path.unlink()
            return data

        found[f"our {name} file"] = Kind(make, "x.h5", commands)
    return found


KINDS = _kinds()
OURS = [name for name in KINDS if name.startswith("our ")]


# --- one mutation, in this process ---


@dataclass
class Result:
    """What one mutation led to: the exit codes, and in `problem` what is wrong with that (or nothing)."""

    kind: str
    seed: int
    codes: list[int] = field(default_factory=list)
    seconds: float = 0.0
    grown_mb: float = 0.0
    problem: str = ""


@dataclass
class Bench:
    """A folder with the intact file of a kind, on which its mutations are tried one after the other."""

    name: str
    folder: Path
    kind: Kind = field(init=False)
    intact: bytes = field(init=False)
    truth: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.kind = KINDS[self.name]
        self.intact = self.kind.make(self.folder)
        self.file = self.folder / self.kind.name
        self.out = self.folder / "out.h5"
        self.beside = {path.name for path in self.folder.iterdir()} | {self.kind.name}
        # Undamaged, every command ends as it should; that compiles and imports what they need, too.
        self.file.write_bytes(CODECS[self.kind.codec](self.intact))
        for command in self.kind.commands:
            code, out, err = self.run(command)
            if code != self.kind.intact_code:
                raise RuntimeError(f"{self.name}: {command} of the intact file: {err}")
            if command == VERIFY and not code:
                self.truth = json.loads(out)
            self.out.unlink(missing_ok=True)

    def run(self, command: list[str]) -> tuple[int, str, str]:
        """Exit code, stdout and stderr of a command line, run as the console script runs it."""
        from ivbpr_cli.app import run

        places = {"FILE": str(self.file), "OUT": str(self.out)}
        words = [places.get(w, str(self.folder / w) if w in self.beside else w) for w in command]
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run(words)
        return code, out.getvalue(), err.getvalue()

    def content(self, rng: random.Random) -> bytes:
        """Damaged content; of a packed kind half of the time damaged before packing."""
        pack = CODECS[self.kind.codec]
        if self.kind.codec != "plain" and rng.random() < 0.5:
            return pack(mutated(self.intact, rng))
        return mutated(pack(self.intact), rng)

    def try_seed(self, seed: int) -> Result:
        """Damage the file and run `verify`, where the kind has it, and one other command."""
        rng = random.Random(f"{self.name} {seed}")
        self.file.write_bytes(self.content(rng))
        result = Result(self.name, seed)
        commands = [c for c in self.kind.commands if c == VERIFY]
        others = [c for c in self.kind.commands if c != VERIFY]
        begin, before = time.perf_counter(), _resident("VmRSS", fresh_peak=True)
        for command in [*commands, others[seed % len(others)]]:
            code, out, err = self.run(command)
            result.codes.append(code)
            if problem := self.wrong(command, code, out, err):
                result.problem = f"{' '.join(command[:2])}: {problem}"
                break
        result.seconds = time.perf_counter() - begin
        result.grown_mb = max(_resident("VmHWM") - before, 0) / 1000
        return result

    def wrong(self, command: list[str], code: int, out: str, err: str) -> str:
        """What is wrong with the end of a command, empty when nothing is."""
        is_verify = command == VERIFY
        if code not in ((0, 3, 5) if is_verify else (0, 3)):
            return f"exit {code}: {err[-2000:]}"
        if "Traceback" in out + err or re.search(r"\wWarning:", err):
            return f"a traceback or a warning of Python: {err[-2000:]}"
        if code and (len(err.splitlines()) != 1 or not err.strip().isprintable() or len(err) > 3000):
            return f"not one paragraph of printable text: {err[:3000]!r}"
        left = {path.name for path in self.folder.iterdir()} - self.beside
        if left - {self.out.name} or (code and left):
            return f"left behind: {sorted(left)}"
        if left:
            from ivbpr_numba.store.verify import verify

            report = verify(self.out)
            self.out.unlink()
            if not report.ok:
                return f"wrote a file that does not verify: {report.mismatches}"
        if is_verify and code == 0:
            if not self.truth:
                return "verify passes for a file that is not ours"
            digests = ("payload_sha256", "content_sha256")
            if any(json.loads(out)[name] != self.truth[name] for name in digests):
                return "verify passes for other content"
        return ""


def _resident(name: str, fresh_peak: bool = False) -> int:
    """A line of /proc/self/status in kB, 0 where there is none; `fresh_peak` makes VmHWM start anew."""
    try:
        if fresh_peak:
            Path("/proc/self/clear_refs").write_text("5")
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1])
    except OSError:
        pass
    return 0


# --- many mutations, in workers ---


def _hang() -> None:
    faulthandler.dump_traceback_later(0.2, exit=True)
    while True:
        pass


# Bad ends on purpose, to see that they are noticed.
SELF_TEST = {"a crash": lambda: os.kill(os.getpid(), signal.SIGSEGV), "a hang": _hang}


def work(folder: Path) -> None:
    """Take ``kind<TAB>seed`` lines from stdin, print a result line for each; the body of a worker."""
    from ivbpr_cli import app
    from ivbpr_numba.readers import foreign_hdf5

    app.build = cache(app.build)  # half of the time of a small command
    foreign_hdf5.SECONDS = SECONDS / 4  # a minute in earnest
    answers = os.fdopen(os.dup(1), "w")
    faulthandler.enable()
    benches: dict[str, Bench] = {}
    for line in sys.stdin:
        name, seed = line.rstrip("\n").split("\t")
        if name not in benches and name not in SELF_TEST:
            own = folder / str(len(benches))
            own.mkdir()
            resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            benches[name] = Bench(name, own)
            size = _resident("VmSize") * 1024
            if size:
                resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, resource.RLIM_INFINITY))
        # A thread of C: it also ends a library that loops without giving Python a chance.
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        if name in SELF_TEST:
            SELF_TEST[name]()
        result = benches[name].try_seed(int(seed))
        faulthandler.cancel_dump_traceback_later()
        answers.write(json.dumps(result.__dict__) + "\n")
        answers.flush()


def run(jobs: Iterable[tuple[str, int]]) -> list[Result]:
    """Try every (kind, seed); a worker that dies costs the one it was at."""
    waiting = list(jobs)
    results: list[Result] = []
    here = Path(__file__)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("IVBPR_")}
    environment["PYTHONPATH"] = os.pathsep.join([str(here.parent), str(here.parents[1])])
    while waiting:
        with (
            tempfile.TemporaryFile("w+") as asked,
            tempfile.TemporaryFile("w+") as said,
            tempfile.TemporaryDirectory(prefix="ivbpr-mutations-") as folder,
        ):
            asked.write("".join(f"{name}\t{seed}\n" for name, seed in waiting))
            asked.seek(0)
            worker = subprocess.Popen(
                [sys.executable, str(here), "--work", folder],
                stdin=asked, stdout=subprocess.PIPE, stderr=said, text=True, env=environment,
            )  # fmt: skip
            assert worker.stdout is not None
            done = [Result(**json.loads(line)) for line in worker.stdout]
            code = worker.wait()
            said.seek(0)
            text = said.read()
        results += done
        waiting = waiting[len(done) :]
        if code or waiting:
            if not waiting:
                raise RuntimeError(f"the worker ended with {code}: {text[-3000:]}")
            name, seed = waiting.pop(0)
            what = "no end in time" if "Timeout" in text else f"the process ended with {code}"
            results.append(Result(name, seed, [code], SECONDS, 0.0, f"{what}: {text[-3000:]}"))
    return results


def summary(results: list[Result]) -> str:
    """A table for people: mutations and outcomes of each kind, the slowest and the largest."""
    lines = [f"{'kind':<34} {'runs':>5}  {'exit codes':<34} {'worst s':>8} {'worst MB':>9}  failed seeds"]
    for name in KINDS:
        own = [result for result in results if result.kind == name]
        if own:
            codes = Counter(code for result in own for code in result.codes)
            listed = ", ".join(f"{code}: {count}" for code, count in sorted(codes.items()))
            bad = [result.seed for result in own if result.problem]
            slow, large = max(r.seconds for r in own), max(r.grown_mb for r in own)
            lines.append(f"{name:<34} {len(own):>5}  {listed:<34} {slow:>8.2f} {large:>9.1f}  {bad or ''}")
    total = Counter(code for result in results for code in result.codes)
    slow, large = max(results, key=lambda r: r.seconds), max(results, key=lambda r: r.grown_mb)
    lines.append(
        f"{len(results):,} mutations of {len({r.kind for r in results})} kinds; exit codes "
        f"{', '.join(f'{code}: {count:,}' for code, count in sorted(total.items()))}; "
        f"{sum(bool(r.problem) for r in results)} failed; slowest {slow.seconds:.2f} s ({slow.kind}, seed "
        f"{slow.seed}); most memory {large.grown_mb:.0f} MB ({large.kind}, seed {large.seed})"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        work(Path(sys.argv[2]))
    else:
        with tempfile.TemporaryDirectory() as place:
            print(Bench(sys.argv[1], Path(place)).try_seed(int(sys.argv[2])))
