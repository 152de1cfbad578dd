"""``ivbpr network evaluate``: how good a network's attribute probabilities are."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

from ivbpr_cli.commands.labelled import DATA, File, Groups, Id, Items, Labels, Tags, check_photos
from ivbpr_cli.commands.options import argument, names, option
from ivbpr_cli.commands.photos_shown import unused_photos
from ivbpr_cli.output import Answer, Screen, Table
from ivbpr_cli.paths import input_file, plot_file
from ivbpr_numba.errors import UsageError

__all__ = ["evaluate"]

CONFUSIONS = 3  # named of each group
WORST = 3


def evaluate(
    screen: Screen,
    network: Annotated[Path, argument("A network written by 'ivbpr network train'.", metavar="NET.onnx")],
    labels: Labels,
    images: Annotated[
        Path | None, option("Folder, tar or zip with the photos: ITEM.jpg.", DATA, metavar="IMAGES")
    ] = None,
    features: Annotated[
        Path | None, option("Instead of images: the feature file extracted with this network.", DATA)
    ] = None,
    id: Id = None,
    groups: Groups = None,
    tags: Tags = None,
    split: Annotated[str, option("all, or train, valid or test of the network's recorded split.")] = "all",
    items: Items = None,
    file: File = None,
    plot: Annotated[
        Path | None,
        option("Draw reliability and confusions: .svg, or .png with the extra 'plot'.", metavar="FILE"),
    ] = None,
    narrow: Annotated[
        bool, option("Draw for a phone or a column of text, 390 wide.", flags=("--narrow",))
    ] = False,
    device: Annotated[str, option("auto, cpu or cuda.")] = "auto",
    threads: Annotated[int | None, option("Threads of the CPU; all where not given.")] = None,
) -> None:
    """Accuracy, average precision, calibration and confusions of every attribute group."""
    input_file(network, "network")
    check_photos(images, labels, items)
    if (images is None) == (features is None):
        raise UsageError("Judge images or a feature file.", "Name one of --images and --features.")
    if images is None and items is not None:
        raise UsageError("--items is a table of images.", "Name them with --images.")
    if features is not None:
        input_file(features, "feature file")
    if narrow and plot is None:
        raise UsageError("--narrow is for the plot.", "Name its file with --plot.")
    if plot is not None:
        plot_file(plot, network, labels, features, items, images)
    from ivbpr_numba.documents import networks as documents
    from ivbpr_numba.features.features import Features
    from ivbpr_numba.judging.evaluating import evaluate as judge
    from ivbpr_numba.network.file import Network
    from ivbpr_numba.photos.pictures import Pictures

    with ExitStack() as stack:
        opened = None
        if images is not None:
            place = Pictures.open(images, items, id if items is not None else None, file)
            opened = stack.enter_context(place)
        observer = stack.enter_context(screen.progress("evaluating"))
        judged = judge(
            Network.read(network),
            labels,
            images=opened,
            features=Features.read(features) if features is not None else None,
            id_column=id,
            groups=names(groups),
            tags=tags or (),
            split=split,
            device=device,
            threads=threads,
            progress=observer,
        )
    found = judged.assessment()
    if plot is not None:
        _draw(screen, network, found, judged.facts, plot, narrow)
    document = documents.evaluate(network, judged.facts, found, plot)
    title = f"{network.name}: {_counted(judged.facts['items'], 'labelled item')}, {split}"
    spared = ("log_loss", "majority", "calibration_error")
    tables = [
        Table(_summary(found), title, drop=spared),
        *unused_photos(judged.facts["bad"], judged.facts["others"]),
    ]
    screen.show(Answer.of(document, tables, _notes(found, judged.facts)))


def _draw(
    screen: Screen, network: Path, found: dict[str, Any], facts: dict[str, Any], plot: Path, narrow: bool
) -> None:
    from ivbpr_numba.report.network_figure import network_figure
    from ivbpr_numba.store.atomic import write_bytes

    which = "all images given" if facts["split"] == "all" else f"the part '{facts['split']}'"
    said = (
        f"{_counted(facts['items'], 'labelled item')}, {which}; mean accuracy "
        f"{_figure(found['mean_accuracy'])}, mean average precision "
        f"{_figure(found['mean_ap'])}."
    )
    drawing = network_figure(found, f"What {network.name} sees", said, narrow)
    write_bytes(plot, drawing.encoded(plot.suffix))
    screen.note(f"The figure is in {plot}.")


def _summary(found: dict[str, Any]) -> list[dict[str, Any]]:
    """A row a group, and their means below."""
    from ivbpr_numba.documents.networks import SHARES

    rows = [
        {"group": name, "images": group["images"], **{key: group[key] for key in SHARES}}
        for name, group in found["groups"].items()
    ]
    if len(rows) > 1:
        means = {"accuracy": found["mean_accuracy"], "mean_ap": found["mean_ap"]}
        rows.append({"group": "mean", "images": found["images"], **dict.fromkeys(SHARES), **means})
    return rows


def _notes(found: dict[str, Any], facts: dict[str, Any]) -> list[str]:
    notes = [f"Mean average precision over all values: {_figure(found['mean_ap_of_values'])}."]
    for name, group in found["groups"].items():
        notes += _said(name, group)
    other = [f"{name} {count:,}" for name, count in facts["other_values"].items() if count]
    if other:
        notes.append(f"Left out, labels of other values, which the network doesn't know: {', '.join(other)}.")
    if facts["split"] == "all" and facts["trained_on"]:
        notes.append(
            f"By their ids {facts['trained_on']:,} of the {facts['items']:,} items are of the part that the "
            "network was trained on; --split test judges those that don't."
        )
    if facts["images_without_label"]:
        counted = _counted(facts["images_without_label"], "image")
        notes.append(f"{counted} left out: their items have no label.")
    if facts["items_without_image"]:
        counted = _counted(facts["items_without_image"], "labelled item")
        notes.append(f"{counted} left out: there is no image of them.")
    notes += facts["notes"]
    if facts["provider"]:
        notes.append(f"Run by {facts['provider']} ({facts['device_reason']}).")
    return notes


def _said(name: str, group: dict[str, Any]) -> list[str]:
    """What a group gets wrong, in words."""
    if not group["images"]:
        return [f"{name}: no image has a known label."]
    if group["exclusive"]:
        wrong = [cell for cell in group["confusion"] if cell["value"] != cell["predicted"]][:CONFUSIONS]
        positives = {value["value"]: value["positives"] for value in group["values"]}
        said = [
            f"{cell['value']} taken for {cell['predicted']} ({cell['images']:,} of "
            f"{positives[cell['value']]:,})"
            for cell in wrong
        ]
        return [f"{name}: {', '.join(said)}."] if said else []
    worst = [value for value in group["values"] if value["average_precision"] is not None]
    worst.sort(key=lambda value: value["average_precision"])
    said = [
        f"{value['value']} (average precision {_figure(value['average_precision'])}, {value['positives']:,} "
        "images)"
        for value in worst[:WORST]
    ]
    return [f"{name}, the hardest: {', '.join(said)}."] if said else []


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("" if number == 1 else "s")
