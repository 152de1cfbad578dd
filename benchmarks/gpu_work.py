"""The work that `gpu.py` compares and times: kernels beside the CPU's, and what they cost at least."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.gpu_inputs import (
    FACTORS,
    RATES,
    SIZES_OF_FACTORS,
    Size,
    World,
    arrays_of,
    copied,
    on,
)
from ivbpr_numba import backends
from ivbpr_numba.kernels import arguments
from ivbpr_numba.kernels.arguments import TILE
from ivbpr_numba.kernels.cuda import target
from ivbpr_numba.kernels.cuda.schedule import SEGMENT, even_cuts, plan_levels
from ivbpr_numba.kernels.cuda.target import SIMULATOR, Shape, cuda, fma, kernel
from ivbpr_numba.models.learners import FactorLearner
from ivbpr_numba.models.presets import resolve

SEED = np.uint64(7)
BEST = 10
MARGIN = np.float32(-1)
SHAPES = (Shape(1, 32), Shape(2, 64)) if SIMULATOR else (Shape(64, 128), Shape(100, 256))
ROW = 64.0  # bytes of a packed row
LAWS = ("uniform", "trained", "popularity")
GOALS = {"BPR-MF": 8.0, "VBPR": 30.0}  # milliseconds of an iteration at size S2 on an H100


def gpu() -> backends.Kernels:
    return backends.Kernels("cuda")


# --- what the machine allows


@kernel("void(f4[::1], f4[::1])")
def copy_numbers(source, to):
    """to[n] = source[n]."""
    for n in range(cuda.grid(1), to.shape[0], cuda.gridsize(1)):
        to[n] = source[n]


@kernel("void(f4[::1], i8)")
def multiply_add(out, turns):
    """Eight chains of multiply–adds in registers for each thread."""
    a = np.float32(cuda.threadIdx.x)
    s0, s1, s2, s3, s4, s5, s6, s7 = a, a, a, a, a, a, a, a
    b = np.float32(0.5)
    for _ in range(turns):
        s0, s1, s2, s3 = fma(s0, b, a), fma(s1, b, a), fma(s2, b, a), fma(s3, b, a)
        s4, s5, s6, s7 = fma(s4, b, a), fma(s5, b, a), fma(s6, b, a), fma(s7, b, a)
    out[cuda.grid(1)] = s0 + s1 + s2 + s3 + s4 + s5 + s6 + s7


def bandwidth(tiny: bool) -> tuple[float, Callable[[], Any]]:
    """Bytes read and written, and how to."""
    n = 100 if tiny else 1 << 28
    source, to = cuda.device_array(n, np.float32), cuda.device_array(n, np.float32)
    shape = Shape(1, 32) if tiny else Shape(target.multiprocessors() * 8, 512)
    return 8.0 * n, lambda: copy_numbers(shape, source, to)


def multiply_rate(tiny: bool) -> tuple[float, Callable[[], Any]]:
    """Multiply–adds, and how to."""
    blocks, threads, turns = (1, 16, 4) if tiny else (target.multiprocessors() * 4, 512, 1 << 14)
    out = cuda.device_array(blocks * threads, np.float32)
    return 8.0 * blocks * threads * turns, lambda: multiply_add(Shape(blocks, threads), out, turns)


# --- the same on both


def visits(world: World, kernels: backends.Kernels, to: Callable[[Any], Any]) -> arguments.Visits:
    """Users in order and their draws, by the kernels of a device."""
    order, draws = to(np.empty(len(world.eligible), np.int64)), to(np.zeros(world.size.users, np.int64))
    offsets, eligible = to(np.empty(len(world.eligible) + 1, np.int64)), to(world.eligible)
    kernels.user_order(SEED, 1, eligible, order)
    kernels.count_draws(SEED, 1, eligible, world.n_draws, draws)
    kernels.place_draws(order, draws, offsets)
    return arguments.Visits(order, offsets)


def draw(world: World, law: str, kernels: backends.Kernels, to: Callable[[Any], Any]) -> tuple[Any, Any]:
    """Triples and the pairs that they are of."""
    own = world.law(law)
    laws = arguments.NegativeLaw(own.code, to(own.trained), to(own.counts))
    out = to(arguments.Triples(*np.zeros((3, world.n_draws), np.int32)))
    pairs = to(np.zeros(world.n_draws, np.int32))
    kernels.draw_triples(SEED, 1, visits(world, kernels, to), to(world.pairs), laws, out, pairs)
    return out, pairs


def host(value: Any) -> Any:
    return copied(value)


def equal(what: str, found: Any, expected: Any) -> dict[str, Any]:
    """Whether all arrays have the same bits."""
    pairs = list(zip(arrays_of(found), arrays_of(expected), strict=True))
    return {"what": what, "held": bool(pairs) and all(a.tobytes() == b.tobytes() for a, b in pairs)}


def near(what: str, found: Any, expected: Any, most: float) -> dict[str, Any]:
    """The largest difference of a table's numbers, in relation to its largest number."""
    worst = 0.0
    for a, b in zip(arrays_of(found), arrays_of(expected), strict=True):
        if b.dtype.kind == "f" and b.size:
            scale = max(float(np.abs(b).max()), 1e-30)
            worst = max(worst, float(np.abs(a.astype(np.float64) - b).max()) / scale)
    return {"what": what, "difference": worst, "held": worst <= most}


# Gives the arrays that an iteration moves, and the iteration, which takes the shape of a launch.
Prepared = tuple[tuple[Any, ...], Callable[..., Any]]
Prepare = Callable[[backends.Kernels, Any, Callable[[Any], Any]], Prepared]


def epochs_of(world: World) -> dict[str, Prepare]:
    """Of each trained kind: an iteration over given triples, by the kernels and on the arrays of a device."""

    def factor(kernels, triples, to):
        tables = to(world.factor_tables())
        given = (triples, tables, FACTORS, MARGIN, RATES, 1)
        return tables, lambda **more: kernels.factor_epoch(*given, **more)

    def visual(kernels, triples, to, dense):
        stored, embedding = (to(part) for part in (world.dense() if dense else world.sparse()))
        tables = to(world.visual_tables())
        epoch = kernels.visual_epoch if dense else kernels.sparse_epoch
        given = (triples, world.size.block, stored, tables, embedding, SIZES_OF_FACTORS, RATES)
        return (*tables, *embedding), lambda **more: epoch(*given, *threads(kernels, dense), **more)

    def in_time(kernels, triples, to, dense):
        stored, embedding = world.dense() if dense else world.sparse()
        epochs = to(world.epochs(embedding))
        stored, embedding, tables = to(stored), to(embedding), to(world.visual_tables())
        n, n_epochs, block = world.n_draws, world.size.epochs, world.size.block
        of_triples = to((np.arange(n) * 7 % n_epochs).astype(np.int16))
        planned = to(arguments.Triples(*np.zeros((3, n), np.int32)))
        most = n // block + (n // (arguments.RUN_BLOCKS * block) + 1) * n_epochs + 1
        starts, block_epochs = to(np.zeros(most + 1, np.int64)), to(np.zeros(most, np.int64))
        count = kernels.plan_blocks(of_triples, n_epochs, block, triples, planned, starts, block_epochs)
        plan = arguments.BlockPlan(starts[: count + 1], block_epochs[:count])
        nothing = np.empty((0, 0), np.float32)
        drift = to(arguments.Drift(nothing, nothing, np.full(world.size.items, -1)))
        epoch = kernels.temporal_epoch if dense else kernels.sparse_temporal_epoch
        given = (
            planned, plan, min(block, n), stored, tables, embedding, epochs, SIZES_OF_FACTORS, RATES, drift
        )  # fmt: skip
        moved = (*tables, *embedding, *epochs)
        return moved, lambda **more: epoch(*given, *threads(kernels, dense), **more)

    def threads(kernels, dense):
        return (1,) if dense and kernels.device == "cpu" else ()

    return {
        "BPR-MF": factor,
        "VBPR": lambda *given: visual(*given, True),
        "I-VBPR": lambda *given: visual(*given, False),
        "TVBPR": lambda *given: in_time(*given, True),
        "I-TVBPR": lambda *given: in_time(*given, False),
    }


def moved_by(world: World, name: str, device: str, triples: Any, **more: Any) -> tuple[Any, ...]:
    """What an iteration of one kind makes of its tables, which are the same for every device."""
    kernels, to = (gpu(), on) if device == "cuda" else (backends.kernels(), host)
    moved, run = epochs_of(fresh(world))[name](kernels, to(triples), to)
    with backends.threads(1):
        run(**more)
    return moved


def fresh(world: World) -> World:
    """The same world, whose next numbers are drawn from the start."""
    return World(world.size, world.seed)


def parity(world: World, most: float) -> Iterator[dict[str, Any]]:
    """Every kind of work on the device beside the CPU's."""
    for law in LAWS:
        yield equal(
            f"triples, {law}", draw(world, law, gpu(), on), draw(world, law, backends.kernels(), host)
        )
    ranked = world.ranked(ties=True)
    less, sizes = rank(ranked, gpu(), on), rank(ranked, backends.kernels(), host)
    yield equal("counts, ties planted", less[0], sizes[0])
    yield equal("best items", less[1], sizes[1])
    triples, _ = draw(world, "trained", backends.kernels(), host)
    for name in epochs_of(world):
        found, expected = (moved_by(world, name, device, triples) for device in ("cuda", "cpu"))
        yield near(f"an iteration of {name}", found, expected, most)
    stored, embedding = world.dense()
    offsets = np.zeros(len(embedding.values), np.float32)
    given = (stored.matrix, stored.rows, embedding.scaled, offsets)
    found, expected = (
        np.empty((world.size.items, len(offsets)), np.float32),
        np.empty((world.size.items, len(offsets)), np.float32),
    )
    found = on(found)
    gpu().project_items(*(on(part) for part in given), found)
    backends.kernels().project_items(*given, expected)
    yield near("projection", found, expected, most)
    yield {"what": "kernels launched with the types of their gates", "held": not ungated(), "but": ungated()}


def ungated() -> list[str]:
    """Kernels that were compiled here for types which their declaration does not name."""
    if SIMULATOR:
        return []
    normalize = importlib.import_module("numba.cuda.core.sigutils").normalize_signature
    found = []
    for name, made in target.KERNELS.items():
        known = {str(normalize(signature)[0]) for signature in made.signatures}
        found += [f"{name}{types}" for types in made.compiled.overloads if str(types) not in known]
    return found


def rank(ranked: dict[str, Any], kernels: backends.Kernels, to: Callable[[Any], Any]) -> tuple[Any, Any]:
    """Counts and best items of all users."""
    r = {name: to(value) for name, value in ranked.items()}
    n, length = ranked["users"].shape
    by_class = to(np.empty((len(ranked["by_class"]) // TILE, length + 1, TILE), np.float32))
    in_order = to(np.empty((len(ranked["in_order"]) // TILE, length + 1, TILE), np.float32))
    kernels.fill_tiles(r["vectors"], r["bias"], r["by_class"], by_class)
    kernels.fill_tiles(r["vectors"], r["bias"], r["in_order"], in_order)
    counts = to(np.zeros((n, 3), np.int64)), to(np.zeros((n, 3), np.int64))
    kernels.count_ranks(
        r["users"],
        r["vectors"],
        r["bias"],
        r["classes"],
        by_class,
        r["class_begin"],
        r["indptr"],
        r["own"],
        *counts,
    )
    best = to(np.zeros((n, BEST), np.float32)), to(np.zeros((n, BEST), np.int32)), to(np.zeros(n, np.int64))
    allowed = to(np.ones(len(ranked["in_order"]), bool))
    if kernels.device == "cpu":
        allowed = allowed[: len(ranked["bias"])]
    kernels.top_items(r["users"], in_order, r["indptr"], r["own"], allowed, *best)
    return counts, best


def same_bits(world: World) -> Iterator[dict[str, Any]]:
    """Two runs and two shapes of a launch."""
    triples, _ = draw(world, "trained", backends.kernels(), host)
    for name in epochs_of(world):
        runs = [moved_by(world, name, "cuda", triples) for _ in range(2)]
        yield equal(f"two runs of {name}", runs[0], runs[1])
        for shape in SHAPES:
            again = moved_by(world, name, "cuda", triples, shape=shape)
            yield equal(f"{name} with {shape.blocks} × {shape.threads} threads", again, runs[0])


# --- what is timed


@dataclass(frozen=True)
class Work:
    """A piece of work, what it moves and multiplies at least, and the milliseconds that are its goal."""

    name: str
    run: Callable[[], Any]
    bytes: float = 0.0
    multiply_adds: float = 0.0
    goal: float | None = None


def launches(run: Callable[[], Any]) -> int:
    """Kernels that a run launches."""
    count, before = 0, target.Kernel.__call__

    def counting(self: Any, *given: Any) -> None:
        nonlocal count
        count += 1
        before(self, *given)

    target.Kernel.__call__ = counting  # type: ignore[method-assign]
    try:
        run()
    finally:
        target.Kernel.__call__ = before  # type: ignore[method-assign]
    return count


def needs(size: Size, name: str) -> tuple[float, float]:
    """Bytes that a triple of a kind reads and writes at least, and its multiply-adds by E and β."""
    # Of both items; an epoch's table adds nothing that belongs to a triple.
    values = {"VBPR": 2.0 * size.columns, "I-VBPR": 2.0 * size.groups}.get(name.replace("TVBPR", "VBPR"), 0.0)
    products = values / 2 if name in ("VBPR", "TVBPR") else values
    return 2 * values + (6 if name == "BPR-MF" else 8) * ROW, 2 * products * (FACTORS + 1)


def timed(world: World) -> Iterator[Work]:
    """Everything at one size; what it needs is made as it is asked for."""
    kernels, size, n = gpu(), world.size, world.n_draws
    yield Work("draw", drawing(world), 12.0 * n)
    triples = on(draw(world, "trained", backends.kernels(), host)[0])
    cuts = on(even_cuts(n, SEGMENT))
    yield Work("schedule", lambda: plan_levels(triples, size.users, size.items, cuts), 12.0 * n)
    for name, prepare in epochs_of(fresh(world)).items():
        moved, multiplied = needs(size, name)
        yield Work(name, prepare(kernels, triples, on)[1], moved * n, multiplied * n, GOALS.get(name))
    moved = needs(size, "BPR-MF")[0] + 12.0
    yield Work("BPR-MF, an iteration of a fit", iterating(world), moved * n, goal=GOALS["BPR-MF"])
    ranked = world.ranked(ties=False)
    pairs = float(len(ranked["users"])) * size.items * 2 * FACTORS
    run_auc, run_best = ranking_runs(ranked, kernels)
    yield Work("AUC of all users", run_auc, 0.0, pairs)
    yield Work(f"best {BEST} of all users", run_best, 0.0, pairs)
    stored, embedding = (on(part) for part in world.dense())
    offsets, out = on(np.zeros(12, np.float32)), on(np.empty((size.items, 12), np.float32))
    project = (stored.matrix, stored.rows, embedding.scaled, offsets, out)
    yield Work(
        "projection",
        lambda: kernels.project_items(*project),
        2.0 * size.items * size.columns,
        12.0 * size.items * size.columns,
    )


def iterating(world: World) -> Callable[[], Any]:
    """Iterations of BPR-MF one after the other, as a fit makes them: draws, schedule and steps."""
    options = {**resolve("bpr-mf", None, {"factors": FACTORS, "lambda_theta": 0.1}), "seed": int(SEED)}
    learner = FactorLearner(options, *world.pairs, world.size.items, backends.kernels("cuda"))
    learner.place()
    numbers = itertools.count(1)
    return lambda: learner.iterate(next(numbers))


def drawing(world: World) -> Callable[[], Any]:
    """An iteration's drawing, its inputs on the device already."""
    kernels, own = gpu(), world.law("trained")
    law = arguments.NegativeLaw(own.code, on(own.trained), on(own.counts))
    eligible, pairs = on(world.eligible), on(world.pairs)
    order, draws = on(np.empty(len(world.eligible), np.int64)), on(np.zeros(world.size.users, np.int64))
    offsets = on(np.empty(len(world.eligible) + 1, np.int64))
    out = on(arguments.Triples(*np.zeros((3, world.n_draws), np.int32)))
    nothing = on(np.empty(0, np.int32))

    def run() -> None:
        kernels.user_order(SEED, 1, eligible, order)
        kernels.count_draws(SEED, 1, eligible, world.n_draws, draws)
        kernels.place_draws(order, draws, offsets)
        kernels.draw_triples(SEED, 1, arguments.Visits(order, offsets), pairs, law, out, nothing)

    return run


def ranking_runs(
    ranked: dict[str, Any], kernels: backends.Kernels
) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """Counting and choosing, everything on the device already."""
    r = {name: on(value) for name, value in ranked.items()}
    n, length = ranked["users"].shape
    tiles = {}
    for name in ("by_class", "in_order"):
        tiles[name] = on(np.empty((len(ranked[name]) // TILE, length + 1, TILE), np.float32))
        kernels.fill_tiles(r["vectors"], r["bias"], r[name], tiles[name])
    counts = on(np.zeros((n, 3), np.int64)), on(np.zeros((n, 3), np.int64))
    best = on(np.zeros((n, BEST), np.float32)), on(np.zeros((n, BEST), np.int32)), on(np.zeros(n, np.int64))
    allowed = on(np.ones(len(ranked["in_order"]), bool))
    return (
        lambda: kernels.count_ranks(
            r["users"], r["vectors"], r["bias"], r["classes"], tiles["by_class"], r["class_begin"],
            r["indptr"], r["own"], *counts,
        ),
        lambda: kernels.top_items(r["users"], tiles["in_order"], r["indptr"], r["own"], allowed, *best),
    )  # fmt: skip
