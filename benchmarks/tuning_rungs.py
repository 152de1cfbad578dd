"""Where should early rungs end? Whole fits are recorded once; schedules of rungs are played on the record.

    python -m benchmarks.tuning_rungs record DATASET.h5 --model bpr-mf -o hm-bpr-mf.jsonl
    python -m benchmarks.tuning_rungs play hm-bpr-mf.jsonl …

A recording holds the validation AUC of every evaluation of the defaults and of trials spread over the
built-in space, fitted with a long patience. Playing draws the trials in a random order, 300 times, and spends
a budget of iterations by the rules of `tuning.rungs`: waves, promotions, a fit ends by its patience. Shown is
the regret: how far the best trial that ended the last rung lies below the best of the whole recording, on
average.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ivbpr_numba import Dataset, Features, create
from ivbpr_numba.tuning.parts import without_test
from ivbpr_numba.tuning.proposals import BLOCK, FRESH, propose
from ivbpr_numba.tuning.rungs import WAVE
from ivbpr_numba.tuning.space import space_of

History = list[tuple[int, float]]  # iteration, validation AUC
TRIALS, PATIENCE, ORDERS = 44, 100, 300
SCHEDULES = {
    "no early rung": ((), 1),
    "1/3, better quarter": ((3,), 4),
    "1/6, better third": ((6,), 3),
    "1/6, better quarter": ((6,), 4),
    "1/10, better quarter": ((10,), 4),
    "1/9 and 1/3, better thirds": ((9, 3), 3),
}


def record(dataset: Path, model: str, features: Path | None, iterations: int, out: Path) -> None:
    """One line of JSON a trial, its evaluations."""
    data = without_test(Dataset.read(dataset))
    given = None if features is None else Features.read(features)
    space = space_of(model)
    numbers = [n for n in range(1, FRESH * BLOCK * TRIALS) if n < BLOCK or n % FRESH == 0][: TRIALS - 1]
    with out.open("w") as file:
        for options in (space.default(), *(space.values(propose(space, 7, n, [])[0]) for n in numbers)):
            run = {"iterations": iterations, "patience": PATIENCE, "eval_every": 5}
            fitted = create(model, **run, **options).fit(data, given)
            rows = [(row["iteration"], row["valid_auc"]) for row in fitted.history_]
            file.write(json.dumps({"options": options, "history": rows}) + "\n")
            print(f"{fitted.metrics_['valid']['all']['auc']:.4f} {options}", file=sys.stderr)


def reached(history: History, iterations: int, patience: int) -> tuple[float, int]:
    """Best AUC of a fit of so many iterations, and how many it did."""
    best, at, last = -1.0, 0, 0
    for iteration, value in history:
        if iteration > iterations:
            break
        last = iteration
        if value > best:
            best, at = value, iteration
        if iteration - at >= patience:
            break
    return best, last


def played(
    histories: Sequence[History],
    order: Sequence[int],
    ends: Sequence[int],
    eta: int,
    budget: int,
    patience: int,
) -> float:
    """The best AUC on the last rung within a budget of iterations."""
    found: dict[tuple[int, int], float] = {}
    begun: list[int] = []
    spent, best, last = 0, -1.0, len(ends) - 1
    while spent < budget:
        jobs = [(order[0], rung) for rung in range(last, 0, -1)] if not begun else []
        for rung in range(last - 1, -1, -1):
            ended = sorted((n for n in begun if (n, rung) in found), key=lambda n: -found[n, rung])
            jobs += [(n, rung + 1) for n in ended[: len(ended) // eta] if (n, rung + 1) not in found]
        new = list(order[len(begun) : len(begun) + WAVE])
        begun += new
        jobs += [(n, 0) for n in new]
        if not jobs:
            break
        for n, rung in jobs:
            if spent >= budget:
                break
            found[n, rung], done = reached(histories[n], ends[rung], patience)
            spent += done
            best = max(best, found[n, rung]) if rung == last else best
    return best


def play(paths: Sequence[Path], patience: int) -> None:
    """A table a recording: regret by schedule and budget."""
    for path in paths:
        lines = [json.loads(line)["history"] for line in path.read_text().splitlines()]
        histories = [[(i, v) for i, v in rows if v is not None] for rows in lines if rows]
        whole = max(rows[-1][0] for rows in histories)
        best = max(reached(rows, whole, patience)[0] for rows in histories)
        budgets = [4 * whole, 8 * whole]
        print(f"### {path.stem}: best {best:.4f}, defaults {reached(histories[0], whole, patience)[0]:.4f}\n")
        print("| early rungs | " + " | ".join(f"regret after {b:,} iterations" for b in budgets) + " |")
        print("|---|" + "--:|" * len(budgets))
        for name, (parts, eta) in SCHEDULES.items():
            ends = [*(whole // part for part in parts), whole]
            cells = []
            for budget in budgets:
                values = []
                for seed in range(ORDERS):
                    order = [0, *(1 + np.random.default_rng(seed).permutation(len(histories) - 1)).tolist()]
                    values.append(played(histories, order, ends, eta, budget, patience))
                cells.append(f"{best - np.mean(values):.4f}")
            print(f"| {name} | {' | '.join(cells)} |")
        print()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("record")
    one.add_argument("dataset", type=Path)
    one.add_argument("--model", required=True)
    one.add_argument("--features", type=Path)
    one.add_argument("--iterations", type=int, default=300)
    one.add_argument("-o", "--out", type=Path, required=True)
    two = commands.add_parser("play")
    two.add_argument("recordings", type=Path, nargs="+")
    two.add_argument("--patience", type=int, default=40)
    chosen = parser.parse_args()
    if chosen.command == "record":
        record(chosen.dataset, chosen.model, chosen.features, chosen.iterations, chosen.out)
    else:
        play(chosen.recordings, chosen.patience)


if __name__ == "__main__":
    main()
