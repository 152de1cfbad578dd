"""``ivbpr fit``: dataset → model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from ivbpr_cli.commands.options import Scheduler, Workers, argument, client_of, option, out, say_device
from ivbpr_cli.compiling import takes
from ivbpr_cli.output import Answer, Screen, facts
from ivbpr_cli.paths import input_file, output_file, plot_file
from ivbpr_numba.errors import UsageError

if TYPE_CHECKING:
    from ivbpr_numba.models.base import Model

__all__ = ["fit"]

MODEL = "The model (where not given: its preset)"
TRAIN = "Training (where not given: the preset)"
TIME = "Models in time (where not given: the preset)"
RUN = "The run"

Text = str | None
Whole = int | None
Real = float | None


def fit(
    screen: Screen,
    dataset: Annotated[Path, argument("A file written by 'ivbpr prepare'.")],
    out: Annotated[Path, out("The model file to write.")],
    model: Annotated[
        str | None,
        option("rand, pop, mm-mf, bpr-mf, vbpr, i-vbpr, tvbpr or i-tvbpr; demanded without --from."),
    ] = None,
    from_: Annotated[
        Path | None,
        option(
            "Model and options that 'ivbpr tune' found; options that are given go before them.",
            flags=("--from",),
            metavar="FILE",
        ),
    ] = None,
    features: Annotated[Path | None, option("Feature file; i-* need the kind 'attributes'.")] = None,
    preset: Annotated[Text, option("default, paper or mymedialite.", MODEL)] = None,
    factors: Annotated[Whole, option("Latent factors K.", MODEL)] = None,
    visual_factors: Annotated[Whole, option("Visual factors D.", MODEL)] = None,
    init: Annotated[Text, option("Law of the start: normal or uniform01.", MODEL)] = None,
    feature_scaling: Annotated[Text, option("none, max, standard or idf.", MODEL)] = None,
    learning_rate: Annotated[Real, option("Step size η.", TRAIN)] = None,
    visual_rate: Annotated[
        Text, option("η of E and β as a multiple of η; auto: 1 / mean ‖f‖².", TRAIN, metavar="auto|X")
    ] = None,
    lambda_theta: Annotated[
        Text,
        option("Regularisation of γ and θ; auto: by the pairs of a vector.", TRAIN, metavar="auto|X"),
    ] = None,
    lambda_visual: Annotated[Real, option("Regularisation of E and β.", TRAIN)] = None,
    lambda_bias: Annotated[Real, option("Regularisation of the item bias.", TRAIN)] = None,
    reg_scope: Annotated[Text, option("λ_Θ acts on: all or user_visual.", TRAIN)] = None,
    margin: Annotated[Real, option("Margin of the hinge (mm-mf).", TRAIN)] = None,
    negatives: Annotated[Text, option("uniform, trained or popularity.", TRAIN)] = None,
    sampling: Annotated[Text, option("Triples are uniform over users or interactions.", TRAIN)] = None,
    average: Annotated[Real, option("Decay of the averaged parameters; 0 is off.", TRAIN)] = None,
    block: Annotated[Text, option("Triples a visual block.", TRAIN, metavar="auto|N")] = None,
    iterations: Annotated[Whole, option("At most so many.", TRAIN)] = None,
    eval_every: Annotated[Whole, option("Iterations from one validation to the next.", TRAIN)] = None,
    patience: Annotated[Whole, option("Stop so many iterations after the best one.", TRAIN)] = None,
    valid_users: Annotated[
        Text,
        option(
            "Users a validation asks, drawn by the seed; auto: all, fewer of large data.",
            TRAIN,
            metavar="auto|all|N",
        ),
    ] = None,
    update: Annotated[Text, option("ordered (always the same bits) or hogwild (faster).", TRAIN)] = None,
    ensemble: Annotated[
        Whole, option("Learn so many, each with a seed of its own, and rank by their mean.", TRAIN)
    ] = None,
    parts: Annotated[
        Whole,
        option("Deal the users to so many parts that learn side by side; see the guide cluster.", TRAIN),
    ] = None,
    epochs: Annotated[
        Text, option("Epochs N; auto tries 3, 5, 8, 12 on validation.", TIME, metavar="N|auto")
    ] = None,
    bins: Annotated[Whole, option("Bins of time between which epochs are cut.", TIME)] = None,
    bin_type: Annotated[Text, option("width or quantile.", TIME)] = None,
    segment_on: Annotated[Text, option("Events that the cuts explain: train or valid.", TIME)] = None,
    segment_negatives: Annotated[Whole, option("Negatives an event.", TIME)] = None,
    segment_every: Annotated[Whole, option("Iterations from one cut to the next.", TIME)] = None,
    temporal_init: Annotated[Text, option("Start of w, b, ΔE, Δβ: shared or paper.", TIME)] = None,
    item_drift: Annotated[
        bool | None, option("Item and sub-category biases drift too.", TIME, flags=("--item-drift",))
    ] = None,
    seed: Annotated[Whole, option("Seed of the start and of the sampling.", RUN)] = None,
    threads: Annotated[Whole, option("All of the machine where not given.", RUN)] = None,
    device: Annotated[Text, option("cpu, cuda or auto; cpu where not given.", RUN)] = None,
    log: Annotated[Path | None, option("Training log, one JSON object a line.", RUN)] = None,
    plot: Annotated[
        Path | None,
        option("Draw its learning curve: .svg, or .png with the extra 'plot'.", RUN, metavar="FILE"),
    ] = None,
    scheduler: Scheduler = None,
    workers: Workers = None,
    checkpoint_every: Annotated[Whole, option("Iterations from one checkpoint to the next.", RUN)] = None,
    resume: Annotated[bool, option("Go on from OUT.partial.h5.", RUN)] = False,
    overwrite: Annotated[
        bool, option("Replace another finished model, throw OUT.partial.h5 away.", RUN)
    ] = False,
) -> None:
    """Train a model; the parameters of the best validation AUC are kept."""
    given = locals()
    options = {name: given[name] for name in OPTIONS if given[name] is not None}
    input_file(dataset, "dataset")
    if from_ is not None:
        input_file(from_, "tuning file")
    if features is not None:
        input_file(features, "feature file")
    from ivbpr_numba.models.checkpoint import partial_path
    from ivbpr_numba.store.atomic import companions

    output_file(out, dataset, features, from_, states=[partial_path(out)], log=log)
    model, options = _chosen(model, options, from_)
    if plot is not None:
        if model in UNLEARNED:
            raise UsageError(
                f"{model} learns nothing step by step: it has no learning curve.", "Drop --plot."
            )
        plot_file(plot, dataset, features, from_, *companions(out, partial_path(out)), log)

    from ivbpr_numba.datasets.dataset import Dataset
    from ivbpr_numba.documents import models as documents
    from ivbpr_numba.features.features import Features
    from ivbpr_numba.models import create

    learner = create(model, **options)
    end: dict[str, Any] = {}

    def remember(event: dict[str, Any]) -> None:
        if event["event"] == "end":
            end.update(event)
        elif event["event"] == "warning":
            screen.warn(event["message"])
        elif event["event"] == "start":
            if event["config"]["device"] != "cpu":
                say_device(screen, event)
            for told in _decided(event):
                screen.note(told)

    screen.compiling_takes = takes("fit", model)
    with client_of(scheduler, workers) as client, screen.progress(model) as observer:
        learner.fit(
            Dataset.read(dataset),
            features=Features.read(features) if features is not None else None,
            observers=[observer, remember],
            out=out,
            resume=resume,
            overwrite=overwrite,
            checkpoint_every=checkpoint_every,
            log=log,
            client=client,
        )
    if plot is not None:
        _draw(screen, learner, plot)
    document = documents.fit(model, out, end)
    screen.show(Answer.of(document, [facts(document.content)]))


def _chosen(model: str | None, options: dict[str, Any], found: Path | None) -> tuple[str, dict[str, Any]]:
    """The model and its options: those given, else those of a tuning file."""
    if found is None:
        if model is None:
            raise UsageError("No model is named.", "Name one with --model, or a tuning file with --from.")
        return model, options
    from ivbpr_numba.tuning import Tuning

    tuned = Tuning.read(found)
    if model not in (None, tuned.model):
        raise UsageError(
            f"{found} is a search for {tuned.model}, not for {model}.", "Drop --model, or name another file."
        )
    return tuned.model, {**tuned.best, **options}


def _decided(start: dict[str, Any]) -> list[str]:
    """What the fit decided by the data, a sentence each."""
    told = []
    for name, one in start.get("chosen", {}).items():
        told.append(
            f"--{name.replace('_', '-')} is {one['value']:g}: {one['pairs']:,} training pairs for "
            f"{one['users']:,} users and {one['items']:,} items."
        )
    if start.get("valid_users") != start.get("valid_users_of"):
        told.append(
            f"Validations during the fit ask {start['valid_users']:,} of {start['valid_users_of']:,} "
            "users (--valid-users); the finished model is judged over all."
        )
    return told


def _draw(screen: Screen, learner: Model, plot: Path) -> None:
    from ivbpr_numba.report.learning_figure import learning_figure
    from ivbpr_numba.store.atomic import write_bytes

    config = learner.config_
    asked = None if config["valid_users"] == "all" else config["valid_users"]
    limits = (config["iterations"], config["patience"])
    drawing = learning_figure(learner.history_, learner.name, *limits, asked)
    if drawing is None:
        screen.warn(f"{plot} was not drawn: no user has a validation item, so nothing was evaluated.")
        return
    write_bytes(plot, drawing.encoded(plot.suffix))
    screen.note(f"The learning curve is in {plot}.")


UNLEARNED = ("rand", "pop")

# What goes to the model; the rest concerns this run only.
OPTIONS = (
    *("preset", "factors", "visual_factors", "init", "feature_scaling", "learning_rate"),
    *(
        "visual_rate",
        "lambda_theta",
        "lambda_visual",
        "lambda_bias",
        "reg_scope",
        "margin",
        "negatives",
        "sampling",
    ),
    *("average", "block", "iterations", "eval_every", "patience", "valid_users", "update"),
    *("ensemble", "parts", "seed", "threads", "device"),
    *("epochs", "bins", "bin_type", "segment_on", "segment_negatives", "segment_every", "temporal_init"),
    "item_drift",
)
