"""Labelled photos as parameters: what the commands that train and that judge networks have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from ivbpr_cli.commands.options import option
from ivbpr_cli.paths import input_file, input_images

__all__ = ["DATA", "File", "Groups", "Id", "Items", "Labels", "Tags", "check_photos"]

DATA = "Photos and labels"

Labels = Annotated[
    Path,
    option(
        "Table, JSON or DeepFashion list of what the items are.", DATA, metavar="FILE", show_default=False
    ),
]
Id = Annotated[str | None, option("Column of the item ids in the tables.", DATA, metavar="COL")]
Groups = Annotated[
    str | None,
    option(
        "Columns with one value an item; all groups that the network, or a file of labels, names where none "
        "is given.",
        DATA,
        metavar="COL,COL",
    ),
]
Tags = Annotated[
    list[str] | None, option("A column with several values; repeatable.", DATA, metavar="COL[:SEP]")
]
Items = Annotated[
    Path | None, option("Table that names the item (--id) and the path (--file) of each photo.", DATA)
]
File = Annotated[str | None, option("Column of --items: path of the photo.", DATA, metavar="COL")]


def check_photos(images: Path | None, labels: Path, items: Path | None) -> None:
    """Refuse photos and tables that do not exist.

    Raises
    ------
    UsageError, EnvironmentProblem
        See `paths.input_file`.
    """
    input_file(labels, "label table")
    if images is not None:
        input_images(images)
    if items is not None:
        input_file(items, "table of images")
