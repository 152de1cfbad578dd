"""``ivbpr network train`` and ``export``: photos and labels to a network, a checkpoint to a network."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from ivbpr_cli.commands.labelled import DATA, File, Groups, Id, Items, Labels, Tags, check_photos
from ivbpr_cli.commands.options import argument, names, option, out
from ivbpr_cli.commands.photos_shown import unused_photos
from ivbpr_cli.output import Answer, Screen, Table, facts
from ivbpr_cli.paths import input_file, output_file
from ivbpr_numba.errors import UsageError
from ivbpr_numba.events import Event, JsonLines, Observer
from ivbpr_numba.wording import first_of

if TYPE_CHECKING:
    from ivbpr_numba.training.task import Task

__all__ = ["export", "train"]

NETWORK = "The network"
TRAIN = "Training (where not given: what did best on real photos)"
RUN = "The run"


def train(
    screen: Screen,
    images: Annotated[
        Path,
        option("Folder, tar or zip with the photos: ITEM.jpg.", DATA, metavar="IMAGES", show_default=False),
    ],
    labels: Labels,
    out: Annotated[Path, out("The network to write (ONNX).")],
    id: Id = None,
    groups: Groups = None,
    tags: Tags = None,
    items: Items = None,
    file: File = None,
    min_images: Annotated[int, option("Leave out values that fewer photos have.", DATA)] = 20,
    family: Annotated[
        int | None, option("Items that agree in so many first characters stay together.", DATA)
    ] = None,
    valid_share: Annotated[float, option("Share of families that choose the epoch.", DATA)] = 0.1,
    test_share: Annotated[float, option("Share of families that are not looked at.", DATA)] = 0.0,
    trunk: Annotated[str, option("small, squeezenet1_1, alexnet or resnet18.", NETWORK)] = "squeezenet1_1",
    init: Annotated[
        Path | None, option("Weights to start from: an ONNX file, or a torch state dict.", NETWORK)
    ] = None,
    frozen: Annotated[
        Path | None, option("Train on this ONNX network without changing it; needs no torch.", NETWORK)
    ] = None,
    output: Annotated[
        list[str] | None, option("With --frozen: a layer to use; repeatable.", NETWORK, metavar="LAYER")
    ] = None,
    preprocess: Annotated[
        str | None, option("A preset (imagenet, bgr-raw) or a JSON file.", NETWORK, metavar="NAME|FILE")
    ] = None,
    size: Annotated[str | None, option("Pixels of the input.", NETWORK, metavar="HxW")] = None,
    hidden: Annotated[int | None, option("Units of each branch's hidden layer.", NETWORK)] = None,
    epochs: Annotated[int | None, option("Of all layers, at most.", TRAIN)] = None,
    head_epochs: Annotated[int | None, option("Of the branches before, on the fixed trunk.", TRAIN)] = None,
    patience: Annotated[int | None, option("Stop so many epochs after the best one; 0 never.", TRAIN)] = None,
    batch: Annotated[int | None, option("Photos a step.", TRAIN)] = None,
    learning_rate: Annotated[float | None, option("Largest rate of the branches.", TRAIN)] = None,
    trunk_rate: Annotated[float | None, option("Largest rate of the trunk.", TRAIN)] = None,
    scratch_rate: Annotated[float | None, option("Largest rate without --init.", TRAIN)] = None,
    dropout: Annotated[float | None, option("Share left out before and in the branches.", TRAIN)] = None,
    weight_decay: Annotated[float | None, option("Of the weights.", TRAIN)] = None,
    smoothing: Annotated[float | None, option("Share of each label that is spread evenly.", TRAIN)] = None,
    balance: Annotated[
        float | None, option("0: every photo once an epoch; 1: rare values as often as others.", TRAIN)
    ] = None,
    jitter: Annotated[float | None, option("Largest change of colours; they may be labels.", TRAIN)] = None,
    seed: Annotated[int, option("Of the split, the start and the sampling.", RUN)] = 0,
    threads: Annotated[int | None, option("All of the machine where not given.", RUN)] = None,
    device: Annotated[str, option("auto, cpu or cuda.", RUN)] = "auto",
    precision: Annotated[
        str, option("auto, float32, bfloat16 or float16 (of the multiplications).", RUN)
    ] = "auto",
    log: Annotated[Path | None, option("Training log, one JSON object a line.", RUN)] = None,
    keep_checkpoint: Annotated[
        bool, option("Leave OUT.partial.pt there at the end.", RUN, flags=("--keep-checkpoint",))
    ] = False,
    resume: Annotated[bool, option("Go on from OUT.partial.pt.", RUN)] = False,
    overwrite: Annotated[bool, option("Throw OUT.partial.pt away and start anew.", RUN)] = False,
) -> None:
    """Learn the attributes of photos: one file that `ivbpr features extract` and `ivbpr score` use."""
    given = locals()
    options = {name: given[name] for name in OPTIONS if given[name] is not None}
    check_photos(images, labels, items)
    for path, what in ((init, "initial weights"), (frozen, "network")):
        if path is not None:
            input_file(path, what)
    inputs = (images, labels, init, frozen, items, Path(preprocess) if preprocess else None)
    if frozen is not None and init is not None:
        raise UsageError("--frozen and --init are two ways of training.", "Name one of them.")
    if frozen is not None:
        _check_frozen(options, precision, keep_checkpoint)
    if output and frozen is None:
        raise UsageError("--output names layers of a frozen network.", "Name it with --frozen.")
    shape = _size(size)
    if frozen is None:
        from ivbpr_numba.training.whole import with_torch  # noqa: F401 - exit 4 before any work without it
        from ivbpr_numba.training.whole.checkpoint import partial_path
    else:
        from ivbpr_numba.training.frozen.trainer import partial_path
    from ivbpr_numba.photos.pictures import Pictures
    from ivbpr_numba.store.atomic import companions
    from ivbpr_numba.training.outputs import claimed
    from ivbpr_numba.training.task import make_task

    partial = partial_path(out)
    output_file(out, *inputs, states=[partial], log=log)
    with ExitStack() as stack:
        # All that is written is claimed first: neither a photo is decoded nor an old log lost in vain.
        others = (*companions(out, partial), *inputs)
        held = stack.enter_context(claimed(out, partial, resume=resume, overwrite=overwrite))
        lines = None
        if log is not None:
            lines = stack.enter_context(JsonLines(log, append=resume, others=others))
        pictures = stack.enter_context(Pictures.open(images, items, id if items else None, file))
        task = make_task(
            pictures,
            labels,
            id_column=id,
            groups=names(groups),
            tags=tags or (),
            min_images=min_images,
            seed=seed,
            valid_share=valid_share,
            test_share=test_share,
            family=family,
        )
        draw = stack.enter_context(screen.progress("training"))
        run = {
            "about": {"split": task.split, "labels": task.report["labels"]},
            "resume": resume,
            "overwrite": overwrite,
            "keep_lock": held,
            "progress": _observer(screen, draw, lines),
        }
        if frozen is not None:
            found = _frozen(task, out, options, frozen, output or (), preprocess, shape, run)
        else:
            run["keep_checkpoint"] = keep_checkpoint
            found = _whole(task, out, options, init, preprocess, shape, run)
    screen.show(_answer(out, task, found, found.pop("bad_images")))


def _observer(screen: Screen, draw: Observer, lines: JsonLines | None) -> Observer:
    """What is done with each event: drawn, said, written."""

    def observe(event: Event) -> None:
        draw(event)
        if event.get("event") == "warning":
            screen.warn(event["message"])
        if event.get("event") == "evaluation":
            screen.note(_line(event))
        if "event" in event and lines is not None:
            lines.write(event)

    return observe


# What goes to the training; the rest concerns data and run.
OPTIONS = (
    *("trunk", "hidden", "epochs", "head_epochs", "patience", "batch", "learning_rate", "trunk_rate"),
    *("scratch_rate", "dropout", "weight_decay", "smoothing", "balance", "jitter", "seed", "threads"),
    *("device", "precision"),
)

# What --frozen knows of them.
FROZEN = (
    *("hidden", "epochs", "patience", "batch", "learning_rate", "dropout", "weight_decay", "smoothing"),
    "seed",
)


def export(
    screen: Screen,
    checkpoint: Annotated[Path, argument("OUT.partial.pt of a training.", metavar="CHECKPOINT")],
    out: Annotated[Path, out("The network to write (ONNX).")],
) -> None:
    """The best network so far of an unfinished training, or of one run with --keep-checkpoint."""
    input_file(checkpoint, "checkpoint")
    output_file(out, checkpoint)
    from ivbpr_numba.documents import networks as documents
    from ivbpr_numba.training.whole.exporting import export_checkpoint

    found = export_checkpoint(checkpoint, out)
    document = documents.export(out, found)
    screen.show(Answer.of(document, [Table(document.rows), facts(document.content)]))


def _whole(
    task: Task,
    out: Path,
    options: dict[str, Any],
    init: Path | None,
    preprocess: str | None,
    size: tuple[int, int] | None,
    run: dict[str, Any],
) -> dict[str, Any]:
    """Train all layers in torch."""
    from ivbpr_numba.training.whole.initialising import starting_preprocessing
    from ivbpr_numba.training.whole.options import TorchOptions
    from ivbpr_numba.training.whole.trainer import train_whole

    chosen = TorchOptions(**options).checked()
    prepared = starting_preprocessing(init, preprocess, size, chosen.trunk)
    return train_whole(task, prepared, out, chosen, init=init, **run)


def _check_frozen(options: dict[str, Any], precision: str, keep_checkpoint: bool) -> None:
    """Options that say something about layers which --frozen leaves as they are."""
    always = (*FROZEN, "trunk", "threads", "device", "precision")  # they have defaults here
    strange = [name for name in options if name not in always]
    strange += ["precision"] * (precision != "auto") + ["keep_checkpoint"] * keep_checkpoint
    if strange:
        flag = "--" + strange[0].replace("_", "-")
        raise UsageError(f"{flag} has no meaning with --frozen.", "Leave it out.")


def _frozen(
    task: Task,
    out: Path,
    options: dict[str, Any],
    path: Path,
    layers: Sequence[str],
    preprocess: str | None,
    size: tuple[int, int] | None,
    run: dict[str, Any],
) -> dict[str, Any]:
    """Train branches on a fixed network, without torch."""
    from ivbpr_numba.photos.preprocessing import Preprocessing
    from ivbpr_numba.training.frozen.backbone import open_backbone
    from ivbpr_numba.training.frozen.branch_training import BranchOptions
    from ivbpr_numba.training.frozen.trainer import train_frozen

    own = {name: options[name] for name in FROZEN if name in options}
    if "dropout" in own:  # one number for both, as for whole networks
        own["input_dropout"] = own["dropout"]
    chosen = BranchOptions(**own).checked()
    backbone = open_backbone(
        path, layers, None if preprocess is None else Preprocessing.read(preprocess), size
    )
    device, threads = options["device"], options.get("threads")
    return train_frozen(task, backbone, out, chosen, device=device, threads=threads, **run)


def _answer(out: Path, task: Task, found: dict[str, Any], problems: list[dict[str, str]]) -> Answer:
    """Groups, what was left out, parts, how good on the validation photos, how long it took."""
    from ivbpr_numba.documents import networks as documents

    document = documents.train(out, task, found, problems)
    content = document.content
    single = {key: value for key, value in content.items() if not isinstance(value, dict | list)}
    single["bad_images"] = len(content["bad_images"])
    single |= {f"images to {name}": count for name, count in content["images"].items()}
    tables = [Table(document.rows, "Attributes"), facts(single)]
    if "levels" in content:
        tables.insert(1, Table(content["levels"], "Layers of the frozen network"))
    dropped = [row for row in task.report["labels"]["groups"] if row["dropped"]]
    if dropped:
        tables.append(Table([_few(row) for row in dropped], "Left out: too few images"))
    tables += unused_photos(content["bad_images"], content["others"])
    return Answer.of(document, tables, content["notes"])


def _few(row: dict[str, Any]) -> dict[str, Any]:
    """The values of a group that too few images have, the first ones by name."""
    named = [f"{value['value']} ({value['images']:,})" for value in row["dropped"]]
    return {"group": row["group"], "values": len(named), "which (images)": first_of(named)}


def _line(event: dict[str, Any]) -> str:
    """One epoch for people who wait."""
    groups = [f"{name} {own['accuracy']:.3f}" for name, own in event["groups"].items() if own["accuracy"]]
    shown = "; accuracy on validation: " + ", ".join(groups) if groups else ""
    return f"{event['phase']}, epoch {event['epoch']}/{event['epochs']}: loss {event['loss']:.4f}{shown}"


def _size(text: str | None) -> tuple[int, int] | None:
    """Height and width of ``192x128``."""
    if text is None:
        return None
    sides = text.lower().replace("×", "x").split("x")
    if len(sides) != 2 or not all(re.fullmatch(" *[0-9]{1,6} *", side) and int(side) > 0 for side in sides):
        raise UsageError(f"--size {text} is no size.", "Write HEIGHTxWIDTH, such as 192x128.")
    return int(sides[0]), int(sides[1])
