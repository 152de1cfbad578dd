"""``ivbpr update``: a model and new purchases → a model that knows them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from ivbpr_cli.commands.options import argument, names, option, out
from ivbpr_cli.output import Answer, Screen, Table, facts
from ivbpr_cli.paths import input_file, output_file, spare_features

__all__ = ["update"]

TABLES = "Tables"
ITEMS = "Items"
SPLIT = "Filter and split"
RUN = "The run"

Text = str | None


def update(
    screen: Screen,
    model: Annotated[Path, argument("A file written by 'ivbpr fit' or 'ivbpr update'.")],
    inputs: Annotated[list[Path], argument("New purchases, read as 'ivbpr prepare' does.", metavar="INPUT…")],
    out: Annotated[Path, out("The model file to write.")],
    features: Annotated[
        Path | None, option("Feature file of all items, new ones too; those of known items unchanged.")
    ] = None,
    full: Annotated[bool, option("Then train everything further.", flags=("--full",))] = False,
    source: Annotated[Text, option("Kind of input; guessed from the content where not given.")] = None,
    user: Annotated[Text, option("Column of the user ids.", TABLES, metavar="COL")] = None,
    item: Annotated[Text, option("Column of the item ids.", TABLES, metavar="COL")] = None,
    time: Annotated[Text, option("Column of dates or unix times.", TABLES, metavar="COL")] = None,
    time_format: Annotated[Text, option("Form of its dates, e.g. %d/%m/%Y.", TABLES, metavar="FORM")] = None,
    catalogue: Annotated[
        Path | None, option("Table of the items; known ones stay as they are.", ITEMS)
    ] = None,
    catalogue_id: Annotated[Text, option("Its column of item ids.", ITEMS, metavar="COL")] = None,
    title: Annotated[Text, option("Its column of titles.", ITEMS, metavar="COL")] = None,
    keep: Annotated[Text, option("Its columns to keep.", ITEMS, metavar="COL,COL")] = None,
    min_interactions: Annotated[int, option("Leave out new users with fewer items.", SPLIT)] = 1,
    split: Annotated[
        str, option("train, or random or last: hold out two items of new users with three.", SPLIT)
    ] = "train",
    seed: Annotated[int, option("Seed of that split.", SPLIT)] = 0,
    strict: Annotated[bool, option("A bad line is an error, not a counted drop.", SPLIT)] = False,
    log: Annotated[Path | None, option("Training log of --full.", RUN)] = None,
    resume: Annotated[bool, option("Go on from OUT.partial.h5 of --full.", RUN)] = False,
    overwrite: Annotated[
        bool, option("Replace another finished model, throw OUT.partial.h5 away.", RUN)
    ] = False,
) -> None:
    """Go on with a model: new users, new items, new purchases; what is known keeps its ids and its split."""
    for path, what in ((model, "model"), *((one, "input") for one in inputs), (features, "feature file")):
        if path is not None:
            input_file(path, what)
    if catalogue is not None:
        input_file(catalogue, "catalogue")
    from ivbpr_numba.models.checkpoint import partial_path

    output_file(out, model, *inputs, features, catalogue, states=[partial_path(out)], log=log)

    from ivbpr_numba.datasets.adding import add_files
    from ivbpr_numba.documents import models as documents
    from ivbpr_numba.features.features import Features
    from ivbpr_numba.models import load

    learner = load(model)
    spare_features(out, learner)
    with screen.progress("reading") as observer:
        data = add_files(
            learner.data_,
            inputs,
            source=source,
            user=user,
            item=item,
            time=time,
            time_format=time_format,
            catalogue=catalogue,
            catalogue_id=catalogue_id,
            title=title,
            keep=names(keep),
            split=split,
            min_interactions=min_interactions,
            seed=seed,
            strict=strict,
            progress=observer,
        )

    def warn(event: dict[str, Any]) -> None:
        if event["event"] == "warning":
            screen.warn(event["message"])

    with screen.progress(learner.name) as observer:
        learner.partial_fit(
            data,
            Features.read(features) if features is not None else None,
            full=full,
            observers=[observer, warn] if observer is not None else [warn],
            out=out,
            resume=resume,
            overwrite=overwrite,
            log=log,
        )
    document = documents.update(learner, data, out)
    tables = [Table(document.content["report"])]
    if document.content["left_out"]:
        rows = [row | {"first": ", ".join(row["first"])} for row in document.content["left_out"]]
        tables.append(Table(rows, "Lines left out"))
    shown = {name: value for name, value in document.rows[0].items() if name != "of"}
    screen.show(Answer.of(document, [*tables, facts(shown)]))
