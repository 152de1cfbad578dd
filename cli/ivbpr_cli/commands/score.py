"""``ivbpr score``: a product nobody has bought yet, by its photo."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from ivbpr_cli.commands.explain import term_rows
from ivbpr_cli.commands.options import argument, option
from ivbpr_cli.output import Answer, Screen, Table
from ivbpr_cli.paths import input_file

if TYPE_CHECKING:
    from ivbpr_numba.documents.document import Document

__all__ = ["score"]

SHOWN = 12  # attributes in the table; JSON has all
LEAST = 0.05  # probability of an attribute worth showing


def score(
    screen: Screen,
    model: Annotated[Path, argument("A visual model, written by 'ivbpr fit'.")],
    image: Annotated[list[Path], option("A photo of the product; several are averaged.", show_default=False)],
    network: Annotated[
        Path, option("The network that made the model's features, or knows its attributes.", metavar="ONNX")
    ],
    user: Annotated[str | None, option("Whose score; without it the users who would like it most.")] = None,
    n: Annotated[int, option("How many users, without --user.", flags=("--number", "-n"))] = 10,
    at: Annotated[
        str | None, option("Date for a model in time; the last epoch where not given.", metavar="DATE")
    ] = None,
    output: Annotated[
        str | None, option("The network's output, for a model of nameless features.", metavar="NAME")
    ] = None,
    preprocess: Annotated[
        str | None,
        option("JSON file or preset (imagenet, bgr-raw), if the network doesn't say.", metavar="FILE"),
    ] = None,
    device: Annotated[str, option("auto, cpu or cuda, for the network.")] = "auto",
    features: Annotated[Path | None, option("Feature file, if it is not where the model says.")] = None,
) -> None:
    """Attributes, score, rank and reasons of a product that is not in the catalogue, from its photos."""
    input_file(model, "model")
    input_file(network, "network")
    for photo in image:
        input_file(photo, "photo")
    if features is not None:
        input_file(features, "feature file")

    from ivbpr_numba.documents import items as documents
    from ivbpr_numba.features.features import Features
    from ivbpr_numba.models import load
    from ivbpr_numba.network.file import Network
    from ivbpr_numba.photos.preprocessing import Preprocessing
    from ivbpr_numba.questions.new_item import judge

    found = judge(
        load(model),
        image,
        Network.read(network),
        user=user,
        n=n,
        at=at,
        output=output,
        preprocessing=Preprocessing.read(preprocess) if preprocess is not None else None,
        device=device,
        features=Features.read(features) if features is not None else None,
    )
    for text in found["notes"]:
        screen.note(text)
    document = documents.score(found)
    screen.show(Answer.of(document, _tables(document), [_closing(found)]))


def _tables(document: Document) -> list[Table]:
    found = document.content
    seen = [row for row in found["attributes"] if row["value"] >= LEAST][:SHOWN]
    tables = [Table(seen, "Seen in the photo")] if found["attributes"] else []
    if found["user"] is None:
        return [*tables, Table(document.rows, f"Who would like it most, by {found['model']}")]
    tables.append(Table(document.rows, f"Among all items that {found['user']} doesn't have"))
    title = f"Why it has this score for {found['user']}, by {found['model']}"
    return [*tables, Table(list(term_rows(found)), title)]


def _closing(found: dict[str, Any]) -> str:
    return f"Nobody has bought it yet: its item bias is {found['bias_from']}."
