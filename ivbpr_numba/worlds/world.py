"""The built-in world: a seeded generator of shoppers, items and purchases whose truth is known.

Model specification 12. Every number of it is a field of `WorldSize`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ivbpr_numba.errors import DataError, UsageError, did_you_mean
from ivbpr_numba.ids import Ids
from ivbpr_numba.store.atomic import os_problem, write_bytes
from ivbpr_numba.worlds.catalogue import AttributeTable, catalogue_csv, purchases_csv
from ivbpr_numba.worlds.changes import planted_changes
from ivbpr_numba.worlds.choosing import choose
from ivbpr_numba.worlds.truth import Truth, TruthVectors

__all__ = ["SIZES", "Purchases", "World", "WorldSize", "generate", "truth_vectors"]

_ITEMS_A_BLOCK = 65_536  # part of the generator's definition: another size gives other worlds
_GROUPS = (("garment", 12), ("material", 8), ("pattern", 6), ("colour", 12), ("fit", 5))


@dataclass(frozen=True)
class WorldSize:
    """Every constant of a world; times are fractions of the span unless said otherwise."""

    name: str
    users: int
    items: int
    epochs: int = 1
    groups: tuple[tuple[str, int], ...] = _GROUPS
    tags: int = 6
    frequency_concentration: float = 3.0  # Dirichlet law of the values within a group
    tag_low: float = 0.1
    tag_high: float = 0.4
    popularity_sd: float = 0.5
    late_share: float = 0.2
    late_span: float = 0.15  # late items appear uniformly over this last part
    taste_dimensions: int = 6
    taste_sd: float = 1.3  # tau
    common_style_sd: float = 0.2
    drift_sd: float = 0.0  # s_q
    latent_dimensions: int = 4
    user_latent_sd: float = 0.55
    item_latent_sd: float = 0.27
    kappa: float = 1.0
    min_purchases: int = 6
    max_purchases: int = 25
    season_amplitude: float = 0.4
    season_cycles: float = 3.0
    season_phase: float = 0.9
    cuts: tuple[float, ...] = ()  # between the epochs; where empty, jittered around equal parts
    cut_jitter: float = 0.08
    many_cuts_jitter: float = 0.24  # divided by the number of epochs where it exceeds 3
    exact_limit: float = 5e8  # purchases x items above which only drawn candidates compete
    candidates: int = 2000
    start: int = 1_672_531_200  # unix seconds: 2023-01-01
    seconds: int = 730 * 86_400
    seasonal: int = 0  # features whose common style follows the year
    trending: int = 0  # others whose common style rises or falls
    season_style: float = 0.8  # amplitude
    trend_style: float = 0.6  # a year


SIZES = {
    size.name: size
    for size in (
        WorldSize("tiny", 200, 300),
        WorldSize("demo", 2_000, 3_000),
        WorldSize("drift", 6_000, 3_000, epochs=3, taste_sd=1.0, drift_sd=0.8),
        WorldSize("no-drift", 6_000, 3_000, epochs=3),
        # 20 purchases a user: 360,000 training pairs after one test and one validation item each.
        WorldSize("S1", 20_000, 20_000, max_purchases=34),
        WorldSize("S2", 100_000, 300_000, max_purchases=24),
        # The size of the paper's women's clothing: nine groups with 200 values.
        WorldSize(
            *("paper", 400_000, 1_400_000),
            groups=(*_GROUPS, ("neckline", 20), ("sleeve", 15), ("style", 60), ("detail", 62)),
            tags=0,
            taste_sd=1.1,
            max_purchases=14,
        ),
        # Three years by months, with features of a season and features of a trend.
        WorldSize(
            *("seasons", 6_000, 3_000, 36),
            taste_sd=1.0,
            many_cuts_jitter=0.0,
            seconds=1_096 * 86_400,
            seasonal=8,
            trending=8,
        ),
        # A catalogue to learn attributes from: all values about equally frequent.
        WorldSize("photos", 2_000, 20_000, frequency_concentration=1e6, tag_low=0.3, tag_high=0.3),
    )
}


class Purchases(NamedTuple):
    """Purchases by user, in order of time: rows of users and items (int32) and unix seconds (int64)."""

    users: np.ndarray
    items: np.ndarray
    times: np.ndarray


@dataclass(frozen=True)
class World:
    """A generated world.

    Attributes
    ----------
    size : WorldSize
    seed : int
    purchases : Purchases
    truth : Truth
        Ids, attributes and the parameters behind the purchases.
    """

    size: WorldSize
    seed: int
    purchases: Purchases
    truth: Truth

    @property
    def users(self) -> Ids:
        """Ids of all users, whether they bought or not."""
        return self.truth.users

    @property
    def items(self) -> Ids:
        """Ids of the whole catalogue."""
        return self.truth.items

    @property
    def attributes(self) -> AttributeTable:
        """Attributes of the whole catalogue."""
        return self.truth.attributes

    def utility(self, user_rows: np.ndarray, epoch: int | None = None) -> np.ndarray:
        """Return x* of some users for all items, see `Truth.utility`."""
        return self.truth.utility(user_rows, epoch)

    def write(
        self, directory: str | os.PathLike[str], metrics: Mapping[str, float] | None = None
    ) -> dict[str, Path]:
        """Write ``purchases.csv``, ``catalogue.csv`` and ``truth.h5``; each appears only complete.

        Parameters
        ----------
        directory : path
            Made when missing; its parent must exist.
        metrics : mapping of str to float, optional
            Figures to keep under ``/metrics`` of the truth file, such as the truth AUC.

        Returns
        -------
        dict of str to Path
            ``purchases``, ``catalogue`` and ``truth``.
        """
        folder = Path(directory)
        try:
            folder.mkdir(exist_ok=True)
        except FileExistsError:
            raise UsageError(f"'{folder}' is a file.", "Name a folder.") from None
        except OSError as problem:
            raise os_problem(problem, folder) from problem
        paths = {
            "purchases": folder / "purchases.csv",
            "catalogue": folder / "catalogue.csv",
            "truth": folder / "truth.h5",
        }
        write_bytes(paths["purchases"], purchases_csv(self.users, self.items, self.purchases))
        write_bytes(paths["catalogue"], catalogue_csv(self.items, self.attributes))
        replace(self.truth, metrics=dict(metrics or {})).write(paths["truth"])
        return paths


def truth_vectors(
    world: World | Truth, user_ids: Iterable[object], item_ids: Iterable[object], with_time: bool
) -> TruthVectors:
    """Return the true utility of a dataset's users and items as a scorer, rows in the order of the ids.

    Parameters
    ----------
    world : World or Truth
    user_ids, item_ids : Ids, byte arrays or iterables of ids
    with_time : bool
        Whether the utility of each true epoch is kept, or averaged over epochs by purchases.

    Raises
    ------
    DataError
        When an id is not of this world.
    """
    truth = world.truth if isinstance(world, World) else world
    return truth.vectors(_known(truth.users, user_ids), _known(truth.items, item_ids), with_time)


def _known(ids: Ids, wanted: Iterable[object]) -> np.ndarray:
    values = wanted.values if isinstance(wanted, Ids) else wanted
    rows = ids.find(values)
    if (rows < 0).any():
        missing = int((rows < 0).sum())
        raise DataError(
            f"{missing} {ids.what} ids are not of this world.", "Use the truth of the same world."
        )
    return rows


def generate(
    size: str | WorldSize,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
    **overrides: Any,
) -> World:
    """Generate a world; the same size and seed give the same world, whatever the number of threads.

    Parameters
    ----------
    size : str or WorldSize
        A name of `SIZES`, or constants of your own.
    seed : int
    progress : callable, optional
        Called with (users done, users).
    **overrides
        Fields of `WorldSize` to replace.

    Raises
    ------
    UsageError
        For an unknown size or field, or numbers that cannot make a world.
    """
    size = _resolve(size, overrides)
    if not 0 <= seed < 2**64:
        raise UsageError(f"Seed {seed} is out of range.", "Use 0 to 2^64 - 1.")
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed)))
    attributes = _draw_attributes(rng, size)
    n_features = len(attributes.names)
    popularity = rng.normal(0, size.popularity_sd, size.items)
    release = _draw_release(rng, size)
    taste_map = rng.normal(0, size.taste_dimensions**-0.5, (size.taste_dimensions, n_features))
    common = rng.normal(0, size.common_style_sd, n_features)
    style = common + size.drift_sd * rng.normal(0, 1, (size.epochs, n_features))
    edges = _draw_edges(rng, size)
    style = style + planted_changes(size, seed).styles(edges)
    item_latent = rng.normal(0, size.item_latent_sd, (size.items, size.latent_dimensions))
    taste = rng.normal(0, size.taste_sd, (size.users, size.taste_dimensions))
    user_latent = rng.normal(0, size.user_latent_sd, (size.users, size.latent_dimensions))
    buyers, times = _draw_times(rng, size)
    volume = np.histogram(times, edges)[0].astype(np.int64)
    truth = Truth(
        users=_numbered("u", size.users, "user"),
        items=_numbered("p", size.items, "item"),
        attributes=attributes,
        taste=taste,
        taste_map=taste_map,
        style=style,
        user_latent=user_latent,
        item_latent=item_latent,
        popularity=popularity,
        release=release,
        epoch_edges=edges,
        volume=volume,
        config={**_described(size), "seed": seed},
        metrics={},
    )
    items = choose(truth, size, seed, buyers, times, progress)
    return World(size, seed, Purchases(buyers, items, times), truth)


def _resolve(size: str | WorldSize, overrides: Mapping[str, Any]) -> WorldSize:
    if isinstance(size, str):
        if size not in SIZES:
            raise UsageError(
                f"Unknown world '{size}'.", did_you_mean(size, SIZES) or f"Known: {', '.join(SIZES)}."
            )
        size = SIZES[size]
    known = [field.name for field in fields(WorldSize)]
    for name in overrides:
        if name not in known:
            raise UsageError(f"A world has no constant '{name}'.", did_you_mean(name, known))
    size = replace(size, **overrides)
    positive = ("users", "items", "epochs", "min_purchases", "candidates", "seconds", "taste_dimensions")
    for name in positive:
        if getattr(size, name) < 1:
            raise UsageError(
                f"World '{size.name}': {name} is {getattr(size, name)}.", "It must be at least 1."
            )
    if not size.groups or any(n < 1 for _, n in size.groups):
        raise UsageError(f"World '{size.name}' has an empty attribute group.", "Give every group a value.")
    if size.cuts and (
        len(size.cuts) != size.epochs - 1 or sorted({0.0, *size.cuts, 1.0}) != [0.0, *size.cuts, 1.0]
    ):
        raise UsageError(
            f"World '{size.name}': cuts {size.cuts} for {size.epochs} epochs.",
            "Give one ascending fraction of the span between each two epochs.",
        )
    if size.max_purchases < size.min_purchases:
        raise UsageError(f"World '{size.name}': max_purchases is below min_purchases.", "Swap them.")
    n_features = sum(n for _, n in size.groups) + size.tags
    if min(size.seasonal, size.trending) < 0 or size.seasonal + size.trending > n_features:
        raise UsageError(
            f"World '{size.name}': {size.seasonal} seasonal and {size.trending} trending features.",
            f"It has {n_features} features; each changes in one way at most.",
        )
    if n_features > np.iinfo(np.uint16).max:
        raise UsageError(f"World '{size.name}' has too many attributes.", "At most 65,535 values and tags.")
    return size


def _described(size: WorldSize) -> dict[str, Any]:
    """All constants; those of planted changes only where there are some: older files stay the same."""
    told = asdict(size)
    if not size.seasonal + size.trending:
        for name in ("seasonal", "trending", "season_style", "trend_style"):
            del told[name]
    return told


def _numbered(letter: str, n: int, what: str) -> Ids:
    """Ids of one width, so that byte order is row order; the letter keeps them from being read as numbers."""
    width = max(6, len(str(n - 1)))
    return Ids(np.array([f"{letter}{row:0{width}d}".encode() for row in range(n)]), what)


def _draw_attributes(rng: np.random.Generator, size: WorldSize) -> AttributeTable:
    frequencies = [rng.dirichlet(np.full(n, size.frequency_concentration)) for _, n in size.groups]
    tag_probability = rng.uniform(size.tag_low, size.tag_high, size.tags)
    offsets = np.cumsum([0, *(n for _, n in size.groups)])
    counts, columns = [np.zeros(1, dtype=np.int64)], []
    for start in range(0, size.items, _ITEMS_A_BLOCK):
        n = min(_ITEMS_A_BLOCK, size.items - start)
        present = np.zeros((n, offsets[-1] + size.tags), dtype=bool)
        for offset, frequency in zip(offsets, frequencies):
            chosen = np.searchsorted(np.cumsum(frequency)[:-1], rng.random(n), side="right")
            present[np.arange(n), offset + chosen] = True
        present[:, offsets[-1] :] = rng.random((n, size.tags)) < tag_probability
        counts.append(present.sum(axis=1, dtype=np.int64))
        columns.append(np.nonzero(present)[1].astype(np.uint16))
    return AttributeTable(size.groups, size.tags, np.cumsum(np.concatenate(counts)), np.concatenate(columns))


def _draw_release(rng: np.random.Generator, size: WorldSize) -> np.ndarray:
    """Second of release: the start, or for exactly the late share a time in the last part of the span."""
    late = rng.permutation(size.items)[: round(size.late_share * size.items)]
    if size.items - len(late) <= size.max_purchases:
        raise UsageError(
            f"World '{size.name}': {size.items - len(late)} items on sale from the start are too few for "
            f"{size.max_purchases} different purchases.",
            "Give it more items or fewer purchases.",
        )
    release = np.full(size.items, size.start, dtype=np.int64)
    release[late] += ((1 - size.late_span * rng.random(len(late))) * size.seconds).astype(np.int64)
    return release


def _draw_edges(rng: np.random.Generator, size: WorldSize) -> np.ndarray:
    """Edges (N + 1) of the true epochs: start, the jittered cuts, end of the span."""
    n = size.epochs
    jitter = size.cut_jitter if n <= 3 else size.many_cuts_jitter / n
    cuts = np.arange(1, n) / n + rng.uniform(-jitter, jitter, n - 1)
    if size.cuts:
        cuts = np.array(size.cuts)
    inside = size.start + (cuts * size.seconds).astype(np.int64)
    return np.array([size.start, *inside, size.start + size.seconds], dtype=np.int64)


def _draw_times(rng: np.random.Generator, size: WorldSize) -> tuple[np.ndarray, np.ndarray]:
    """Return the buyer (int32) and second (int64) of every purchase, by user and then time."""
    counts = rng.integers(size.min_purchases, size.max_purchases + 1, size.users)
    buyers = np.repeat(np.arange(size.users, dtype=np.int32), counts)
    # Density 1 + amplitude cos(2π(cycles g − phase)) over g in [0, 1], by inverting its integral on a grid.
    grid = np.linspace(0, 1, 100_001)
    angular = 2 * np.pi * size.season_cycles
    wave = np.sin(angular * grid - 2 * np.pi * size.season_phase)
    integral = grid + size.season_amplitude / angular * (wave - wave[0])
    position = np.interp(rng.random(len(buyers)) * integral[-1], integral, grid)
    times = size.start + np.minimum((position * size.seconds).astype(np.int64), size.seconds - 1)
    return buyers, times[np.lexsort((times, buyers))]
