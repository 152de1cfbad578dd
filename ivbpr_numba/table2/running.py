"""``table2``: checks what is asked, has the cells made, and puts the table together."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ivbpr_numba import backends, expected
from ivbpr_numba.distributed import crew_of
from ivbpr_numba.errors import UsageError, did_you_mean, parameter
from ivbpr_numba.events import Observer
from ivbpr_numba.models.registry import create
from ivbpr_numba.processes import Crew, Processes, process_count
from ivbpr_numba.questions.protocol import Protocol, check_protocol
from ivbpr_numba.ranking import COLD_BELOW
from ivbpr_numba.store.atomic import Lock, PathLike, lock
from ivbpr_numba.store.files import check_target
from ivbpr_numba.table2.cells import Cell, Found, Workshop
from ivbpr_numba.table2.columns import COLUMNS, choose_columns, learns
from ivbpr_numba.table2.corpus import Corpus, Given
from ivbpr_numba.table2.file import FORMAT
from ivbpr_numba.table2.making import in_order, make
from ivbpr_numba.table2.parts import Parts, parts_path
from ivbpr_numba.table2.questions import Questions
from ivbpr_numba.table2.subsets import Subset, choose_subsets, varies
from ivbpr_numba.table2.table import Table

if TYPE_CHECKING:
    from ivbpr_numba.datasets.dataset import Dataset
    from ivbpr_numba.features.features import Features

__all__ = ["table2"]

MIN_USERS, MIN_INTERACTIONS = 100, 5
RESERVED = ("seed", "threads")  # options that a table sets itself


def table2(
    data: Dataset | PathLike,
    *,
    attributes: Features | PathLike | None = None,
    dense: Features | PathLike | None = None,
    models: Sequence[str] | None = None,
    by: str | None = None,
    category: Sequence[str] = (),
    runs: int = 3,
    tune: int | None = None,
    options: Mapping[str, Any] | None = None,
    min_users: int = MIN_USERS,
    min_interactions: int = MIN_INTERACTIONS,
    cold_below: int = COLD_BELOW,
    ties: str = "strict",
    seed: int = 0,
    processes: int | None = None,
    client: Any = None,
    out: PathLike | None = None,
    overwrite: bool = False,
    observers: Observer | Sequence[Observer] = (),
) -> Table:
    """The paper's table 2 on these data: every model, All Items, Cold Start and stratified, with errors.

    Parameters
    ----------
    data : Dataset or path
    attributes, dense : Features or path, optional
        Of the kind that their name says; columns whose features are not given are left out.
    models : sequence of str, optional
        The columns: ``rand pop mm-mf bpr-mf vbpr i-vbpr tvbpr i-tvbpr cosine``; all where not given.
    by : str, optional
        An item column: each of its values is a corpus of its own, below that of all items.
    category : sequence of str
        The same for categories of Amazon's metadata: ``clothing women men girls boys baby``.
    runs : int
        How often: the first with the data's own split and `seed`, each further one with seeds larger by one.
    tune : int, optional
        Trials of tuning, by validation alone, before each fit; without it the models' defaults.
    options : mapping, optional
        Options of the models; each takes those that it has.
    min_users, min_interactions : int
        A sub-corpus with fewer users, each with so many different items in it, is left out.
    cold_below, ties
        As for `auc`.
    seed : int
        Of the first run's fits, and of the resamples.
    processes : int, optional
        Cells worked at side by side; one a core where not given. The figures don't depend on it.
    client : distributed.Client, optional
        Of a Dask cluster whose workers make the cells instead (extra ``dask``); the figures are the same.
    out : path, optional
        The file to write. Finished cells are kept in the folder ``OUT.partial``; the same call goes on from
        there. A finished table of the same question is read, not made again.
    overwrite : bool
        Throw away finished cells, and replace the table of another question.
    observers : sequence of callables, or one
        Each is told ``{"event": "table2", "columns", "subsets", "runs", "total"}`` first, then ``{"event":
        "cell", "subset", "run", "model", "auc", "seconds", "done", "total"}`` of each finished cell, and
        between them the events of the fits with their ``cell``.

    Returns
    -------
    Table

    Raises
    ------
    UsageError
        Options that are wrong or contradict; cells or a table of another question; a fit that diverges.
    DataError
        Features that lack an item; nobody is left.
    EnvironmentProblem
        The disk is full, a process was killed.
    Interrupted
        After SIGINT or SIGTERM; with `out` finished cells are kept.

    Examples
    --------
    >>> from ivbpr_numba.table2 import table2
    >>> table = table2("dataset.h5", attributes="attributes.h5", out="table.h5")  # doctest: +SKIP
    >>> table.to_frame().pivot(index="model", columns="setting", values="auc")  # doctest: +SKIP
    """
    begun = time.perf_counter()
    category = expected.names("category", category)
    check_protocol("test", ties, cold_below)
    for name, value, least in (
        ("runs", runs, 1),
        ("min_users", min_users, 2),
        ("min_interactions", min_interactions, 3),
        ("seed", seed, 0),
    ):
        expected.whole(name, value, least)
    if tune is not None:
        expected.whole("tune", tune, 1)
    if out is not None:
        check_target(out, FORMAT)
    given = Given.of(data, attributes, dense)
    columns, left_out = choose_columns(models, given.data, *given.features)
    _check_options(options or {})
    subsets, too_small = choose_subsets(given.data, by, category, min_users, min_interactions)
    corpus = Corpus(given, subsets, min_interactions)
    asked = {
        "models": list(columns),
        "runs": runs,
        "tune": tune,
        "seed": seed,
        "by": by,
        "category": list(category),
        "min_users": min_users,
        "min_interactions": min_interactions,
        "ties": ties,
        "cold_below": cold_below,
        "options": dict(options or {}),
        "varies": varies(given.data),
        "inputs": {one.role: one.value.payload_sha256 for one in given.inputs},
    }
    told = [observers] if callable(observers) else list(observers)
    cells = in_order(corpus, columns, runs, options or {})
    device = (options or {}).get("device") or "cpu"
    backends.check_device(device)
    if device == "cuda":  # told now, not by the first cell; one at a time has the device's memory
        backends.choose_device(device)
        processes = processes or 1
    if client is None:
        crew: Crew = Processes(process_count(processes, len(cells)))
    else:  # workers read what has a file by themselves
        crew = crew_of(client, [one.path for one in given.inputs if one.path is not None])
    with _place(out, asked, overwrite) as place:
        if place.finished is not None:
            return place.finished
        threads = crew.threads
        folder = place.folder
        tunings = folder if client is None else None  # a worker may be where there is no such folder
        shop = Workshop(corpus, options or {}, tune, seed, ties, threads, tunings)
        found = dict(place.parts.done(cells)) if place.parts is not None else {}
        make(shop, cells, found, crew, told, place.keep)
        table = Table(
            asked,
            _sizes(corpus),
            {"columns": left_out, "subsets": too_small},
            [one.facts(out) for one in given.inputs],
            {key: _questions(corpus, key) for key in sorted({(c.subset, c.run) for c in cells})},
            {cell: found[cell] for cell in sorted(cells, key=partial(_reading_order, columns))},
            provenance=_provenance(crew.size, threads, time.perf_counter() - begun, found),
        )
        table.judge()
        if out is not None:
            table.save(out, place.keep_lock)
            assert place.parts is not None
            place.parts.remove()
    return table


@dataclasses.dataclass
class _Place:
    """Where finished cells go; or the table that is finished already."""

    folder: Path
    parts: Parts | None = None
    keep_lock: Lock | None = None
    finished: Table | None = None

    @property
    def keep(self) -> Callable[[Cell, Found], None] | None:
        """What to do with a finished cell; None where nothing is kept."""
        if self.parts is None or self.keep_lock is None:
            return None
        return partial(self.parts.keep, keep_lock=self.keep_lock)


@contextmanager
def _place(out: PathLike | None, asked: Mapping[str, Any], overwrite: bool) -> Iterator[_Place]:
    with ExitStack() as stack:
        if out is None:
            yield _Place(Path(stack.enter_context(tempfile.TemporaryDirectory())))
            return
        keep_lock = stack.enter_context(lock(out))
        target = keep_lock.path
        if target.exists() and target.stat().st_size and not overwrite:
            earlier = Table.read(target)
            different = sorted(name for name in asked if earlier.asked.get(name) != asked[name])
            if different and not Parts.are_there(target, asked):
                names = ", ".join(name.replace("_", " ") for name in different)
                raise UsageError(
                    f"'{out}' is the table of another question; different: {names}.",
                    f"Name another file, or replace it with {parameter('overwrite', True)}.",
                )
            if not different:
                yield _Place(parts_path(target), finished=earlier)
                return
        parts = Parts(target, asked, overwrite)
        yield _Place(parts.folder, parts, keep_lock)


def _check_options(options: Mapping[str, Any]) -> None:
    """Refuse options that no model has, or that the table sets itself."""
    known: dict[str, None] = {}
    for column in filter(learns, COLUMNS):
        known.update(dict.fromkeys(create(column).option_names()))
    for name in options:
        if name in RESERVED:
            raise UsageError(
                f"The table sets the option '{name}' itself.", f"Leave it out of {parameter('options')}."
            )
        if name not in known:
            raise UsageError(f"No model has the option '{name}'.", did_you_mean(name, known))


def _reading_order(columns: Sequence[str], cell: Cell) -> tuple[int, int, int]:
    return cell.subset, cell.run, columns.index(cell.model)


def _questions(corpus: Corpus, key: tuple[int, int]) -> Questions:
    return Questions.of(Protocol.of(corpus.data(*key)))


def _sizes(corpus: Corpus) -> list[dict[str, Any]]:
    """The corpora with their sizes, those of the first run."""

    def row(number: int, subset: Subset) -> dict[str, Any]:
        data = corpus.data(number, 0)
        sizes = {"users": len(data.users), "items": len(data.items), "train": len(data.train)}
        return {**subset.as_dict(), **sizes}

    return [row(number, subset) for number, subset in enumerate(corpus.subsets)]


def _provenance(processes: int, threads: int, wall: float, found: Mapping[Cell, Found]) -> dict[str, Any]:
    versions = {name: metadata.version(name) for name in ("ivbpr", "numpy", "numba")}
    computing = sum(sum(one.seconds.values()) for one in found.values())
    return {
        **versions,
        "processes": processes,
        "threads": threads,
        "seconds": round(wall, 3),
        "computing_seconds": round(computing, 3),
    }
