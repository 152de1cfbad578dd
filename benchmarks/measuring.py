"""Interleaved measurements: every number of threads has a process of its own, medians over rounds.

Each round goes once through all implementations and numbers of threads. On a busy machine trust the ratios,
and the amounts per CPU second, not the seconds.
"""

from __future__ import annotations

import datetime
import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.cases import CASES
from benchmarks.goals import carried, goals_of, rates_of
from benchmarks.inputs import Work
from benchmarks.peers import PEERS
from benchmarks.registry import Case, Missing
from ivbpr_numba.errors import IvbprError

__all__ = ["FORMAT", "machine", "measure", "measured", "processes", "rows_of", "versions"]

FORMAT = "ivbpr-benchmarks"
THREAD_VARIABLES = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
PACKAGES = ("ivbpr", "numpy", "scipy", "numba", "llvmlite")

Row = dict[str, Any]
Tell = Callable[[str], None]

_works: dict[tuple[str, bool], Work] = {}
_warm: set[tuple[str, str]] = set()


def measure(name: str, label: str, threads: int, tiny: bool) -> Row:
    """Run one implementation once, in the process of its number of threads."""
    case = CASES[name]
    implementation = case.implementations[label]
    try:
        if (name, label) not in _warm:  # compiled and loaded outside every clock
            implementation(Work(case.tiny), threads)
            _warm.add((name, label))
        if (name, tiny) not in _works:
            _works.clear()
            _works[name, tiny] = Work(case.tiny if tiny else case.full)
        run = implementation(_works[name, tiny], threads)
    except (Missing, IvbprError) as problem:  # a fit that diverges ends its own row, not the report
        return {"missing": str(problem)}
    found = {"wall": run.amount / max(run.seconds, 1e-9), "cpu": run.cpu_amount / max(run.cpu_seconds, 1e-9)}
    return found | {"amount": run.amount, "auc": run.quality}


@contextmanager
def processes(wanted: Sequence[int]) -> Iterator[dict[int, Executor]]:
    """One process for each number of threads; libraries read their environment when they are loaded."""
    found: dict[int, Executor] = {}
    context = multiprocessing.get_context("spawn")
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    try:
        for threads in wanted:
            os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
            found[threads] = ProcessPoolExecutor(1, mp_context=context)
            found[threads].submit(os.getpid).result()
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
    try:
        yield found
    finally:
        for pool in found.values():
            pool.shutdown()


def rows_of(
    case: Case, pools: Mapping[int, Executor], rounds: int, tiny: bool = False, tell: Tell = lambda text: None
) -> list[Row]:
    """Measure a case: one row for every implementation and number of threads."""
    found: dict[tuple[str, int], list[Row]] = {}
    for turn in range(rounds):
        for label in case.implementations:
            for threads, pool in pools.items():
                known = found.setdefault((label, threads), [])
                if not known or "missing" not in known[0]:
                    known.append(pool.submit(measure, case.name, label, threads, tiny).result())
        tell(f"{case.name}: round {turn + 1} of {rounds}")
    rows = []
    for (label, threads), runs in found.items():
        row: Row = {"case": case.name, "unit": case.unit, "label": label, "role": case.role(label)}
        row["threads"] = threads
        if "missing" in runs[0]:
            rows.append(row | runs[0])
            continue
        walls = [run["wall"] for run in runs]
        row |= {"per_second": statistics.median(walls), "lowest": min(walls), "highest": max(walls)}
        row["per_cpu_second"] = statistics.median(run["cpu"] for run in runs)
        if runs[-1]["auc"] is not None:
            row["auc"] = statistics.median(run["auc"] for run in runs)
        if case.curve:
            size = case.tiny if tiny else case.full
            once = size.users * size.per_user if case.unit == "triples" else runs[-1]["amount"]
            row |= {"curve": case.curve, "value": case.value, "seconds": once / row["per_second"]}
        rows.append(row)
    return rows


def measured(
    names: Sequence[str],
    pools: Mapping[int, Executor],
    rounds: int,
    tiny: bool = False,
    tell: Tell = lambda text: None,
    done: Callable[[dict[str, Any], list[Row], list[Row]], None] = lambda document, rows, goals: None,
) -> dict[str, Any]:
    """Measure cases one after the other.

    Parameters
    ----------
    names : sequence of str
    pools : mapping of int to Executor
        By number of threads.
    rounds : int
    tiny : bool
        At the size of the tests: figures mean nothing, but everything runs.
    tell : callable
        Is given a line of progress.
    done : callable
        Is given the document so far after every case, and the case's rows and goals.

    Returns
    -------
    dict
        ``format version started machine versions rounds threads tiny rows goals seconds``, fit for JSON.
    """
    begun = time.perf_counter()
    document: dict[str, Any] = {
        "format": FORMAT,
        "version": 1,
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": versions(),
        "rounds": rounds,
        "threads": list(pools),
        "tiny": tiny,
        "rows": [],
        "goals": [],
    }
    carry = None
    for name in names:
        rows = rows_of(CASES[name], pools, rounds, tiny, tell)
        if carry is None and "implicit" in rates_of(rows):
            carry = carried(rates_of(rows)["implicit"], CASES[name])
        goals = goals_of(CASES[name], rows, carry)
        document["rows"] += rows
        document["goals"] += goals
        document["seconds"] = round(time.perf_counter() - begun, 1)
        done(document, rows, goals)
    return document


def machine() -> dict[str, Any]:
    """What it runs on, and how busy that is."""
    model = platform.processor() or platform.machine()
    about = Path("/proc/cpuinfo")
    if about.exists():
        names = [line.partition(":")[2] for line in about.read_text().splitlines() if "model name" in line]
        model = names[0].strip() if names else model
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load = round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None
    return {"processor": model, "cores": cores, "system": platform.platform(), "load": load}


def versions() -> dict[str, str]:
    """Python, packages, and the programs beside us; "–" where one is not installed."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "–"
    for name, peer in PEERS.items():
        try:
            found[name] = peer.version()
        except Missing:
            found[name] = "–"
    return found
