"""Everything of the CUDA kernels that only a GPU can show: one call, one JSON file, a table.

    python benchmarks/gpu.py -o gpu.json               # on a machine with a GPU; no network, under ten
    minutes python benchmarks/gpu.py -o gpu.json --simulator   # the same at a tiny size, in numba-cuda's
    simulator

In this order, each a section of the file:

    machine    the device, versions, measured copy bandwidth and multiply-add rate
    parity     draws, counts, best items: the CPU's bits; parameters after an iteration: near the CPU's (size
    S1) bits       two runs and two shapes of a launch give the same bits
    sanitizer  compute-sanitizer's memcheck and racecheck at the tiny size, where it is on the PATH
    timings    medians by events, beside the floor: bytes over bandwidth, or multiply-adds over their rate
    compile    seconds until every kernel ran once, cold and from the cache

`--only NAME` runs some sections; what the minutes no longer allow is named in `left_out`.
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

SECTIONS = ("machine", "parity", "bits", "sanitizer", "timings", "compile")
NEAR = 1e-4  # of the largest number of a table: what an iteration's rounding may add up to


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--out", type=Path, required=True, help="the JSON file")
    parser.add_argument("--simulator", action="store_true", help="no GPU: tiny sizes in the simulator")
    parser.add_argument("--tiny", action="store_true", help="tiny sizes on the GPU")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS)
    parser.add_argument("--minutes", type=float, default=9.0, help="after which no section begins")
    parser.add_argument("--rounds", type=int, default=7, help="of a timing")
    arguments = parser.parse_args()
    if arguments.simulator and os.environ.get("NUMBA_ENABLE_CUDASIM") != "1":
        os.environ["NUMBA_ENABLE_CUDASIM"] = "1"
        os.execv(sys.executable, [sys.executable, *sys.argv])
    from ivbpr_numba.kernels.cuda import target

    if target.problem():
        sys.exit(f"No CUDA here: {target.problem()}. With --simulator the script shows that it runs.")
    begun, kept = time.perf_counter(), {"format": 1, "simulator": target.SIMULATOR, "left_out": []}
    sections = Sections(arguments, kept)
    for name in arguments.only:
        if (time.perf_counter() - begun) / 60 > arguments.minutes:
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
    checks = [*as_list(kept.get("parity")), *as_list(kept.get("bits")), *as_list(kept.get("sanitizer"))]
    broken = [name for name in SECTIONS if isinstance(kept.get(name), dict) and "failed" in kept[name]]
    return not broken and all(check.get("held", True) for check in checks)


def as_list(value: Any) -> list[dict[str, Any]]:
    return value if isinstance(value, list) else []


class Sections:
    """The sections by name; each gives what is fit for JSON."""

    def __init__(self, arguments: argparse.Namespace, kept: dict[str, Any]) -> None:
        from benchmarks import gpu_inputs, gpu_work

        self.arguments, self.kept = arguments, kept
        self.tiny = arguments.simulator or arguments.tiny
        self.inputs, self.work = gpu_inputs, gpu_work

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

    def sanitizer(self) -> list[dict[str, Any]]:
        program = shutil.which("compute-sanitizer")
        if program is None or self.arguments.simulator:
            why = "the simulator has none" if self.arguments.simulator else "not on the PATH"
            return [{"tool": "compute-sanitizer", "not_run": why}]
        found = []
        for tool in ("memcheck", "racecheck"):
            with tempfile.TemporaryDirectory() as folder:
                command = [program, "--tool", tool, "--error-exitcode", "9", sys.executable, __file__]
                command += ["--tiny", "--only", "parity", "-o", f"{folder}/tiny.json"]
                done = subprocess.run(command, capture_output=True, text=True, timeout=150)
            lines = [line for line in done.stdout.splitlines() if line.startswith("=====")]
            found.append({"tool": tool, "held": done.returncode == 0, "said": lines[-3:]})
        return found

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

    def compile(self) -> dict[str, Any]:
        """Two processes, one after the other, with a cache of their own."""
        if self.arguments.simulator:
            return {"not_run": "the simulator compiles nothing"}
        with tempfile.TemporaryDirectory() as folder:
            seconds = []
            for _ in range(2):
                start = time.perf_counter()
                command = [
                    sys.executable,
                    __file__,
                    "--tiny",
                    "--only",
                    "parity",
                    "-o",
                    f"{folder}/tiny.json",
                ]
                done = subprocess.run(
                    command, env={**os.environ, "NUMBA_CACHE_DIR": folder}, capture_output=True
                )
                seconds.append(time.perf_counter() - start)
                if done.returncode:
                    return {"failed": done.stderr.decode()[-500:]}
        return {"cold_seconds": seconds[0], "cached_seconds": seconds[1]}

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
    for check in [*as_list(kept.get("parity")), *as_list(kept.get("bits"))]:
        lines.append(
            f"{'held  ' if check['held'] else 'BROKEN'}  {check['what']}  {check.get('difference', '')}"
        )
    lines.append(f"{'work':<34}{'ms':>10}{'floor':>10}{'share':>8}{'goal':>8}{'launches':>10}")
    for row in as_list(kept.get("timings")):
        goal = "" if row["goal_ms"] is None else f"{row['goal_ms']:g}"
        lines.append(
            f"{row['work']:<34}{row['median_ms']:>10.3f}{row['floor_ms']:>10.3f}{row['share_of_floor']:>8.0%}"
            f"{goal:>8}{row['launches']:>10}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    np.seterr(over="ignore")
    main()
