"""``ivbpr prepare``: purchases → dataset."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from ivbpr_cli.commands.options import Scheduler, Workers, argument, client_of, names, option, out
from ivbpr_cli.output import Answer, Screen, Table, facts
from ivbpr_cli.paths import input_file, output_file

if TYPE_CHECKING:
    from ivbpr_numba.documents.document import Document

__all__ = ["prepare"]

TABLES = "Tables"
ITEMS = "Items"
SPLIT = "Filter and split"

Text = str | None
Files = list[Path] | None


def prepare(
    screen: Screen,
    inputs: Annotated[list[Path], argument("Purchases: CSV, TSV, JSONL, Parquet; gzip.", metavar="INPUT…")],
    out: Annotated[Path, out("The dataset file to write.")],
    source: Annotated[Text, option("Kind of input; guessed from the content where not given.")] = None,
    user: Annotated[Text, option("Column of the user ids.", TABLES, metavar="COL")] = None,
    item: Annotated[Text, option("Column of the item ids.", TABLES, metavar="COL")] = None,
    time: Annotated[Text, option("Column of dates or unix times.", TABLES, metavar="COL")] = None,
    time_format: Annotated[Text, option("Form of its dates, e.g. %d/%m/%Y.", TABLES, metavar="FORM")] = None,
    meta: Annotated[Files, option("Metadata of the items; repeatable.", ITEMS)] = None,
    category: Annotated[Text, option("Keep one category of the metadata.", ITEMS)] = None,
    features: Annotated[Files, option("Keep what this feature file covers; repeatable.", ITEMS)] = None,
    catalogue: Annotated[Path | None, option("Table of the items.", ITEMS)] = None,
    catalogue_id: Annotated[Text, option("Its column of item ids.", ITEMS, metavar="COL")] = None,
    title: Annotated[Text, option("Its column of titles.", ITEMS, metavar="COL")] = None,
    keep: Annotated[Text, option("Its columns to keep.", ITEMS, metavar="COL,COL")] = None,
    min_interactions: Annotated[int, option("Drop users with fewer items.", SPLIT)] = 5,
    split: Annotated[str, option("random, last or time.", SPLIT)] = "random",
    valid_from: Annotated[Text, option("Start of validation.", SPLIT, metavar="DATE")] = None,
    test_from: Annotated[Text, option("Start of the test.", SPLIT, metavar="DATE")] = None,
    seed: Annotated[int, option("Seed of the split: random, and among equal times.", SPLIT)] = 0,
    strict: Annotated[bool, option("A bad line is an error, not a counted drop.", SPLIT)] = False,
    scheduler: Scheduler = None,
    workers: Workers = None,
) -> None:
    """Turn purchases into a dataset: ids, filters, a split; every drop is counted."""
    named = [*inputs, *(meta or []), *(features or []), *([catalogue] if catalogue else [])]
    for path in named:
        input_file(path, "input")
    output_file(out, *named)

    from ivbpr_numba.datasets.prepare import prepare as build
    from ivbpr_numba.documents import datasets as documents

    with client_of(scheduler, workers) as client, screen.progress("preparing") as observer:
        dataset = build(
            inputs,
            out=out,
            source=source,
            user=user,
            item=item,
            time=time,
            time_format=time_format,
            meta=meta or (),
            category=category,
            features=features or (),
            catalogue=catalogue,
            catalogue_id=catalogue_id,
            title=title,
            keep=names(keep),
            min_interactions=min_interactions,
            split=split,
            valid_from=valid_from,
            test_from=test_from,
            seed=seed,
            strict=strict,
            progress=observer,
            client=client,
        )
    screen.show(_answer(documents.prepare(dataset, out)))


def _answer(document: Document) -> Answer:
    """The steps, lines left out if there are any, the sizes."""
    from ivbpr_numba.readers.badlines import NOT_UTF8, RECODE

    content = document.content
    tables = [Table(content["report"])]
    if content["left_out"]:
        lines = [row | {"first": ", ".join(row["first"])} for row in content["left_out"]]
        tables.append(Table(lines, "Lines left out"))
    recode = any(row["reason"] == NOT_UTF8 for row in content["left_out"])
    notes = [f"Some lines are not UTF-8 and were left out. {RECODE}"] if recode else []
    return Answer.of(document, [*tables, facts(document.rows[0])], notes)
