"""``ivbpr features …``: feature files from a catalogue, a matrix or images, and a look inside."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from ivbpr_cli.commands.options import Scheduler, Workers, argument, client_of, names, option, out
from ivbpr_cli.commands.photos_shown import SHOWN, unused_photos
from ivbpr_cli.output import Answer, Screen, Table, facts, percent
from ivbpr_cli.paths import input_file, input_images, output_file
from ivbpr_numba.wording import first_of

__all__ = ["examples", "extract", "import_", "info", "table"]


SHORT = {
    "values_seen": "seen",
    "values_dropped": "dropped",
    "items_without_value": "without",
    "items_dropped": "lost",
}
LAYOUT = "dense, sparse, or auto: sparse for attributes of which more than 90 % are zero."
GROUPS = "Groups: values seen and dropped; items without a value, and those that lost their last one"


def table(
    screen: Screen,
    catalogue: Annotated[Path, argument("Table of the items: CSV, TSV, JSONL, Parquet; gzip.")],
    id: Annotated[str, option("Column of the item ids.", metavar="COL", show_default=False)],
    out: Annotated[Path, out("The feature file to write.")],
    columns: Annotated[str | None, option("Columns with one value an item.", metavar="COL,COL")] = None,
    tags: Annotated[
        list[str] | None,
        option(
            "A column with several values, ';' between them if not said; repeatable.", metavar="COL[:SEP]"
        ),
    ] = None,
    min_count: Annotated[int, option("Leave out values that fewer items have.")] = 1,
    aggregate: Annotated[str, option("Rows of one item that disagree: error, first or share.")] = "error",
    layout: Annotated[str, option(LAYOUT)] = "auto",
) -> None:
    """One-hot groups from the columns of a catalogue: features of kind 'attributes'."""
    input_file(catalogue, "catalogue")
    output_file(out, catalogue)
    from ivbpr_numba.documents import features as documents
    from ivbpr_numba.features.tables import build_feature_table

    report = build_feature_table(
        catalogue,
        id_column=id,
        columns=names(columns),
        tags=tags or (),
        min_count=min_count,
        aggregate=aggregate,
        layout=layout,
        out=out,
    )
    for text in _left_out(report):
        screen.note(text)
    document = documents.table(report)
    screen.show(
        Answer.of(document, [facts(report), Table(document.rows, GROUPS, wrap=("group",), heads=SHORT)])
    )


def _left_out(report: dict[str, Any]) -> Iterator[str]:
    """What a table of features lost or read in its own way, one sentence each with the first cases."""
    for entry in report["lists_in_text"]:
        yield (
            f"{entry['column']}: the text of {entry['rows']:,} cells was read as a list, the first is "
            f"{entry['first']}."
        )
    if report["disagreeing_items"]:
        kept = "the first row counts" if report["aggregate"] == "first" else "each value has its share"
        yield _sentence(
            f"{report['disagreeing_items']:,} items have rows that disagree; {kept}",
            report["first_disagreeing"],
            report["disagreeing_items"],
        )
    for group in report["groups"]:
        name = group["group"]
        if group["numbers"]:
            yield (
                f"{name}: its {group['values_seen']:,} values are all numbers, and each is an attribute of "
                "its own, unlike its neighbours. Where they are amounts, cut them into a few ranges first."
            )
        if group["dropped"]:
            values = [f"{entry['value']} ({entry['items']:,} items)" for entry in group["dropped"]]
            yield _sentence(
                f"{name}: {len(group['dropped']):,} values are too rare for --min-count",
                values,
                len(group["dropped"]),
            )
        for count, first, what in (
            (group["items_without_value"], group["first_without_value"], "items have no value"),
            (
                group["items_dropped"],
                group["first_items_dropped"],
                "items lost their last value to --min-count",
            ),
        ):
            if count:
                yield _sentence(f"{name}: {count:,} {what}", first, count)
    if report["items_without_values"]:
        yield _sentence(
            f"{report['items_without_values']:,} items have no value in any group and keep a row of zeros",
            report["first_without_values"],
            report["items_without_values"],
        )


def _sentence(text: str, first: list[str], count: int) -> str:
    return f"{text}: {first_of(first, count)}."


def import_(
    screen: Screen,
    matrix: Annotated[Path, argument("A .npy, .npz (also of SciPy), .h5 or .b file.")],
    out: Annotated[Path, out("The feature file to write.")],
    ids: Annotated[Path | None, option("One id a line, where the file itself has none.")] = None,
    divide_by: Annotated[float | None, option("Divide every value by this.")] = None,
    dtype: Annotated[
        str | None, option("float16, float32 or uint8; float16, or float32 where that loses a column.")
    ] = None,
    kind: Annotated[str, option("dense or attributes.")] = "dense",
    layout: Annotated[str, option(LAYOUT)] = "auto",
) -> None:
    """Black-box features from a matrix; the file is streamed, no dense one is held in memory."""
    input_file(matrix, "matrix")
    if ids is not None:
        input_file(ids, "file of ids")
    output_file(out, matrix, ids)
    from ivbpr_numba.documents import features as documents
    from ivbpr_numba.features.importing import import_features

    with screen.progress("importing") as observer:
        report = import_features(
            matrix,
            ids=ids,
            divide_by=divide_by,
            dtype=dtype,
            kind=kind,
            layout=layout,
            out=out,
            progress=observer,
        )
    if report["dtype_why"]:
        screen.note(f"Stored as {report['dtype']}: {report['dtype_why']}.")
    screen.show(Answer.of(documents.importing(report), [facts(report)]))


def extract(
    screen: Screen,
    images: Annotated[Path, argument("Folder, .tar (.gz, .bz2, .xz) or .zip of images.")],
    model: Annotated[Path, option("The network, an ONNX file.", show_default=False)],
    out: Annotated[Path, out("The feature file to write.")],
    output: Annotated[
        str | None,
        option("An output or inner value of the network; its probabilities, else its first.", metavar="NAME"),
    ] = None,
    device: Annotated[str, option("auto, cpu or cuda.")] = "auto",
    items: Annotated[
        Path | None, option("Table that names the item of each image; else an item is a file's name.")
    ] = None,
    id: Annotated[str | None, option("Its column of item ids.", metavar="COL")] = None,
    file: Annotated[str | None, option("Its column of paths within IMAGES.", metavar="COL")] = None,
    preprocess: Annotated[
        str | None,
        option("For a network that doesn't say: a JSON file, imagenet or bgr-raw.", metavar="FILE|PRESET"),
    ] = None,
    kind: Annotated[
        str | None, option("dense or attributes; attributes where the network names its values.")
    ] = None,
    batch: Annotated[
        int | None, option("Images a batch; 32, or on a GPU what pays, where not given.", show_default=False)
    ] = None,
    threads: Annotated[int | None, option("All cores where not given.")] = None,
    dtype: Annotated[str, option("float32 or float16.")] = "float32",
    overwrite: Annotated[
        bool, option("Throw OUT.partial away and start anew.", flags=("--overwrite",))
    ] = False,
    scheduler: Scheduler = None,
    workers: Workers = None,
) -> None:
    """Features of product photos from a network; the same command goes on where it was interrupted."""
    input_images(images)
    input_file(model, "network")
    if items is not None:
        input_file(items, "table of items")
    if preprocess is not None and Path(preprocess).exists():
        input_file(Path(preprocess), "preprocessing")
    from ivbpr_numba.documents import features as documents
    from ivbpr_numba.network.extraction import extract as run
    from ivbpr_numba.network.journal import journal_path

    inputs = (images, model, items, Path(preprocess) if preprocess else None)
    output_file(out, *inputs, states=[journal_path(out)])

    with client_of(scheduler, workers) as client, screen.progress("extracting") as observer:
        report = run(
            images,
            model,
            out,
            output=output,
            device=device,
            preprocess=preprocess,
            kind=kind,
            items=items,
            id_column=id,
            file_column=file,
            batch=batch,
            threads=threads,
            dtype=dtype,
            overwrite=overwrite,
            progress=observer,
            client=client,
        )
    converted, left_out = report["converted"], report["left_out"]
    tables = [facts(report), *unused_photos(report["bad"], report["others"])]
    for text in report["notes"]:
        screen.note(text)
    for entry in converted[:SHOWN]:
        screen.note(f"{entry['image']}: {entry['note']}.")
    if len(converted) > SHOWN:
        screen.note(f"… and {len(converted) - SHOWN:,} more images were converted (--format json has all).")
    if left_out:
        screen.note(f"{len(left_out):,} items have no usable image and are left out: {first_of(left_out)}.")
    screen.show(Answer.of(documents.extract(report), tables))


def info(screen: Screen, file: Annotated[Path, argument("A feature file.")]) -> None:
    """Shape, groups and sparsity of a feature file."""
    input_file(file, "feature file")
    from ivbpr_numba.documents import features as documents
    from ivbpr_numba.features.describing import describe
    from ivbpr_numba.features.features import Features

    found = describe(Features.read(file))
    for count, first, what in (
        (found["items_without_values"], found["first_without_values"], "items have only zeros"),
        (found["columns_without_values"], found["first_empty_columns"], "columns have only zeros"),
    ):
        if count:
            screen.note(_sentence(f"{count:,} {what}", first, count))
    shares = {"share_with_value": percent}
    tables = [facts(found), Table(found["groups"], formats=shares)]
    screen.show(Answer.of(documents.info(found), tables))


def examples(
    screen: Screen,
    file: Annotated[Path, argument("A feature file.")],
    feature: Annotated[str, argument("A column, such as colour=Black, or Black where that is unique.")],
    n: Annotated[int, option("How many items.", flags=("--number", "-n"))] = 10,
) -> None:
    """The items with the highest value of a feature."""
    input_file(file, "feature file")
    from ivbpr_numba.documents import features as documents
    from ivbpr_numba.features.describing import examples as find
    from ivbpr_numba.features.features import Features

    features = Features.read(file)
    found = find(features, feature, n)
    if features.kind == "attributes" and len(found) < n:
        screen.note(
            f"{len(found):,} of {len(features):,} items have '{feature}'; the others have none of it."
        )
    rows = [{key: row[key] for key in ("rank", "item", "value")} for row in found]
    title = found[0]["feature"] if found else feature
    screen.show(Answer.of(documents.examples(found), [Table(rows, title)]))
