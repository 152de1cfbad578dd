"""``ivbpr tune``: options by validation AUC."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from ivbpr_cli.commands.options import Scheduler, Workers, argument, client_of, option, out
from ivbpr_cli.compiling import takes
from ivbpr_cli.output import Answer, Screen, Table
from ivbpr_cli.paths import input_file, output_file, plot_file
from ivbpr_cli.searching import searched, value_of
from ivbpr_numba.errors import UsageError

if TYPE_CHECKING:
    from ivbpr_numba.tuning import Tuning

__all__ = ["tune"]


def tune(
    screen: Screen,
    dataset: Annotated[Path, argument("A file written by 'ivbpr prepare'.")],
    model: Annotated[str, option("mm-mf, bpr-mf, vbpr, i-vbpr, tvbpr or i-tvbpr.", show_default=False)],
    out: Annotated[Path, out("The tuning file to write; see 'ivbpr fit --from'.")],
    features: Annotated[
        list[Path] | None, option("Feature file; i-* need the kind 'attributes'.", metavar="FILE")
    ] = None,
    trials: Annotated[
        int | None, option("Choices of options, the defaults first; 40 without --minutes.", metavar="N")
    ] = None,
    minutes: Annotated[
        float | None, option("Begin no further fit after so many; end what was begun.", metavar="X")
    ] = None,
    space: Annotated[
        Path | None, option("TOML with what to search, a table a model, instead of the built-in.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        option(
            "Fix an option, such as factors=20, preset=paper; repeatable.",
            metavar="NAME=VALUE",
            flags=("--set",),
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        option("Draw what mattered: .svg, or .png with the extra 'plot'.", metavar="FILE"),
    ] = None,
    processes: Annotated[
        int | None, option("Fits beside each other; one a core, four at most, where not given.")
    ] = None,
    device: Annotated[
        str | None, option("What fits: cpu, cuda or auto; cpu where not given.", show_default=False)
    ] = None,
    scheduler: Scheduler = None,
    workers: Workers = None,
    seed: Annotated[int, option("Of the search.")] = 0,
    resume: Annotated[bool, option("Go on from OUT.partial.jsonl.")] = False,
    overwrite: Annotated[
        bool, option("Replace what another search found, throw OUT.partial.jsonl away.")
    ] = False,
) -> None:
    """Choose a model's options by validation AUC; the test part is never read.

    Trials begin with few iterations, and the better quarter of them goes on to all (successive halving). The
    same trials come out for any number of processes and after any interruption.
    """
    input_file(dataset, "dataset")
    for path in features or ():
        input_file(path, "feature file")
    if space is not None:
        input_file(space, "space")
    from ivbpr_numba.store.atomic import companions
    from ivbpr_numba.tuning.journal import journal_path

    output_file(out, dataset, *(features or ()), space, states=[journal_path(out)])
    if plot is not None:
        plot_file(plot, dataset, *(features or ()), space, *companions(out, journal_path(out)))
    options = _fixed(set_ or ()) | ({} if device is None else {"device": device})

    from ivbpr_numba.datasets.dataset import Dataset
    from ivbpr_numba.documents import tuning as documents
    from ivbpr_numba.features.features import Features
    from ivbpr_numba.tuning import tune as search

    end: dict[str, Any] = {}

    def remember(event: dict[str, Any]) -> None:
        if event["event"] == "end":
            end.update(event)

    screen.compiling_takes = takes("fit", model)
    with client_of(scheduler, workers) as client, searched(screen, model) as observer:
        found = search(
            model,
            Dataset.read(dataset),
            [Features.read(path) for path in features or ()],
            trials=trials,
            minutes=minutes,
            space=space,
            seed=seed,
            processes=processes,
            client=client,
            options=options,
            out=out,
            resume=resume,
            overwrite=overwrite,
            observers=[observer, remember],
        )
    if plot is not None:
        from ivbpr_numba.report.tuning_figure import tuning_figure
        from ivbpr_numba.store.atomic import write_bytes

        write_bytes(plot, tuning_figure(found).encoded(plot.suffix))
        screen.note(f"What mattered is drawn in {plot}.")
    document = documents.tune(found, out, end["payload_sha256"], plot)
    screen.show(Answer.of(document, _tables(found), _notes(found, str(dataset), features or (), str(out))))


def _fixed(given: Sequence[str]) -> dict[str, Any]:
    """Options of --set; numbers, true and false as such, everything else as a word."""
    found: dict[str, Any] = {}
    for text in given:
        name, sign, value = text.partition("=")
        name = name.strip().replace("-", "_")
        if not sign or not name or not value:
            raise UsageError(f"--set {text}: it names no option and value.", "Write --set factors=20.")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value.strip()
        if not isinstance(found[name], bool | int | float | str):
            raise UsageError(f"--set {text}: that is no value of an option.", "Give a number or a word.")
    return found


def _tables(found: Tuning) -> list[Table]:
    from ivbpr_numba.documents.tuning import options_of

    reached = [("best", found.best_trial), ("defaults", found.trials[0])]
    rows = [
        {
            "options": name,
            **{key: row[key] for key in ("valid_auc", "stderr", "users", "iterations", "best_iteration")},
        }
        for name, row in reached
    ]
    formats = dict.fromkeys(("best", "default"), value_of) | {"share": _percent, "stderr": _percent}
    heads = {"share": "what mattered", "stderr": "±", "best_half": "better half"}
    options = Table(options_of(found), formats=formats, heads=heads, wrap=("best_half",), drop=("best_half",))
    return [Table(rows, f"{found.model}, validation"), options]


def _percent(share: float | None) -> str:
    from ivbpr_cli.output import percent

    return percent(share, 0)


def _notes(found: Tuning, dataset: str, features: Sequence[Path], out: str) -> list[str]:
    import shlex

    given = [word for path in features for word in ("--features", str(path))]
    line = shlex.join(["ivbpr", "fit", dataset, "--from", out, *given, "-o", f"{found.model}.h5"])
    notes = []
    if found.importance:
        notes.append(
            "What mattered: the option's share of the differences between trials, by rank, in an additive "
            "model; about these trials and ranges ('ivbpr guide tuning')."
        )
    else:
        notes.append("Too few trials to tell what mattered.")
    return [*notes, f"Next: {line}"]
