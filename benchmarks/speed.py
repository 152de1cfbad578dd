"""How fast we train and rank, beside NumPy and `implicit`, all in one run.

    python benchmarks/speed.py                            # every case, at two threads and at one
    python benchmarks/speed.py --case "auc D=20" --rounds 5 --json speed.jsonl

What is measured is the registry of `cases.py`, and how is said in `implementations.py`. Every number of
threads has a process of its own, so that the libraries below keep to it. Measurements alternate: each round
goes once through all implementations and numbers of threads; the table shows medians over the rounds. On a
busy machine trust the ratios, and the amounts per CPU second, not the seconds. `implicit` is optional (pip
install implicit).

Goals are multiples of what other programs reach at two threads, by the clock. A program that is not run
here enters with a recorded rate, carried over to this machine by the rates of `implicit`, recorded and
measured now, where it was measured in the same run; such lines say "recorded".
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import statistics
import sys
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from cases import CASES, Case, Peer
from implementations import Missing
from inputs import Work

THREAD_VARIABLES = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

_works: dict[str, Work] = {}


def measure(case: str, label: str, threads: int) -> dict[str, Any]:
    """Run one implementation once, in the process of its number of threads."""
    if case not in _works:
        _works.clear()
        _works[case] = CASES[case].work(CASES[case].full)
    try:
        run = CASES[case].implementations[label](_works[case], threads)
    except Missing as problem:
        return {"missing": str(problem)}
    return {"wall": run.amount / run.seconds, "cpu": run.cpu_amount / max(run.cpu_seconds, 1e-9)}


def processes(wanted: list[int]) -> dict[int, ProcessPoolExecutor]:
    """One process for each number of threads; libraries read their environment when they are loaded."""
    found = {}
    context = multiprocessing.get_context("spawn")
    for threads in wanted:
        for name in THREAD_VARIABLES:
            os.environ[name] = str(threads)
        found[threads] = ProcessPoolExecutor(1, mp_context=context)
        found[threads].submit(os.getpid).result()
    return found


def rows_of(case: Case, pools: dict[int, ProcessPoolExecutor], rounds: int) -> list[dict[str, Any]]:
    """Measure a case: one row for every implementation and number of threads."""
    found: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for turn in range(rounds):
        for label in case.implementations:
            for threads, pool in pools.items():
                known = found.setdefault((label, threads), [])
                if not known or "missing" not in known[0]:
                    known.append(pool.submit(measure, case.name, label, threads).result())
        print(f"{case.name}: round {turn + 1} of {rounds}", file=sys.stderr, flush=True)
    rows = []
    for (label, threads), runs in found.items():
        row: dict[str, Any] = {"case": case.name, "unit": case.unit, "label": label, "threads": threads}
        if "missing" in runs[0]:
            rows.append(row | runs[0])
            continue
        walls = [run["wall"] for run in runs]
        row |= {"per_second": statistics.median(walls), "lowest": min(walls), "highest": max(walls)}
        rows.append(row | {"per_cpu_second": statistics.median(run["cpu"] for run in runs)})
    return rows


Rates = tuple[float, float]  # by the clock and per CPU second


def rates_of(rows: list[dict[str, Any]]) -> dict[str, Rates]:
    """Rates at two threads by label."""
    return {
        row["label"]: (row["per_second"], row["per_cpu_second"])
        for row in rows
        if row["threads"] == 2 and "per_second" in row
    }


def goals_of(case: Case, rows: list[dict[str, Any]], carry: Rates | None) -> list[dict[str, Any]]:
    """What part of each goal we reach at two threads.

    Parameters
    ----------
    carry : two floats or None
        Rates of implicit at two threads over those recorded, by the clock and per CPU second; used where the
        case does not measure implicit itself.
    """
    rates = rates_of(rows)
    found = []
    for label in (label for label in case.ours if label in rates):
        for goal in case.goals:
            if isinstance(goal.of, Peer):
                peer, name, how = goal.of, goal.of.name, "recorded"
                wall, cpu = 2 * peer.rate, peer.rate
                here = carried(rates.get("implicit"), peer) or carry
                if here is not None:
                    wall, cpu, how = wall * here[0], cpu * here[1], "recorded, carried over by implicit"
            elif goal.of in rates:
                name, how, (wall, cpu) = goal.of, "measured", rates[goal.of]
            else:
                continue
            row = {"case": case.name, "label": label, "times": goal.times, "of": name, "how": how}
            reached = rates[label][0] / wall
            row |= {"reached": reached, "reached_per_cpu_second": rates[label][1] / cpu}
            found.append(row | {"fraction": reached / goal.times})
    return found


def carried(rates: Rates | None, peer: Peer) -> Rates | None:
    """How much faster implicit is now than when `peer` was recorded."""
    return None if rates is None else (rates[0] / (2 * peer.implicit), rates[1] / peer.implicit)


def shown(rate: float) -> str:
    """A rate with a unit that people can read."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if rate >= size:
            return f"{rate / size:.3g} {letter}"
    return f"{rate:.3g}  "


def table(case: Case, rows: list[dict[str, Any]], goals: list[dict[str, Any]]) -> str:
    """One case as text."""
    lines = [
        f"{case.name}: {case.what}",
        f"  {case.unit + ' a second':28} {'threads':>7} {'wall':>9} {'lowest … highest':>21} "
        f"{'per CPU s':>10} {'ours / it':>10}",
    ]
    first = next(iter(case.ours))
    base = {row["threads"]: row.get("per_second") for row in rows if row["label"] == first}
    for row in rows:
        start = f"  {row['label']:28} {row['threads']:7}"
        if "missing" in row:
            lines.append(f"{start}   not measured: {row['missing']}")
            continue
        spread = f"{shown(row['lowest'])} … {shown(row['highest'])}"
        numbers = f"{shown(row['per_second']):>9} {spread:>21} {shown(row['per_cpu_second']):>10}"
        lines.append(f"{start} {numbers} {base[row['threads']] / row['per_second']:10.3g}")
    for goal in goals:
        lines.append(
            f"  {goal['label']}: {goal['reached']:.3g} × {goal['of']} ({goal['how']}), per CPU second "
            f"{goal['reached_per_cpu_second']:.3g} ×; goal {goal['times']:g} ×: {goal['fraction']:.0%}"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--threads", nargs="+", type=int, default=[2, 1])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", help="also write every row, one JSON object a line")
    chosen = parser.parse_args()
    pools = processes(chosen.threads)
    everything: list[dict[str, Any]] = [
        {"machine": platform.machine(), "cores": os.cpu_count(), "python": platform.python_version()}
    ]
    carry = None
    for name in chosen.case:
        case = CASES[name]
        rows = rows_of(case, pools, chosen.rounds)
        carry = carried(rates_of(rows).get("implicit"), Peer("", 0.0)) if carry is None else carry
        goals = goals_of(case, rows, carry)
        print(table(case, rows, goals), end="\n\n", flush=True)
        everything += [*rows, *goals]
    for pool in pools.values():
        pool.shutdown()
    if chosen.json is not None:
        with open(chosen.json, "w") as out:
            out.writelines(json.dumps(row) + "\n" for row in everything)


if __name__ == "__main__":
    main()
