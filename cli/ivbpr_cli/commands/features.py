"""``ivbpr features …``: feature files from a catalogue or a matrix, and a look inside."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from ivbpr_cli.commands.options import argument, names, option, out
from ivbpr_cli.output import Answer, Screen, Table, facts
from ivbpr_cli.paths import input_file, output_file

__all__ = ["examples", "import_", "info", "table"]


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
) -> None:
    """One-hot groups from the columns of a catalogue: features of kind 'attributes'."""
    input_file(catalogue, "catalogue")
    output_file(out, catalogue)
    from ivbpr_numba.datasets.feature_tables import build_feature_table

    report = build_feature_table(
        catalogue,
        id_column=id,
        columns=names(columns),
        tags=tags or (),
        min_count=min_count,
        aggregate=aggregate,
        out=out,
    )
    groups = [{k: v for k, v in group.items() if k != "dropped"} for group in report["groups"]]
    screen.show(Answer("features-table", report, groups, [facts(report), Table(groups)]))


def import_(
    screen: Screen,
    matrix: Annotated[Path, argument("A .npy, .npz, .h5 or .b file.")],
    out: Annotated[Path, out("The feature file to write.")],
    ids: Annotated[Path | None, option("One id a line, where the file itself has none.")] = None,
    divide_by: Annotated[float | None, option("Divide every value by this.")] = None,
    dtype: Annotated[str, option("float16, float32 or uint8.")] = "float16",
    kind: Annotated[str, option("dense or attributes.")] = "dense",
) -> None:
    """Black-box features from a matrix; the file is streamed, never held in memory."""
    input_file(matrix, "matrix")
    if ids is not None:
        input_file(ids, "file of ids")
    output_file(out, matrix, ids)
    from ivbpr_numba.datasets.feature_import import import_features

    with screen.progress("importing") as observer:
        report = import_features(
            matrix, ids=ids, divide_by=divide_by, dtype=dtype, kind=kind, out=out, progress=observer
        )
    screen.show(Answer("features-import", report, [report], [facts(report)]))


def info(screen: Screen, file: Annotated[Path, argument("A feature file.")]) -> None:
    """Shape, groups and sparsity of a feature file."""
    input_file(file, "feature file")
    from ivbpr_numba.datasets.features import Features, describe

    found = describe(Features.read(file))
    screen.show(Answer("features-info", found, found["groups"], [facts(found), Table(found["groups"])]))


def examples(
    screen: Screen,
    file: Annotated[Path, argument("A feature file.")],
    feature: Annotated[str, argument("A column, such as colour=Black, or Black where that is unique.")],
    n: Annotated[int, option("How many items.", flags=("--number", "-n"))] = 10,
) -> None:
    """The items with the highest value of a feature."""
    input_file(file, "feature file")
    from ivbpr_numba.datasets.features import Features
    from ivbpr_numba.datasets.features import examples as find

    found = find(Features.read(file), feature, n)
    screen.show(Answer("features-examples", {"items": found}, found))
