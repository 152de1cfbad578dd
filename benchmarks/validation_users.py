"""Whether a sample of users chooses the iterate that everybody chooses, and what validation costs in a fit.

    python benchmarks/validation_users.py dataset.h5 --model i-vbpr --features attributes.h5 --users 10000

Validation only chooses between iterates, so one fit shows all choices: every few iterations the AUC of every
user with a validation item is noted. Then the rule of the fit, the best iterate until patience ends, is
followed once with everybody and once with each of many samples as `valid_users` draws them, and both choices
are compared by what they are worth to everybody, on validation and on test items. Iterations end when they
would with everybody, and none of the samples has chosen later. CPU seconds of all threads, from the second
evaluation on, when all is compiled.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ivbpr_numba import Dataset, Features, backends
from ivbpr_numba.features.alignment import align, fit_scaling, learned_as
from ivbpr_numba.models.learners import FactorLearner, Learner, VisualLearner
from ivbpr_numba.models.presets import resolve
from ivbpr_numba.models.temporal_learner import TemporalLearner
from ivbpr_numba.models.training import TrainingState, run_iterations
from ivbpr_numba.models.validation import drawn, resolve_users
from ivbpr_numba.ranking import count, questions

LIMIT = 0.0005  # of AUC: what a sample may lose


def learner_of(model: str, options: dict, data: Dataset, features: Features | None) -> Learner:
    """As the models make theirs."""
    given = (data.train.indptr, data.train.indices, len(data.items))
    if features is None:
        return FactorLearner(options, *given)
    source = align(features, data.items)
    scaling = fit_scaling(source, options["feature_scaling"], backends.kernels())
    if "epochs" in options:
        return TemporalLearner(options, data, source, scaling)
    return VisualLearner(options, *given, source, scaling)


def choice(curve: np.ndarray, every: int, patience: int) -> int:
    """Which evaluation a fit keeps that sees this curve of validation AUCs."""
    best = 0
    for n, value in enumerate(curve):
        if value > curve[best]:
            best = n
        if (n - best) * every >= patience:
            break
    return best


def judge(
    data: Dataset,
    learner: Learner,
    options: dict,
    draws: list[np.ndarray],
    everybody: np.ndarray | None = None,
    test: bool = True,
    tell: Callable[[dict], None] = lambda row: None,
) -> dict:
    """Fit, note everybody's AUCs, and follow the rule with everybody and with each sample.

    `draws` are positions in the validation questions, or in those at the positions `everybody`.
    """
    asked, tested = questions(data, "valid"), questions(data, "test")
    if everybody is not None:
        asked = asked.part(everybody)
        tested = tested.part(np.flatnonzero(np.isin(tested.users, asked.users)))
    everything = np.zeros(len(data.items), np.int8)
    every, patience = options["eval_every"], options["patience"]
    curves, tests = np.zeros((0, 1 + len(draws))), []
    spent = {"iterations": 0.0, "validation": 0.0}
    state, begun, ended = TrainingState(raw=learner.tables), time.process_time(), False

    def note(state: TrainingState, urgent: bool) -> None:
        nonlocal curves, begun, ended
        now = time.process_time()
        if len(curves):
            spent["iterations"] += now - begun
        if state.iteration % every == 0:
            scorer = learner.scorer(state.current)
            own, _, _ = count(scorer, asked, everything).auc()
            if len(curves):
                spent["validation"] += time.process_time() - now
            row = [np.nanmean(own), *(np.nanmean(own[chosen]) for chosen in draws)]
            curves = np.concatenate([curves, [row]])
            if test:
                tests.append(float(np.nanmean(count(scorer, tested, everything).auc()[0])))
            waits = [len(curves) - 1 - choice(curve, every, patience) for curve in curves.T]
            ended = min(waits) * every >= patience
            shown = {"iteration": state.iteration, "all": row[0], "samples": [min(row[1:]), max(row[1:])]}
            tell({**shown, "waited": min(waits) * every, "cpu": spent})
        begun = time.process_time()

    free = {**options, "patience": None, "eval_every": None}
    most = options["iterations"]
    while not ended and state.iteration < most:
        part = {**free, "iterations": min(most, state.iteration + every)}
        state = run_iterations(learner, state, part, None, len(data.items), checkpoint=note)
    kept = choice(curves[:, 0], every, patience)
    others = [choice(curve, every, patience) for curve in curves[:, 1:].T]
    loss = [curves[kept, 0] - curves[n, 0] for n in others]
    return {
        "users": len(asked.users),
        "asked": len(draws[0]),
        "draws": len(draws),
        "everybody_chooses": (kept + 1) * every,
        "samples_choose": sorted({(n + 1) * every for n in others}),
        "valid_auc": curves[kept, 0],
        "valid_lost_mean": float(np.mean(loss)),
        "valid_lost_most": float(np.max(loss)),
        "within": float(np.mean(np.array(loss) <= LIMIT)),
        "test_auc": tests[kept] if test else None,
        "test_difference_most": float(max(abs(tests[n] - tests[kept]) for n in others)) if test else None,
        "cpu_seconds": {name: round(value, 2) for name, value in spent.items()},
        "share_of_validation": round(spent["validation"] / sum(spent.values()), 3),
    }


def said(row: dict) -> None:
    """A line of JSON."""
    print(json.dumps(row), flush=True)


def main() -> None:
    """Print a JSON line an evaluation, and what was found for each seed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--model", default="bpr-mf")
    parser.add_argument("--features", type=Path)
    parser.add_argument("--users", default="auto", help="auto or N")
    parser.add_argument("--draws", type=int, default=20, help="samples a seed")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--everybody", type=int, help="so many random users stand for all of them")
    parser.add_argument("--no-test", action="store_true", help="leave the test items out")
    arguments = parser.parse_args()
    data = Dataset.read(arguments.dataset)
    features = Features.read(arguments.features) if arguments.features else None
    for seed in range(arguments.seeds):
        given = {"seed": seed, "valid_users": arguments.users}
        kind = None if features is None else learned_as(features)
        options = resolve(arguments.model, None, given, kind)
        options = resolve_users(options, data, features)
        if options["valid_users"] == "all":
            parser.error("everybody is asked: give fewer --users")
        asked = questions(data, "valid").users
        everybody = None
        if arguments.everybody:
            everybody = drawn(asked, arguments.everybody, 999_983 + seed)
            asked = asked[everybody]
        draws = [drawn(asked, options["valid_users"], 1000 * seed + n) for n in range(arguments.draws)]
        with backends.threads(None):
            learner = learner_of(arguments.model, options, data, features)
            found = judge(data, learner, options, draws, everybody, not arguments.no_test, said)
        said({"model": arguments.model, "seed": seed, **found})


if __name__ == "__main__":
    main()
