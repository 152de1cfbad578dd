"""The whole way at the size of the paper's largest data set: what each command takes.

    python benchmarks/paper_scale.py FOLDER               # 400,000 users × 1,400,000 items
    python benchmarks/paper_scale.py FOLDER --part 10     # a tenth of each
    python benchmarks/paper_scale.py FOLDER --wide        # also VBPR with 4096 float16 an item: 11.5 GB more
    python benchmarks/paper_scale.py FOLDER --device cuda # fits and AUCs on a GPU

Every stage is a process of its own, of the installed `ivbpr` where there is a command for it:

    warmup           compiles the kernels, so that no other stage does
    world            `ivbpr world paper`, the purchases, the catalogue, the truth and its AUC
    attributes       `ivbpr features table`, nine groups with 200 values
    dense            features without names: the attributes projected at random, and as much noise
    prepare          `ivbpr prepare` with the attributes
    fit MODEL        `ivbpr fit` with its defaults; I-models see the attributes, the other visual ones `dense`
    auc MODEL        `ivbpr auc` over every user with a test item, with the baseline that is always there
    wide, … wide     the same with 4096 columns in place of those of `dense`

FOLDER/stages.json keeps what was measured: a stage that is in it, and whose output is there, is not run
again. FOLDER/stages.md is the table. Memory is the largest resident size, with what is mapped of a file.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

USERS, ITEMS = 400_000, 1_400_000
GROUPS = "garment,material,pattern,colour,fit,neckline,sleeve,style,detail"
MODELS = ("rand", "pop", "mm-mf", "bpr-mf", "vbpr", "i-vbpr", "tvbpr", "i-tvbpr")
FEATURES = {"vbpr": "dense", "tvbpr": "dense", "i-vbpr": "attributes", "i-tvbpr": "attributes"}
WITHOUT_ITERATIONS = ("rand", "pop")
COLUMNS, WIDE = 128, 4096
MB, GB = 1e6, 1e9


@dataclass(frozen=True)
class Stage:
    """A process, the file it leaves behind, and the bytes that the disk must have room for."""

    name: str
    command: list[str]
    output: Path
    bytes: int = 0


def stages(folder: Path, arguments: argparse.Namespace) -> Iterator[Stage]:
    """All stages in order."""
    users, items = USERS // arguments.part, ITEMS // arguments.part
    world, data = folder / "world", folder / "dataset.h5"
    files = {name: folder / f"{name}.h5" for name in ("attributes", "dense", "wide")}
    yield Stage("warmup", ivbpr("warmup"), folder / "warmup.json")
    size = ("--users", users, "--items", items, "--seed", arguments.seed)
    yield Stage("world", ivbpr("world", "paper", *size, "-o", world), world / "truth.h5", 400 * items)
    table = ("features", "table", world / "catalogue.csv", "--id", "id", "--columns", GROUPS)
    yield Stage("attributes", ivbpr(*table, "-o", files["attributes"]), files["attributes"], 2 * 200 * items)
    dense = any(FEATURES.get(model) == "dense" for model in arguments.models)
    for name, columns, wanted in (("dense", arguments.columns, dense), ("wide", WIDE, arguments.wide)):
        if wanted:
            command = [sys.executable, __file__, "--make", str(world), str(files[name]), str(columns)]
            yield Stage(name, command, files[name], 2 * columns * items)
    prepare = ("prepare", world / "purchases.csv", "--features", files["attributes"])
    yield Stage("prepare", ivbpr(*prepare, "-o", data), data, 100 * items)
    fits = [(model, FEATURES.get(model), model) for model in arguments.models]
    if arguments.wide:
        fits.append(("vbpr", "wide", "vbpr wide"))
    for model, features, name in fits:
        out = folder / f"{name.replace(' ', '-')}.h5"
        device = ["--device", arguments.device] if arguments.device else []
        options = [*(["--features", files[features]] if features else []), *device]
        if arguments.iterations and model not in WITHOUT_ITERATIONS:
            options += ["--iterations", arguments.iterations]
        yield Stage(f"fit {name}", ivbpr("fit", data, "--model", model, *options, "-o", out), out)
        judged = folder / f"auc-{name.replace(' ', '-')}.json"
        yield Stage(f"auc {name}", ivbpr("auc", out, *device), judged)


def ivbpr(*arguments: object) -> list[str]:
    """A command line of the installed `ivbpr`, else of the source on the path, that prints JSON."""
    program = Path(sys.executable).with_name("ivbpr")
    code = "import sys; from ivbpr_cli.app import run; sys.exit(run(sys.argv[1:]))"
    start = [str(program)] if program.exists() else [sys.executable, "-c", code]
    return [*start, "--quiet", "--format", "json", *map(str, arguments)]


def printed(folder: Path, stage: Stage) -> Path:
    """Where the JSON that a stage prints is kept."""
    return folder / f"{stage.name.replace(' ', '-')}.json"


def measure(stage: Stage, folder: Path) -> dict[str, Any]:
    """Run a stage; seconds by the clock, of the CPU, and its largest resident size.

    Raises
    ------
    SystemExit
        When it fails; what it printed is left out of the results.
    """
    free, needed = shutil.disk_usage(folder).free / GB, stage.bytes / GB + 1
    if free < needed:
        raise SystemExit(f"{stage.name}: {folder} has {free:.1f} GB free, {needed:.1f} GB may be needed.")
    told = printed(folder, stage)
    partial = told.with_suffix(".partial")
    begin = time.perf_counter()
    out = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    pid = os.posix_spawn(
        stage.command[0], stage.command, dict(os.environ), file_actions=[(os.POSIX_SPAWN_DUP2, out, 1)]
    )
    os.close(out)
    _, status, usage = os.wait4(pid, 0)
    seconds = time.perf_counter() - begin
    if status:
        raise SystemExit(f"failed ({os.waitstatus_to_exitcode(status)}): {' '.join(stage.command)}")
    partial.replace(told)
    return {
        "seconds": round(seconds, 1),
        "cpu": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_mb": round(usage.ru_maxrss * 1024 / MB),
        **outcome(stage, told),
    }


def outcome(stage: Stage, told: Path) -> dict[str, Any]:
    """What a stage says of itself that belongs into the table."""
    kind = stage.name.split()[0]
    if kind not in ("world", "prepare", "fit", "auc"):
        return {}
    document = json.loads(told.read_text())
    if kind == "world":
        return {"purchases": document["purchases"], "auc": document["truth_auc_without_time_all"]}
    if kind == "prepare":
        return {name: document[name] for name in ("users", "items", "train")}
    if kind == "fit":
        return {"best": document["best_iteration"], "iterations": document["iterations"]}
    found = {"auc": document["all"]["auc"], "cold": document["cold"]["auc"]}
    return {**found, "users": document["all"]["users"], "pairs": document["all"]["pairs"]}


def make_dense(world: str, out: str, columns: str) -> None:
    """Write features without names, float16, block by block; run in a process of its own."""
    import numpy as np

    from ivbpr_numba.features.layout import Group
    from ivbpr_numba.features.writing import write_features
    from ivbpr_numba.worlds.truth import Truth

    truth = Truth.read(Path(world) / "truth.h5")
    table, width = truth.attributes, int(columns)
    rng = np.random.default_rng(0)
    directions = rng.normal(0, 1 / 3, (len(table.names), width)).astype(np.float32)
    rows = max(1, (64 << 20) // (4 * width))
    noise = rng.standard_normal((rows, width), np.float32)  # in another order in every block

    def blocks() -> Iterator[np.ndarray]:
        for start in range(0, len(table), rows):
            block = table.dense(slice(start, start + rows)).astype(np.float32) @ directions
            block += noise[rng.permutation(rows)[: len(block)]]
            yield block.astype(np.float16)

    names = [f"d{k}" for k in range(width)]
    shape = (len(table), width)
    write_features(
        out, truth.items, names, [Group("dense", 0, width, False)], "dense", 1.0, blocks(), "float16", shape
    )


def table(rows: dict[str, dict[str, Any]]) -> str:
    """The stages as a Markdown table."""

    def number(row: dict[str, Any], name: str) -> str:
        return "" if row.get(name) is None else f"{row[name]:.4f}"

    lines = [
        "| stage | minutes | CPU minutes | peak MB | best iteration | AUC all | AUC cold |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, row in rows.items():
        best = f"{row['best']} of {row['iterations']}" if row.get("best") else ""
        lines.append(
            f"| {name} | {row['seconds'] / 60:.1f} | {row['cpu'] / 60:.1f} | {row['peak_mb']:,} | {best} "
            f"| {number(row, 'auc')} | {number(row, 'cold')} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path, help="where everything is written; made when missing")
    parser.add_argument("--part", type=int, default=1, help="divide users and items by this")
    parser.add_argument("--models", type=lambda text: text.split(","), default=list(MODELS), help="A,B,…")
    parser.add_argument("--iterations", type=int, help="of each fit; its default where not given")
    parser.add_argument("--columns", type=int, default=COLUMNS, help="of the dense features")
    parser.add_argument("--wide", action="store_true", help="also VBPR with 4096 columns")
    parser.add_argument("--until", help="stop after this stage, such as prepare")
    parser.add_argument("--device", help="of fits and AUCs; their default where not given")
    parser.add_argument("--seed", type=int, default=0, help="of the world")
    arguments = parser.parse_args()
    unknown = set(arguments.models) - set(MODELS)
    if unknown:
        parser.error(f"unknown models: {', '.join(sorted(unknown))}")
    folder = arguments.folder
    folder.mkdir(exist_ok=True)
    kept = folder / "stages.json"
    rows: dict[str, dict[str, Any]] = json.loads(kept.read_text()) if kept.exists() else {}
    for stage in stages(folder, arguments):
        if not (stage.name in rows and stage.output.exists() and printed(folder, stage).exists()):
            print(f"{stage.name} …", file=sys.stderr, flush=True)
            rows[stage.name] = measure(stage, folder)
            kept.write_text(json.dumps(rows, indent=2) + "\n")
            (folder / "stages.md").write_text(table(rows))
        if stage.name == arguments.until:
            break
    print(table(rows), end="")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--make"]:
        make_dense(*sys.argv[2:])
    else:
        main()
