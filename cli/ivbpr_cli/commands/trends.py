"""``ivbpr trends``: how the liking of features changed from epoch to epoch."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from ivbpr_cli.commands.options import argument, option
from ivbpr_cli.output import Answer, Screen, Table
from ivbpr_cli.paths import input_file, input_images, plot_file
from ivbpr_cli.tables import lay_out, screen_width
from ivbpr_numba.errors import UsageError

if TYPE_CHECKING:
    from ivbpr_numba.models.base import Model
    from ivbpr_numba.questions.seasons import Seasons
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
    fits: Annotated[
        int | None,
        option(
            "Refits on halves of the customers, for the spread: even, or 0 for none. Where not given: 8 with "
            "20 users or more and up to 50,000 training pairs, else none.",
            metavar="N",
        ),
    ] = None,
    seed: Annotated[int, option("Of the refits.")] = 0,
    features: Annotated[
        Path | None,
        option("Feature file, if it is not where the model says: for refits, overlaps and --images."),
    ] = None,
    overlapping: Annotated[
        bool,
        option("List attributes that are nearly the same items one by one.", flags=("--overlapping",)),
    ] = False,
    narrow: Annotated[
        bool, option("Draw for a phone or a column of text, 390 wide.", flags=("--narrow",))
    ] = False,
    bootstrap: Annotated[int | None, option("Replaced by --fits.", hidden=True)] = None,
) -> None:
    """How the liking of features changed: equation 8 and the identified response in every epoch.

    The spread is that of the model fitted again, with the same epochs, to random halves of the customers: as
    many other customers would put a value inside the band in about 95 of 100 cases.

    Where data span two years or more, with three learned epochs a year or more, seasons are told from trends.
    Of attributes that overlap highly, which the feature file tells, --top shows the one that changes most.
    """
    if bootstrap is not None:
        raise UsageError(
            "--bootstrap is no more: the spread of one fit read as certainty.",
            "Use --fits N for refits on halves of the customers, or --fits 0 for no spread.",
        )
    input_file(model, "model")
    if features is not None:
        input_file(features, "feature file")
    if plot is None and (images is not None or z_score or narrow):
        raise UsageError("--images, --z-score and --narrow are for the plot.", "Name its file with --plot.")
    if plot is not None:
        plot_file(plot, model, features)
    if images is not None:
        input_images(images)
    from ivbpr_numba.documents import models as documents
    from ivbpr_numba.features.features import Features
    from ivbpr_numba.models import load
    from ivbpr_numba.questions.seasons import seasons
    from ivbpr_numba.questions.trends import measure

    fitted = load(model)
    if top is None and not feature:
        top = TOP
    overlaps = _overlaps(screen, fitted, features)
    given = None if features is None else Features.read(features)
    with screen.progress("refits") as observer:
        found = measure(
            fitted,
            feature,
            top=top,
            users=users,
            fits=fits,
            seed=seed,
            fitted_on=given,
            observers=[lambda event: _say_cost(screen, event), observer],
            overlaps=overlaps,
            each=overlapping,
        )
    told = seasons(found)
    if plot is not None:
        _draw(screen, fitted, found, plot, images, features, z_score, model.name, narrow)
    document = documents.trends(found, users, plot)
    screen.show(Answer.of(document, _tables(found, told, screen_width(sys.stdout)), _notes(found, told)))


def _say_cost(screen: Screen, event: dict[str, Any]) -> None:
    """What the refits will cost, before the first."""
    if event["event"] == "start":
        screen.note(
            f"Fitting {event['fits']} times again, on halves of the customers, for the spread; one fit took "
            f"{event['seconds_of_fit']:.1f} s. --fits 0 leaves it out."
        )


def _overlaps(screen: Screen, fitted: Model, features: Path | None) -> list[list[int]] | None:
    """What overlaps with each attribute; None, and a note, where the feature file of the fit isn't found."""
    from ivbpr_numba.features.features import Features
    from ivbpr_numba.parameters import TemporalParameters
    from ivbpr_numba.questions.overlaps import overlapping

    in_time = isinstance(fitted.parameters_, TemporalParameters)  # others have no trends, says `measure`
    if not in_time or fitted.features_ is None or fitted.features_.kind != "attributes":
        return None
    try:
        used = fitted.find_features(Features.read(features) if features is not None else None)
    except UsageError as problem:
        if features is not None:
            raise
        screen.note(f"Which attributes overlap can't be told: {problem}")
        return None
    return overlapping(used, fitted.data_.items)


def _draw(
    screen: Screen,
    fitted: Model,
    found: Trends,
    plot: Path,
    images: Path | None,
    features: Path | None,
    z_score: bool,
    source: str,
    narrow: bool,
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
    drawing = trend_figure(found, pictures, z_score, source, narrow)
    write_bytes(plot, drawing.encoded(plot.suffix))
    screen.note(f"The figure is in {plot}.")


def _by_epochs(rows: list[dict[str, Any]], title: str, n_epochs: int, width: int | None) -> list[Table]:
    """Tables of consecutive epochs that fit the screen, as few and as even as can be; the spread in each."""
    for count in range(1, n_epochs + 1):
        cuts = [n_epochs * k // count for k in range(count + 1)]
        tables = []
        for first, stop in pairwise(cuts):
            others = {f"epoch {n}" for n in range(n_epochs) if not first <= n < stop}
            part = [{key: cell for key, cell in row.items() if key not in others} for row in rows]
            epochs = f"{first} to {stop - 1}" if stop - first > 1 else f"{first}"
            tables.append(Table(part, title if count == 1 else f"Epochs {epochs}", drop=("group",)))
        if all({*lay_out(table, width).dropped} <= {"group"} for table in tables):
            break
    tables[0].title = title if count == 1 else f"{title}; {tables[0].title[0].lower()}{tables[0].title[1:]}"
    return tables


def _tables(found: Trends, told: Seasons, width: int | None = None) -> list[Table]:
    """The epochs; of each feature its change, unless there are too many epochs, and its trend and season."""
    import numpy as np

    n_epochs = len(found.events)
    epochs = [
        {"epoch": n, "from": first, "to": last, "events": int(found.events[n])}
        for n, (first, last) in enumerate(found.dates)
    ]
    half = (found.change_high - found.change_low) / 2
    changes: list[dict[str, Any]] = []
    for k, (feature, group) in enumerate(zip(found.features, found.groups)):
        known = half[np.isfinite(half[:, k]), k]
        by_epoch = {f"epoch {n}": _signed(found.change[n, k], found.certain[n, k]) for n in range(n_epochs)}
        short = feature.removeprefix(f"{group}=")
        changes.append({"feature": short, "group": group, **by_epoch})
        if found.spread.fits:
            changes[-1]["spread"] = f"±{known.max():.2f}" if len(known) else None
    tables = [Table(epochs, "Epochs; events are training and validation pairs")]
    if n_epochs <= WIDEST:
        title = f"Response minus its mean over the epochs, {found.model}, {found.speakers}"
        tables += _by_epochs(changes, title, n_epochs, width)
    if told.told:
        title = f"Trend and season, {found.model}, {found.speakers}"
        tables.append(Table([_season(row) for row in told.rows()], title))
    also = [
        {"feature": feature, "overlaps with": ", ".join(others)}
        for feature, others in zip(found.features, found.also or [])
        if others
    ]
    return [*tables, Table(also, "Overlapping attributes")] if also else tables


def _season(row: dict[str, Any]) -> dict[str, Any]:
    """A row for people: what is certain, and how large."""
    trend, season = (
        row[f"{name}_error"] if row[f"{name}_half_band"] is None else row[f"{name}_half_band"]
        for name in ("trend", "season")
    )
    shown = {
        "feature": row["feature"].removeprefix(f"{row['group']}="),
        "group": row["group"],
        "shows": row["kind"],
        "trend a year": f"{_signed(row['trend_per_year'])} ± {trend:.2f}",
        "season": f"{row['season']:.2f} ± {season:.2f}",
        "peak": row["peak_month"],
    }
    if row["year_over_year"] is not None:
        shown["year on year"] = _signed(row["year_over_year"])
    return shown


def _signed(value: float, certain: bool = False) -> str | None:
    return f"{value:+.2f}{'*' if certain else ''}" if value == value else None


def _notes(found: Trends, told: Seasons) -> list[str]:
    said = (
        "Response: the mean sensitivity of users, in units of the score, compared with the average item "
        "within exclusive groups; its changes mean something, its level does not."
    )
    said += f" {found.spread}"
    if found.spread.fits and len(found.events) <= WIDEST:
        said += " Spread: half of the widest band of a row. *: the band of that epoch leaves out 0."
    if found.spread.fits:
        said += f" They took {found.spread.seconds:.1f} s, {found.spread.iterations:,} iterations."
    if told.told:
        seasonal = (
            "Trend and season: a straight line and a yearly wave fitted together, ± the band of refits or, "
            "without refits, the standard error. "
            "A feature shows what noise would do in fewer than 5 of 100 cases and what is beyond the band of "
            "refits; of two, one twice as large. "
            "Year on year: the last twelve months minus the twelve before."
        )
    else:
        seasonal = f"Seasons are not told from trends: {told.why}."
    return [
        said,
        seasonal,
        "Influence (equation 8) is in --format csv, jsonl and json; compare it within one fit only.",
    ]
