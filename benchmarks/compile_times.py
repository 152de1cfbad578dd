"""What a first run compiles and what a second one waits for, kernel by kernel.

    python benchmarks/compile_times.py demo --size tiny --out /tmp/demo
    python benchmarks/compile_times.py fit dataset.h5 --model bpr-mf -o /tmp/m.h5 --overwrite

What follows is a command line of `ivbpr`. It runs twice, each time in a new process: with an empty cache,
then with the cache that the first run has filled. A table tells of the first run for how many types a kernel
was compiled and in how many seconds, alone and with what it calls; and of both runs how long Python imported,
how long kernels were read from the cache, and when a fit had done its first iteration. Seconds are of the CPU
(`--wall`: of the clock), so that a busy machine does not disturb them much.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

FIRST, TOP = "IVBPR_COMPILE_TIMES", 25


def main() -> None:
    """Run both processes and print what they found."""
    wall, words = "--wall" in sys.argv, [word for word in sys.argv[1:] if word != "--wall"]
    if not words or words[0] in ("-h", "--help"):
        print(__doc__)
        return
    with tempfile.TemporaryDirectory() as folder:
        found = [observed(words, Path(folder), "wall" if wall else "cpu") for _ in range(2)]
    print(table(*found))


def observed(words: list[str], folder: Path, clock: str) -> dict[str, Any]:
    """What a process that runs one command line found out about itself."""
    out = folder / "found.json"
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(folder / "cache"), FIRST: f"{clock} {out}"}
    code = subprocess.run([sys.executable, __file__, *words], env=environment, check=False).returncode
    if code:
        sys.exit(code)
    return json.loads(out.read_text())


def observe(clock: Callable[[], float], words: list[str]) -> tuple[int, dict[str, Any]]:
    """Run a command line here; its exit code, and seconds of everything that is asked about."""
    begun = clock()
    from ivbpr_cli.app import run

    commands = clock() - begun
    from numba.core import caching, event

    from ivbpr_numba.kernels import compiling
    from ivbpr_numba.models import fitting

    assert compiling is not None
    found: dict[str, Any] = {"imports": clock() - begun, "commands": commands, "first": None}
    kernels: dict[str, dict[str, float]] = {}
    read: dict[str, float] = {}
    open_ones: list[list[float]] = []

    class Compiled(event.Listener):
        def on_start(self, event: event.Event) -> None:
            open_ones.append([clock(), 0.0])

        def on_end(self, event: event.Event) -> None:
            start, inside = open_ones.pop()
            seconds = clock() - start
            if open_ones:
                open_ones[-1][1] += seconds
            function = event.data["dispatcher"].py_func
            ours = function.__module__.startswith("ivbpr_numba.")
            name = function.__name__ if ours else "numba's own, such as np.empty"
            row = kernels.setdefault(name, {"types": 0, "alone": 0.0, "whole": 0.0})
            row["types"] += 1
            row["alone"] += seconds - inside
            row["whole"] += seconds

    event.register("numba:compile", Compiled())
    load = caching.Cache.load_overload

    def timed(cache: Any, *arguments: Any) -> Any:
        start = clock()
        loaded = load(cache, *arguments)
        if loaded is not None:
            name = cache._py_func.__name__
            read[name] = read.get(name, 0.0) + clock() - start
        return loaded

    caching.Cache.load_overload = timed  # type: ignore[method-assign]
    tell = fitting.Run.tell

    def telling(fit: Any, told: dict[str, Any]) -> None:
        if told["event"] == "iteration" and found["first"] is None:
            found["first"] = clock() - begun
        tell(fit, told)

    fitting.Run.tell = telling  # type: ignore[method-assign]
    code = run(words)
    return code, {**found, "all": clock() - begun, "kernels": kernels, "read": read}


def table(cold: dict[str, Any], warm: dict[str, Any]) -> str:
    """Both runs as text."""
    kernels = sorted(cold["kernels"].items(), key=lambda item: -item[1]["alone"])
    lines = [f"{'kernel':32} {'types':>5} {'alone':>8} {'with what it calls':>19}"]
    for name, row in kernels[:TOP]:
        lines.append(f"{name:32} {row['types']:5.0f} {row['alone']:8.2f} {row['whole']:19.2f}")
    rest = kernels[TOP:]
    others = sum(row["types"] for _, row in rest), sum(row["alone"] for _, row in rest)
    lines.append(f"{f'{len(rest)} others':32} {others[0]:5.0f} {others[1]:8.2f}")
    total = sum(row["types"] for _, row in kernels), sum(row["alone"] for _, row in kernels)
    lines.append(f"{'together':32} {total[0]:5.0f} {total[1]:8.2f}")
    lines.append(f"\n{'seconds':32} {'first run':>10} {'second run':>10}")
    for name, key in (("imports of the commands", "commands"), ("imports, numba among them", "imports")):
        lines.append(f"{name:32} {cold[key]:10.2f} {warm[key]:10.2f}")
    reading = [sum(run["read"].values()) for run in (cold, warm)]
    lines.append(f"{'reading compiled kernels':32} {reading[0]:10.2f} {reading[1]:10.2f}")
    if warm["first"] is not None:
        lines.append(f"{'until a first iteration is done':32} {cold['first']:10.2f} {warm['first']:10.2f}")
    lines.append(f"{'all':32} {cold['all']:10.2f} {warm['all']:10.2f}")
    return "\n".join(lines)


if __name__ == "__main__":
    if FIRST in os.environ:
        kind, place = os.environ.pop(FIRST).split(" ", 1)
        code, facts = observe(time.process_time if kind == "cpu" else time.perf_counter, sys.argv[1:])
        Path(place).write_text(json.dumps(facts))
        sys.exit(code)
    main()
