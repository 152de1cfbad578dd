"""``ivbpr score``: products nobody has bought yet, by their photos."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

from ivbpr_cli.commands.explain import term_rows
from ivbpr_cli.commands.options import argument, option
from ivbpr_cli.commands.photos_shown import unused_photos
from ivbpr_cli.commands.users import known_user
from ivbpr_cli.output import Answer, Format, Screen, Table
from ivbpr_cli.paths import input_file, output_file, spare_features
from ivbpr_numba.errors import UsageError
from ivbpr_numba.store.kinds import refuse_form
from ivbpr_numba.wording import first_of

__all__ = ["score"]

NAMED = 3  # attributes of a product in the table of many; file and JSON have more

PRODUCTS = "Many products"


def score(
    screen: Screen,
    model: Annotated[Path, argument("A visual model, written by 'ivbpr fit'.")],
    image: Annotated[
        list[Path],
        option(
            "A photo of the product; several are averaged. Or a folder, tar or zip of many products.",
            show_default=False,
        ),
    ],
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
    out: Annotated[
        Path | None,
        option(
            "A row a product: CSV, or JSON lines with --format jsonl.",
            PRODUCTS,
            flags=("--out", "-o"),
            metavar="FILE",
        ),
    ] = None,
    items: Annotated[
        Path | None,
        option("Table that names the product of each photo; else it is called as its file.", PRODUCTS),
    ] = None,
    id: Annotated[str | None, option("Its column of product ids.", PRODUCTS, metavar="COL")] = None,
    file: Annotated[
        str | None, option("Its column of paths within the folder or archive.", PRODUCTS, metavar="COL")
    ] = None,
    full: Annotated[bool, option("Show every term of the score on its own.")] = False,
) -> None:
    """Attributes, score, rank and reasons of products that are not in the catalogue, from their photos."""
    input_file(model, "model")
    input_file(network, "network")
    place = _place(image)
    for photo in image if place is None else ():
        input_file(photo, "photo")
    if place is None and (items, id, file) != (None, None, None):
        raise UsageError(
            "--items, --id and --file name photos in a folder or archive.", "Give it with --image."
        )
    for path, what in ((features, "feature file"), (items, "table of products")):
        if path is not None:
            input_file(path, what)
    if out is not None:
        refuse_form(out, lines=screen.format == Format.jsonl)
        output_file(out, model, network, features, items, *image)

    from ivbpr_numba.features.features import Features
    from ivbpr_numba.models import load
    from ivbpr_numba.network.file import Network
    from ivbpr_numba.photos.preprocessing import Preprocessing

    fitted = load(model)
    if out is not None:
        spare_features(out, fitted)
    if user is not None:
        known_user(fitted, user, model)
    asked: dict[str, Any] = {
        "user": user,
        "n": n,
        "at": at,
        "output": output,
        "preprocessing": Preprocessing.read(preprocess) if preprocess is not None else None,
        "device": device,
        "features": Features.read(features) if features is not None else None,
    }
    if place is None:
        from ivbpr_numba.questions.new_item import judge

        found = judge(fitted, image, Network.read(network), **asked)
    else:
        from ivbpr_numba.questions.new_items import judge_many

        asked |= {"items": items, "id_column": id, "file_column": file}
        with screen.progress("looking at photos") as observer:
            found = judge_many(fitted, place, Network.read(network), **asked, progress=observer)
    for text in found["notes"]:
        screen.note(text)
    if out is not None:
        several = found if place is not None else _as_many(found, image[0].stem)
        _write(screen, several, out)
    elif place is not None:
        _show_many(screen, found)
    else:
        _show_one(screen, found, full)


def _place(images: list[Path]) -> Path | None:
    """The folder or archive of many products, None where photos of one are named.

    Raises
    ------
    UsageError
        Several are named, and one of them is a folder or archive.
    """
    from ivbpr_numba.photos.sources import archive_kind

    places = [path for path in images if path.is_dir()]
    places += [path for path in images if path.is_file() and os.access(path, os.R_OK) and archive_kind(path)]
    if places and len(images) > 1:
        raise UsageError(
            f"{places[0]} holds many products, and --image names {len(images) - 1:,} more.",
            "Name a folder or archive alone, or photos of one product.",
        )
    return places[0] if places else None


def _as_many(found: dict[str, Any], item: str) -> dict[str, Any]:
    """One judged product in the form of many."""
    return {
        "products": [{"item": item, **found}],
        "warnings": found["warnings"],
        "bad": [],
        "others": [],
        "left_out": [],
    }


def _write(screen: Screen, found: dict[str, Any], out: Path) -> None:
    from ivbpr_numba.documents import many

    document = many.score_many(found, out, lines=screen.format == Format.jsonl)
    tables = [Table(document.rows), *unused_photos(found["bad"], found["others"])]
    screen.show(Answer.of(document, tables, _left_out(found)))


def _show_many(screen: Screen, found: dict[str, Any]) -> None:
    from ivbpr_numba.documents import items as documents

    document = documents.score_many(found)
    rows = []
    for row, product in zip(document.rows, found["products"]):
        own = {key: value for key, value in row.items() if key not in ("images", "user")}
        own["attributes"] = documents.attributes_text(product["attributes"], NAMED)
        if "percentile" in own:
            own["percentile"] = documents.percent(own["percentile"])
        else:
            own["users"] = documents.users_text(product["users"][:NAMED])
        rows.append(own)
    whom = f"for {found['user']}" if found["user"] is not None else "and who would like them most"
    tables = [Table(rows, f"New products {whom}, by {found['model']}")]
    tables += unused_photos(found["bad"], found["others"])
    screen.show(Answer.of(document, tables, [*_left_out(found), _closing(found)]))


def _left_out(found: dict[str, Any]) -> list[str]:
    names = found["left_out"]
    return [f"Without any usable photo: {first_of(names)}."] if names else []


def _show_one(screen: Screen, found: dict[str, Any], full: bool) -> None:
    from ivbpr_numba.documents import items as documents

    document = documents.score(found)
    seen = documents.likely(found["attributes"])
    tables = [Table(seen, "Seen in the photo")] if found["attributes"] else []
    rows = [{**row, "percentile": documents.percent(row["percentile"])} for row in document.rows]
    if found["user"] is None:
        tables.append(Table(rows, f"Who would like it most, by {found['model']}"))
    else:
        title = f"Why it has this score for {found['user']}, by {found['model']}"
        tables.append(Table(rows, f"Among all items that {found['user']} doesn't have"))
        tables.append(Table(list(term_rows(found, full)), title))
    screen.show(Answer.of(document, tables, [_closing(found)]))


def _closing(found: dict[str, Any]) -> str:
    if "products" in found:
        return f"Treated as if nobody had bought them: their item bias is {found['bias_from']}."
    return f"Treated as if nobody had bought it: its item bias is {found['bias_from']}."
