"""Everything of the CUDA kernels that only a GPU can show: one call, one JSON file, a table.

    python benchmarks/gpu.py -o gpu.json               # on a machine with a GPU; no network, ten minutes
    python benchmarks/gpu.py -o gpu.json --simulator   # the same at a tiny size, in numba-cuda's simulator
    python benchmarks/gpu.py -o big.json --paper-size  # I-VBPR at the paper's size alone; some minutes

In this order, each a section of the file:

    machine     the device, versions, measured copy bandwidth and multiply-add rate
    parity      draws, counts, best items: the CPU's bits; an iteration's parameters: near the CPU's (size S1)
    bits        two runs and two shapes of a launch give the same bits
    timings     medians by events, beside the floor: bytes over bandwidth, or multiply-adds over their rate;
                and how many kernels are launched
    extraction  photos a second by onnxruntime's provider for CUDA and by the CPU's; both see the same
    band        test AUCs of fits over ten seeds: within .002 of those of the CPU
    compile     seconds until a first fit ended, cold and with what the driver has kept
    sanitizer   compute-sanitizer's memcheck and racecheck at the tiny size, where it is on the PATH

`--only NAME` runs some sections; what the minutes no longer allow is named in `left_out`. The exit code is 1
where something did not hold.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)] if str(ROOT) not in sys.path else []

import numpy as np  # noqa: E402

SECTIONS = ("machine", "parity", "bits", "timings", "extraction", "band", "compile", "sanitizer")
CHECKED = ("parity", "bits", "extraction", "band", "sanitizer")
SANITIZER_SECONDS, SPARE_SECONDS = 150, 30  # of a tool; beyond the minutes
FIRST_FIT = """
import numpy as np
from ivbpr_numba import Dataset, create
rng = np.random.default_rng(0)
items = np.concatenate([rng.choice(9, 4, replace=False) for _ in range(6)])
data = Dataset.from_pairs([f"u{u}" for u in np.repeat(np.arange(6), 4)], [f"i{i}" for i in items])
create("bpr-mf", iterations=1, device="cuda").fit(data)
"""
NEAR = 1e-4  # of the largest number of a table: what an iteration's rounding may add up to


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--out", type=Path, required=True, help="the JSON file")
    parser.add_argument("--simulator", action="store_true", help="no GPU: tiny sizes in the simulator")
    parser.add_argument("--tiny", action="store_true", help="tiny sizes on the GPU")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS)
    parser.add_argument("--paper-size", action="store_true", help="I-VBPR at the paper's size, nothing else")
    parser.add_argument("--minutes", type=float, default=9.0, help="after which no section begins")
    parser.add_argument("--rounds", type=int, default=7, help="of a timing")
    arguments = parser.parse_args()
    if arguments.simulator and os.environ.get("NUMBA_ENABLE_CUDASIM") != "1":
        os.environ["NUMBA_ENABLE_CUDASIM"] = "1"
        os.execv(sys.executable, [sys.executable, *sys.argv])
    from ivbpr_numba.kernels.cuda import target

    if target.problem():
        sys.exit(f"No CUDA here: {target.problem()}. With --simulator the script shows that it runs.")
    begun = time.perf_counter()
    kept: dict[str, Any] = {"format": 2, "simulator": target.SIMULATOR, "left_out": []}
    sections = Sections(arguments, kept, begun + 60 * arguments.minutes)
    for name in ("paper",) if arguments.paper_size else arguments.only:
        if sections.seconds_left() <= 0:
            kept["left_out"].append(f"{name}: {arguments.minutes:g} minutes were over")
            continue
        try:
            kept[name] = getattr(sections, name)()
        except Exception as error:  # one section must not take the figures of the others with it
            kept[name] = {"failed": f"{type(error).__name__}: {error}"}
        print(f"{name}: {time.perf_counter() - begun:.0f} s", file=sys.stderr, flush=True)
        arguments.out.write_text(json.dumps(kept, indent=1) + "\n")
    print(table(kept))
    sys.exit(0 if everything_held(kept) else 1)


def everything_held(kept: dict[str, Any]) -> bool:
    """Whether nothing failed that was tried."""
    broken = [part for part in kept.values() if isinstance(part, dict) and "failed" in part]
    return not broken and all(check.get("held", True) for check in checks(kept))


def checks(kept: dict[str, Any]) -> list[dict[str, Any]]:
    """Everything that was compared."""
    return [check for name in CHECKED for check in rows(kept, name)]


def rows(kept: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """Those of a section; none where it failed or did not run."""
    return kept[name] if isinstance(kept.get(name), list) else []


class Sections:
    """The sections by name; each gives what is fit for JSON."""

    def __init__(self, arguments: argparse.Namespace, kept: dict[str, Any], end: float) -> None:
        from benchmarks import gpu_inputs, gpu_whole, gpu_work

        self.arguments, self.kept, self.end = arguments, kept, end
        self.tiny = arguments.simulator or arguments.tiny
        self.inputs, self.work, self.whole = gpu_inputs, gpu_work, gpu_whole

    def seconds_left(self) -> float:
        return self.end - time.perf_counter()

    def world(self, name: str) -> Any:
        return self.inputs.World(self.inputs.SIZES["tiny" if self.tiny else name])

    def machine(self) -> dict[str, Any]:
        from importlib import metadata

        from ivbpr_numba.kernels.cuda.target import SIMULATOR, cuda

        packages = ("numpy", "numba", "numba-cuda", "cuda-bindings", "onnxruntime-gpu")
        versions = {name: version(metadata, name) for name in packages}
        known: dict[str, Any] = {"python": platform.python_version(), "packages": versions}
        if not SIMULATOR:
            device = cuda.get_current_device()
            known |= {
                "device": device.name.decode() if isinstance(device.name, bytes) else str(device.name),
                "capability": list(device.compute_capability),
                "multiprocessors": device.MULTIPROCESSOR_COUNT,
                "memory": cuda.current_context().get_memory_info().total,
            }
        bytes_, multiplied = self.work.bandwidth(self.tiny), self.work.multiply_rate(self.tiny)
        known["bytes_per_second"] = bytes_[0] / self.median(bytes_[1])["median"]
        known["multiply_adds_per_second"] = multiplied[0] / self.median(multiplied[1])["median"]
        return known

    def parity(self) -> list[dict[str, Any]]:
        world = self.world("S1")
        return [check | {"size": "tiny" if self.tiny else "S1"} for check in self.work.parity(world, NEAR)]

    def bits(self) -> list[dict[str, Any]]:
        return list(self.work.same_bits(self.world("S1")))

    def timings(self) -> list[dict[str, Any]]:
        machine = self.kept.get("machine") or self.machine()
        found = []
        for work in self.work.timed(self.world("S2")):
            measured = self.median(work.run)
            floor = max(
                work.bytes / machine["bytes_per_second"],
                work.multiply_adds / machine["multiply_adds_per_second"],
            )
            found.append({
                "work": work.name, "goal_ms": work.goal, "floor_ms": 1e3 * floor,
                "share_of_floor": floor / measured["median"], "launches": self.work.launches(work.run),
                **{f"{name}_ms": 1e3 * seconds for name, seconds in measured.items()},
            })  # fmt: skip
        return found

    def extraction(self) -> list[dict[str, Any]]:
        return list(self.whole.extraction(self.tiny, self.arguments.simulator))

    def band(self) -> list[dict[str, Any]]:
        return list(self.whole.band(self.tiny))

    def paper(self) -> dict[str, Any]:
        return self.whole.paper(self.tiny, ROOT)

    def compile(self) -> dict[str, Any]:
        """Two processes, one after the other, with a cache of the driver's of their own."""
        if self.arguments.simulator:
            return {"not_run": "the simulator compiles nothing"}
        with tempfile.TemporaryDirectory() as folder:
            seconds = []
            for _ in range(2):
                start = time.perf_counter()
                command = [sys.executable, "-c", FIRST_FIT]
                environment = {**os.environ, "CUDA_CACHE_PATH": folder, "PYTHONPATH": str(ROOT)}
                done = subprocess.run(command, env=environment, capture_output=True)
                seconds.append(time.perf_counter() - start)
                if done.returncode:
                    return {"failed": done.stderr.decode()[-500:]}
        return {"cold_seconds": seconds[0], "cached_seconds": seconds[1]}

    def sanitizer(self) -> list[dict[str, Any]]:
        program = shutil.which("compute-sanitizer")
        if program is None or self.arguments.simulator:
            why = "the simulator has none" if self.arguments.simulator else "not on the PATH"
            return [{"what": "compute-sanitizer", "not_run": why}]
        found = []
        for tool in ("memcheck", "racecheck"):
            allowed = min(SANITIZER_SECONDS, self.seconds_left() + SPARE_SECONDS)
            with tempfile.TemporaryDirectory() as folder:
                command = [program, "--tool", tool, "--error-exitcode", "9", sys.executable, __file__]
                command += ["--tiny", "--only", "parity", "-o", f"{folder}/tiny.json"]
                try:
                    done = subprocess.run(command, capture_output=True, text=True, timeout=max(allowed, 1))
                except subprocess.TimeoutExpired:
                    found.append({"what": tool, "not_run": f"more than {allowed:.0f} s"})
                    continue
            lines = [line for line in done.stdout.splitlines() if line.startswith("=====")]
            found.append({"what": tool, "held": done.returncode == 0, "said": lines[-3:]})
        return found

    def median(self, run: Callable[[], Any]) -> dict[str, float]:
        """Seconds of a run, after one that compiles: by events, in the simulator by the clock."""
        from ivbpr_numba.kernels.cuda.target import SIMULATOR, cuda

        run()
        rounds = []
        for _ in range(1 if self.tiny else self.arguments.rounds):
            if SIMULATOR:
                start = time.perf_counter()
                run()
                rounds.append(time.perf_counter() - start)
                continue
            first, last = cuda.event(), cuda.event()
            first.record()
            run()
            last.record()
            last.synchronize()
            rounds.append(cuda.event_elapsed_time(first, last) / 1e3)
        return {"median": statistics.median(rounds), "lowest": min(rounds), "highest": max(rounds)}


def version(metadata: Any, name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def table(kept: dict[str, Any]) -> str:
    """What a person wants to see first."""
    lines = []
    for check in checks(kept):
        said = check.get("difference", check.get("not_run", check.get("cuda", {}).get("not_run", "")))
        state = {True: "held", False: "BROKEN", None: "not run"}[check.get("held")]
        lines.append(f"{state:<8}{check['what']}  {said}")
    lines.append(f"{'work':<34}{'ms':>10}{'floor':>10}{'share':>8}{'goal':>8}{'launches':>10}")
    for row in rows(kept, "timings"):
        goal = "" if row["goal_ms"] is None else f"{row['goal_ms']:g}"
        lines.append(
            f"{row['work']:<34}{row['median_ms']:>10.3f}{row['floor_ms']:>10.3f}{row['share_of_floor']:>8.0%}"
            f"{goal:>8}{row['launches']:>10}"
        )
    for row in rows(kept, "extraction"):
        for device in ("cpu", "cuda"):
            if "images_per_second" in row.get(device, {}):
                lines.append(
                    f"{row['what']}, {device}: {row[device]['images_per_second']:,.0f} photos a second"
                )
    for name in ("compile", "paper"):
        part = kept.get(name, {})
        lines += [f"{name}: {key} {value}" for key, value in part.items() if key != "stages"]
    lines += [f"left out: {text}" for text in kept["left_out"]]
    return "\n".join(lines)


if __name__ == "__main__":
    np.seterr(over="ignore")
    main()
