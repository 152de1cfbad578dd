"""``ivbpr trends``: how the liking of features changed from epoch to epoch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from ivbpr_cli.commands.options import argument, option
from ivbpr_cli.output import Answer, Screen, Table
from ivbpr_cli.paths import input_file, input_images, plot_file
from ivbpr_numba.errors import UsageError

if TYPE_CHECKING:
    from ivbpr_numba.models.base import Model
    from ivbpr_numba.questions.trends import Trends

__all__ = ["trends"]

TOP = 20
WIDEST = 12  # epochs side by side in a table


def trends(
    screen: Screen,
    model: Annotated[Path, argument("A file written by 'ivbpr fit' for a model in time.")],
    feature: Annotated[
        list[str] | None,
        option("A feature, such as colour=Black, or Black where that is unique; repeatable."),
    ] = None,
    top: Annotated[
        int | None, option(f"Add the features that change most; {TOP} where none is named.", metavar="N")
    ] = None,
    plot: Annotated[
        Path | None, option("Draw the changes: .svg, or .png with the extra 'plot'.", metavar="FILE")
    ] = None,
    images: Annotated[
        Path | None,
        option("Folder, zip or tar of photos, ITEM.jpg or so: show the items with the highest value."),
    ] = None,
    users: Annotated[str, option("Whose mean: all, or those active in the epoch.")] = "all",
    z_score: Annotated[bool, option("Plot in standard deviations of each feature over the epochs.")] = False,
    bootstrap: Annotated[int, option("Resamples of the users; 0: no spread.")] = 200,
    seed: Annotated[int, option("Of the resamples.")] = 0,
    features: Annotated[
        Path | None, option("Feature file for --images, if it is not where the model says.")
    ] = None,
) -> None:
    """How the liking of features changed: equation 8 and the identified response in every epoch."""
    input_file(model, "model")
    if features is not None:
        input_file(features, "feature file")
    if plot is None and (images is not None or z_score):
        raise UsageError("--images and --z-score are for the plot.", "Name its file with --plot.")
    if plot is not None:
        plot_file(plot, model, features)
    if images is not None:
        input_images(images)
    from ivbpr_numba.documents import models as documents
    from ivbpr_numba.models import load
    from ivbpr_numba.questions.trends import measure

    fitted = load(model)
    if top is None and not feature:
        top = TOP
    found = measure(fitted, feature, top=top, users=users, bootstrap=bootstrap, seed=seed)
    if plot is not None:
        _draw(screen, fitted, found, plot, images, features, z_score)
    screen.show(Answer.of(documents.trends(found, users, plot), _tables(found), _notes(found)))


def _draw(
    screen: Screen,
    fitted: Model,
    found: Trends,
    plot: Path,
    images: Path | None,
    features: Path | None,
    z_score: bool,
) -> None:
    from ivbpr_numba.report.item_pictures import open_pictures, pictures_of
    from ivbpr_numba.report.trend_figure import trend_figure
    from ivbpr_numba.store.atomic import write_bytes

    pictures = None
    if images is not None:
        from ivbpr_numba.features.features import Features

        given = Features.read(features) if features is not None else None
        with screen.progress("photos") as observer:
            observer({"step": f"looking through {images}"})
            photos = open_pictures(images)
            pictures, skipped = pictures_of(fitted.find_features(given), found.features, photos)
        for text in skipped:
            screen.note(text)
    drawing = trend_figure(found, pictures, z_score)
    write_bytes(plot, drawing.encoded(plot.suffix))
    screen.note(f"The figure is in {plot}.")


def _tables(found: Trends) -> list[Table]:
    """The epochs, and below them the change of each feature; with many epochs the plain rows."""
    import numpy as np

    n_epochs = len(found.events)
    if n_epochs > WIDEST:
        return []
    epochs = [
        {"epoch": n, "from": first, "to": last, "events": int(found.events[n])}
        for n, (first, last) in enumerate(found.dates)
    ]
    half = (found.change_high - found.change_low) / 2
    changes: list[dict[str, Any]] = []
    for k, (feature, group) in enumerate(zip(found.features, found.groups)):
        known = half[np.isfinite(half[:, k]), k]
        by_epoch = {f"epoch {n}": _signed(found.change[n, k]) for n in range(n_epochs)}
        short = feature.removeprefix(f"{group}=")
        changes.append({"feature": short, "group": group, **by_epoch})
        changes[-1]["spread"] = f"{known.max():.2f}" if len(known) else None
    title = f"Response minus its mean over the epochs, {found.model}, {found.speakers}"
    return [Table(epochs, "Epochs; events are training and validation pairs"), Table(changes, title)]


def _signed(value: float) -> str | None:
    return f"{value:+.2f}" if value == value else None


def _notes(found: Trends) -> list[str]:
    said = (
        "Response: the mean sensitivity of users, in units of the score, compared with the average item "
        "within exclusive groups; its changes mean something, its level does not."
    )
    if len(found.events) <= WIDEST:
        said += (
            " Spread: half of the widest 95 % interval of resampled users under this one fit; "
            "another fit may differ by more."
        )
    else:
        said += " Low and high: 95 % of resampled users under this one fit; another fit may differ by more."
    return [
        said,
        "Influence (equation 8) is in --format csv, jsonl and json; compare it within one fit only.",
    ]
