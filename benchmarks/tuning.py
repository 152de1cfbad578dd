"""Our search against random search, and Optuna's where it is installed, at equal numbers of iterations.

    python -m benchmarks.tuning DATA --seeds 10

DATA is the folder that benchmarks/quality.py uses. For each seed (of the world or the split, and of the
search) `tune` makes its trials first; the iterations of all its fits are the budget of the others, which try
the same space, the defaults first. Validation AUC is that of the best trial over everybody, on data without a
test part; the test AUC beside it, for the record, is that of its options fitted once. Differences are paired
by seed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.planted import attributes_of
from benchmarks.quality import data_sets
from ivbpr_numba import Dataset, create, tune
from ivbpr_numba.events import Observer
from ivbpr_numba.models.training import Diverged
from ivbpr_numba.processes import cores, side_by_side
from ivbpr_numba.questions.auc import auc, dataset_of
from ivbpr_numba.tuning.dimensions import Choice
from ivbpr_numba.tuning.parts import without_test
from ivbpr_numba.tuning.rungs import rungs_of
from ivbpr_numba.tuning.space import Space, space_of
from ivbpr_numba.worlds.world import generate

OURS, RANDOM = "tune", "random"
OPTUNA = "Optuna, TPE and halving"
USERS = 300  # shoppers of the generated world
Found = tuple[dict[str, Any], float, int]  # options, validation AUC, trials


@dataclass(frozen=True)
class Case:
    """One model on one kind of data, and how long a fit may be."""

    data: str
    model: str
    trials: int
    iterations: int

    @property
    def given(self) -> dict[str, Any]:
        """Options that all fits have in common."""
        return {"iterations": self.iterations, "eval_every": EVERY, "threads": 1}


CASES = [
    Case("hm", "bpr-mf", 20, 120),
    Case("hm", "i-vbpr", 16, 40),
    Case("demo", "bpr-mf", 20, 60),
    Case("demo", "i-vbpr", 16, 40),
]
EVERY = 10  # iterations from one evaluation to the next


class Spent:
    """Fits within a budget of iterations: the best so far, and what is left."""

    def __init__(self, case: Case, data: Dataset, features: Any, budget: int) -> None:
        self.case, self.data, self.features, self.left = case, without_test(data), features, budget
        self.best: tuple[dict[str, Any], float] = ({}, -1.0)
        self.trials = 0

    def fit(self, options: Mapping[str, Any], observer: Observer = lambda event: None) -> float:
        """Validation AUC of a fit, 0 of one that diverges; one that is ended counts as far as it came."""
        done = 0

        def count(event: dict[str, Any]) -> None:
            nonlocal done
            done = event.get("iteration", done)
            observer(event)

        model = create(self.case.model, **self.case.given, **options)
        self.trials += 1
        try:
            model.fit(self.data, self.features, observers=[count])
        except Diverged:
            done = max(done, 1)
            return 0.0
        finally:
            self.left -= done
        reached = float(model.metrics_["valid"]["all"]["auc"])
        if reached > self.best[1]:
            self.best = (dict(options), reached)
        return reached


def random_search(space: Space, spent: Spent, seed: int) -> None:
    """The defaults, then points drawn evenly."""
    rng = np.random.default_rng([seed, 99])
    spent.fit(space.default())
    while spent.left > 0:
        spent.fit(space.values({name: rng.random() for name in space.names}))


def optuna_search(space: Space, spent: Spent, seed: int) -> None:
    """Optuna's TPE over all options together, with its own halving, from the same first rung on."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, n_startup_trials=8)
    first = rungs_of(spent.case.iterations, EVERY)[0].iterations
    pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=first, reduction_factor=4)
    study = optuna.create_study(direction="maximize", sampler=sampler, pruner=pruner)
    numbers = {one.name for one in space.dimensions if not isinstance(one, Choice)}
    # A word such as "auto" is nowhere in a range of numbers: Optuna draws one there, unused by trial 0.
    words = {name for name, value in space.default().items() if name in numbers and isinstance(value, str)}
    inside = {n: v for n, v in space.default().items() if v is not None and n not in words}
    study.enqueue_trial(inside, skip_if_exists=False)

    def objective(trial: Any) -> float:
        options: dict[str, Any] = {}
        for one in space.dimensions:
            if isinstance(one, Choice):
                options[one.name] = trial.suggest_categorical(one.name, list(one.values))
            elif one.whole:
                options[one.name] = trial.suggest_int(one.name, int(one.low), int(one.high), log=one.log)
            else:
                options[one.name] = trial.suggest_float(one.name, one.low, one.high, log=one.log)

        best = 0.0

        def report(event: dict[str, Any]) -> None:
            nonlocal best
            if event["event"] == "evaluation":
                best = max(best, event["valid_auc"])
                trial.report(best, event["iteration"])
                if trial.should_prune():
                    raise optuna.TrialPruned

        return spent.fit(space.default() if trial.number == 0 else options, report)

    while spent.left > 0:
        study.optimize(objective, n_trials=1)


def cell(shared: Mapping[str, Any], task: tuple[Case, int], tell: Observer) -> dict[str, Any]:
    """Every method on one case and seed."""
    case, seed = task
    with tempfile.TemporaryDirectory() as folder:
        data, features = inputs(case, seed, shared["source"], Path(folder))
        begun = time.perf_counter()
        found = tune(
            case.model, data, features, trials=case.trials, seed=seed, processes=1, options=case.given
        )
        seconds = time.perf_counter() - begun
        budget = sum(row["spent"] for row in found.trials)
        space = space_of(case.model, found.space)
        searched = {name: found.best[name] for name in space.names}
        reached: dict[str, Found] = {OURS: (searched, found.valid_auc, len(found.trials))}
        for name, search in methods(space, seed):
            spent = Spent(case, data, features, budget)
            search(spent)
            reached[name] = (*spent.best, spent.trials)
        rows = {
            name: {"valid": valid, "trials": trials, **tested(case, options, data, features)}
            for name, (options, valid, trials) in reached.items()
        }
    default = {"valid": found.default_auc, "trials": 1, **tested(case, space.default(), data, features)}
    return {"budget": budget, "seconds": seconds, "rows": {"defaults": default, **rows}}


def methods(space: Space, seed: int) -> Iterator[tuple[str, Callable[[Spent], None]]]:
    """The other searches."""
    yield RANDOM, lambda spent: random_search(space, spent, seed)
    try:
        import optuna  # noqa: F401
    except ImportError:
        return
    yield OPTUNA, lambda spent: optuna_search(space, spent, seed)


def tested(case: Case, options: Mapping[str, Any], data: Dataset, features: Any) -> dict[str, float]:
    """Test AUC, over all items and stratified, of these options."""
    model = create(case.model, **case.given, **options).fit(data, features)
    report = auc(model)
    return {"test": report["all"]["auc"], "stratified": report["stratified"]["auc"]}


def inputs(case: Case, seed: int, source: Path, work: Path) -> tuple[Dataset, Any]:
    """Data and features of one seed."""
    if case.data == "demo":
        world = generate("demo", seed, users=USERS)
        return dataset_of(world), attributes_of(world, work) if "vbpr" in case.model else None
    data, features = data_sets(case.data, source, work, seed)
    return data, features.get(case.model)


def table(case: Case, cells: Sequence[Mapping[str, Any]]) -> str:
    """Means over the seeds, and what `tune` has before each other method, paired, with its standard error."""
    names = list(cells[0]["rows"])
    budget = np.mean([one["budget"] for one in cells])
    lines = [
        f"### {case.data}, {case.model}: {len(cells)} seeds, {budget:,.0f} iterations for each search",
        "",
        "| search | trials | validation | tune minus this | ± | test | stratified |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for name in names:
        of = {key: np.array([one["rows"][name][key] for one in cells]) for key in cells[0]["rows"][name]}
        ours = np.array([one["rows"][OURS]["valid"] for one in cells])
        ahead = ours - of["valid"]
        error = ahead.std(ddof=1) / np.sqrt(len(ahead)) if len(ahead) > 1 else np.nan
        paired = f"{ahead.mean():+.4f} | {error:.4f}" if name != OURS else "| "
        means = " | ".join(f"{of[key].mean():.4f}".lstrip("0") for key in ("test", "stratified"))
        lines.append(
            f"| {name} | {of['trials'].mean():.1f} | {of['valid'].mean():.4f} | {paired} | {means} |"
        )
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--case", nargs="+", help="such as hm/bpr-mf; all by default")
    parser.add_argument("--trials", type=int, help="instead of the cases' own")
    chosen = parser.parse_args()
    for case in CASES:
        if chosen.case and f"{case.data}/{case.model}" not in chosen.case:
            continue
        own = Case(case.data, case.model, chosen.trials or case.trials, case.iterations)
        tasks = [(own, seed) for seed in range(chosen.seeds)]
        begun = time.perf_counter()
        found = dict(side_by_side(cell, {"source": chosen.source}, tasks, cores()))
        print(table(own, [found[n] for n in range(len(tasks))]), flush=True)
        print(f"{case.data} {case.model}: {time.perf_counter() - begun:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    from benchmarks import tuning  # under its own name, by which the processes find it

    tuning.main()
