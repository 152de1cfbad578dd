"""``ivbpr network train`` and ``export``: photos and labels to a network, a checkpoint to a network."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from ivbpr_cli.commands.options import argument, names, option, out
from ivbpr_cli.output import Answer, Screen, Table, facts
from ivbpr_cli.paths import input_file, output_file
from ivbpr_numba.errors import UsageError

if TYPE_CHECKING:
    from ivbpr_numba.training.task import Task

__all__ = ["export", "train"]

DATA = "Photos and labels"
NETWORK = "The network"
TRAIN = "Training (where not given: what did best on real photos)"
RUN = "The run"

Observer = Callable[[dict[str, Any]], None]


def train(
    screen: Screen,
    images: Annotated[
        Path,
        option("Folder, tar or zip with the photos: ITEM.jpg.", DATA, metavar="IMAGES", show_default=False),
    ],
    labels: Annotated[
        Path, option("Table or JSON of what the items are.", DATA, metavar="FILE", show_default=False)
    ],
    out: Annotated[Path, out("The network to write (ONNX).")],
    id: Annotated[str | None, option("Column of the item ids in the tables.", DATA, metavar="COL")] = None,
    groups: Annotated[str | None, option("Columns with one value an item.", DATA, metavar="COL,COL")] = None,
    tags: Annotated[
        list[str] | None, option("A column with several values; repeatable.", DATA, metavar="COL[:SEP]")
    ] = None,
    items: Annotated[
        Path | None, option("Table that names the item (--id) and the path (--file) of each photo.", DATA)
    ] = None,
    file: Annotated[str | None, option("Column of --items: path of the photo.", DATA, metavar="COL")] = None,
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
    input_file(labels, "label table")
    if not images.exists():
        raise UsageError(f"The images {images} do not exist.", "Check the path.")
    for path, what in ((init, "initial weights"), (frozen, "network"), (items, "table of images")):
        if path is not None:
            input_file(path, what)
    output_file(out, images, labels, init, frozen, items)
    if log is not None:
        output_file(log, images, labels, init, frozen, items, out)
    if frozen is not None and init is not None:
        raise UsageError("--frozen and --init are two ways of training.", "Name one of them.")
    if frozen is not None:
        _check_frozen(options, precision, keep_checkpoint)
    if output and frozen is None:
        raise UsageError("--output names layers of a frozen network.", "Name it with --frozen.")
    if frozen is None:
        from ivbpr_numba.training.whole import with_torch  # noqa: F401 - exit 4 before any work without it
    from ivbpr_numba.photos.pictures import Pictures
    from ivbpr_numba.training.task import make_task

    shape = _size(size)
    with Pictures.open(images, items, id if items else None, file) as pictures, _Log(log, resume) as lines:
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
        with screen.progress("training") as draw:

            def observe(event: dict[str, Any]) -> None:
                draw(event)
                if event.get("event") == "warning":
                    screen.warn(event["message"])
                if event.get("event") == "evaluation":
                    screen.note(_line(event))
                if "event" in event:
                    lines.write(event)

            if frozen is not None:
                found = _frozen(
                    task, out, options, frozen, output or (), preprocess, shape, resume, overwrite, observe
                )
                problems = found.pop("bad_images")
            else:
                found, problems = _whole(
                    task, out, options, init, preprocess, shape, resume, overwrite, keep_checkpoint, observe
                )
    screen.show(_answer(out, task, found, problems))


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
    from ivbpr_numba.training.whole.exporting import export_checkpoint

    found = export_checkpoint(checkpoint, out)
    rows = [{"group": name, **figures} for name, figures in found["groups"].items()]
    document = {"out": str(out), **found}
    screen.show(Answer("network-export", document, rows, [Table(rows), facts(document)]))


def _whole(
    task: Task,
    out: Path,
    options: dict[str, Any],
    init: Path | None,
    preprocess: str | None,
    size: tuple[int, int] | None,
    resume: bool,
    overwrite: bool,
    keep_checkpoint: bool,
    observe: Observer,
) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """Train all layers in torch."""
    from ivbpr_numba.photos.pictures import load_pixels
    from ivbpr_numba.training.training_set import training_set
    from ivbpr_numba.training.whole.initialising import starting_preprocessing
    from ivbpr_numba.training.whole.options import TorchOptions, choose_device
    from ivbpr_numba.training.whole.trainer import train_torch

    chosen = TorchOptions(**options).checked()
    choose_device(chosen.device)
    prepared = starting_preprocessing(init, preprocess, size, chosen.trunk)
    observe({"step": "reading the images"})
    pixels, usable, problems = load_pixels(
        task.pictures, task.chosen.tolist(), prepared.fit, prepared.size, chosen.threads, observe
    )
    found = train_torch(
        training_set(task, pixels, usable),
        prepared,
        out,
        chosen,
        init=init,
        about={"split": task.split, "labels": task.report["labels"]},
        resume=resume,
        overwrite=overwrite,
        keep_checkpoint=keep_checkpoint,
        progress=observe,
    )
    return found, problems


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
    resume: bool,
    overwrite: bool,
    observe: Observer,
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
    given = None if preprocess is None else Preprocessing.read(preprocess)
    return train_frozen(
        task,
        open_backbone(path, layers, given, size),
        out,
        chosen,
        about={"split": task.split, "labels": task.report["labels"]},
        device=options["device"],
        threads=options.get("threads"),
        resume=resume,
        overwrite=overwrite,
        progress=observe,
    )


def _answer(out: Path, task: Task, found: dict[str, Any], problems: list[dict[str, str]]) -> Answer:
    """Groups, what was left out, parts, how good on the validation photos, how long it took."""
    read = {row["group"]: row for row in task.report["labels"]["groups"]}
    rows = [{**row, "dropped_values": len(read[row["group"]]["dropped"])} for row in found["groups"]]
    dropped = [
        {"group": row["group"], "value": value["value"], "images": value["images"]}
        for row in read.values()
        for value in row["dropped"]
    ]
    plain = {key: value for key, value in found.items() if not isinstance(value, dict | list)}
    document = {
        "out": str(out),
        **plain,
        "images": task.report["images_of_part"],
        "bad_images": problems,
        "groups": {row["group"]: row for row in rows},
        "dropped": dropped,
        "notes": found["notes"],
    }
    single = {"out": str(out), **plain, "bad_images": len(problems)}
    single |= {f"images to {name}": count for name, count in task.report["images_of_part"].items()}
    tables = [Table(rows, "Attributes"), facts(single)]
    if "levels" in found:
        document["levels"] = found["levels"]
        tables.insert(1, Table(found["levels"], "Layers of the frozen network"))
    if dropped:
        tables.append(Table(dropped, "Left out: too few images"))
    if problems:
        tables.append(Table(problems, "Images that can't be used"))
    return Answer("network-train", document, rows, tables)


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
    if len(sides) != 2 or not all(re.fullmatch(" *0*[1-9][0-9]{0,5} *", side) for side in sides):
        raise UsageError(f"--size {text} is no size.", "Write HEIGHTxWIDTH, such as 192x128.")
    return int(sides[0]), int(sides[1])


class _Log:
    """Events as JSON lines, visible at once to whoever follows the file."""

    def __init__(self, path: Path | None, append: bool) -> None:
        self._path, self._mode = path, "ab" if append else "wb"

    def __enter__(self) -> _Log:
        from ivbpr_numba.store.atomic import os_problem

        try:
            self._file = open(self._path, self._mode, buffering=0) if self._path is not None else None
        except OSError as problem:
            raise os_problem(problem, str(self._path)) from problem
        return self

    def __exit__(self, *problem: object) -> None:
        if self._file is not None:
            self._file.close()

    def write(self, event: dict[str, Any]) -> None:
        """Add one line."""
        import orjson

        from ivbpr_numba.store.atomic import os_problem

        if self._file is not None:
            try:
                self._file.write(orjson.dumps(event, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n")
            except OSError as problem:
                raise os_problem(problem, str(self._path)) from problem
