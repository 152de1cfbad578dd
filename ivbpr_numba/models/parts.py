"""A fit in parts: every part of the users learns an iteration by itself, then what they changed is joined.

Users are dealt to N parts. A part has the rows of its own users, which nobody else needs, and a copy of the
item side (γ_i, β_i, E, β and what is there in time); in an iteration it applies the triples of its users to
both. Then the parts stand at N different item sides, and one rule joins them (`joining`). All of it is a
function of the seed and of N: where the parts are computed, in which order, and how often after a loss, does
not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from ivbpr_numba.arrays import aligned
from ivbpr_numba.dataflow import Flow, Lost
from ivbpr_numba.errors import UsageError, parameter
from ivbpr_numba.kernels.scalar.random import PART, mix64
from ivbpr_numba.models.joining import Changes, changes_of, joined
from ivbpr_numba.models.learners import Iteration, Sampled, Tables
from ivbpr_numba.models.start import Start
from ivbpr_numba.models.training import TrainingState, average
from ivbpr_numba.parameters import Parameters
from ivbpr_numba.ranking import Scorer

__all__ = ["Parts", "deal", "part_seed"]

USER_TABLES = ("users", "visual")  # a row for each user
BLOCK = 8 << 20  # bytes of item rows that are joined in one place
AGAIN = 8  # times that an iteration is begun anew because something of it was lost

State = tuple[Tables, Tables]  # raw and averaged tables; the latter empty where nothing is averaged


def part_seed(seed: int, part: int) -> int:
    """The seed of a part's triples."""
    return mix64(seed, PART, part) >> 1


def deal(eligible: np.ndarray, n_users: int, parts: int) -> list[np.ndarray]:
    """Users of each part, ascending: those who have triples are dealt out one by one, then the others.

    Raises
    ------
    UsageError
        More parts than users who have triples.
    """
    if parts > len(eligible):
        raise UsageError(
            f"{parameter('parts', parts)} for {len(eligible):,} users who can be learned from.",
            "Every part needs one of them.",
        )
    others = np.setdiff1d(np.arange(n_users), eligible)
    return [np.sort(np.concatenate([eligible[p::parts], others[p::parts]])) for p in range(parts)]


@dataclass
class _Held:
    """What the flow holds between two iterations: learners, what they share, states of users and of items."""

    learners: list[Any]
    common: Any
    own: list[Any]
    blocks: list[Any]


class Parts:
    """A learner whose users are dealt to parts.

    Parameters
    ----------
    whole : Sampled
        Of all users. Its tables are those of the fit, as they were at the last `bring`.
    size : int
        N.
    flow : Flow
        Where the parts learn.
    """

    def __init__(self, whole: Sampled, size: int, flow: Flow) -> None:
        self.whole, self.kernels, self.flow = whole, whole.kernels, flow
        self.users = deal(whole.sampler.eligible, len(whole.sampler.sizes), size)
        items = whole.tables["items"]
        blocks = max(1, min(size, -(-items.nbytes // BLOCK)))
        self.bounds = [len(items) * b // blocks for b in range(blocks + 1)]
        self.decay = whole.options["average"]
        self.bytes_a_round = 0
        self._held: _Held | None = None
        self._known = self._at = 0  # iterations of the tables here, and of what the flow holds
        self._state: TrainingState | None = None

    @property
    def tables(self) -> Tables:
        """Those of the whole."""
        return self.whole.tables

    def begin(self, start: Start) -> None:
        """Take over what `start` knows."""
        self.whole.begin(start)

    def place(self) -> None:
        """Nothing is moved: parts are learned on the CPU."""

    def attach(self, state: TrainingState) -> bool:
        """Go on from a state, which asks for its tables when it needs them; True: they are averaged here."""
        self._state, self._known = state, state.iteration
        self._at = state.iteration
        state.bring = self.bring
        return True

    def compile(self) -> None:
        """Compile what `iterate` needs."""
        first = self._learner(0)
        first.__dict__.update(self._common())
        first.tables = {**self._own(0, self.tables), **self._shared(self.tables)}
        first.compile()

    def iterate(self, iteration: int) -> Iteration:
        """One iteration of every part, joined; then epochs are cut where it is time."""
        done = self._safely(lambda: self._advance(iteration))
        self.settle(iteration, [self], lambda: self.parameters(self._brought().tables))
        return done

    def settle(self, iteration: int, members: Sequence[Any], joined: Callable[[], Any]) -> None:
        """As the whole; the parts are told where epochs end now."""
        before = self.tables["ends"].copy() if "ends" in self.tables else None
        self.whole.settle(iteration, members, joined)
        if before is not None and not np.array_equal(before, self.tables["ends"]):
            assert self._state is not None and self._held is not None
            if self._state.averaged:
                self._state.averaged["ends"][...] = self.tables["ends"]
            first = self.flow.call(_with_ends, self._held.blocks[0], self.tables["ends"].copy())
            self._held = replace(self._held, blocks=[first, *self._held.blocks[1:]])

    def bring(self) -> None:
        """Fetch the tables, and their averages, of the last iteration."""
        if self._known == self._at:
            return
        own, blocks = self._safely(self._fetch)
        state = self._state
        assert state is not None
        self._assemble(self.tables, [raw for raw, _ in own], [raw for raw, _ in blocks])
        if self.decay:
            into = state.averaged
            if not into or state.best is into:  # what was kept as the best stays as it is
                into, state.spare = state.spare, {}
                into = into or {name: table.copy() for name, table in self.tables.items()}
            self._assemble(into, [averaged for _, averaged in own], [averaged for _, averaged in blocks])
            state.averaged = into
        self._known = self._at

    def parameters(self, tables: Tables) -> Parameters:
        """As the whole."""
        return self.whole.parameters(tables)

    def scorer(self, tables: Tables) -> Scorer:
        """As the whole."""
        return self.whole.scorer(tables)

    def _brought(self) -> Parts:
        self.bring()
        return self

    def _fetch(self) -> tuple[list[State], list[State]]:
        assert self._held is not None
        found = self.flow.take([*self._held.own, *self._held.blocks])
        return found[: len(self.users)], found[len(self.users) :]

    def _assemble(self, into: Tables, own: Sequence[Tables], blocks: Sequence[Tables]) -> None:
        for users, tables in zip(self.users, own):
            for name, table in tables.items():
                into[name][users] = table
        for (low, high), tables in zip(pairwise(self.bounds), blocks):
            for name, table in tables.items():
                if name == "items":
                    into[name][low:high] = table
                else:
                    into[name][...] = table

    # --- what the flow holds ---

    def _safely(self, do: Callable[[], Any]) -> Any:
        """What `do` gives; where something is lost, all begins again with the tables that are known here."""
        at = self._at
        for attempt in range(AGAIN + 1):
            try:
                if self._held is None:
                    self._held = self._send()
                    for iteration in range(self._known + 1, at + 1):
                        self._advance(iteration)
                return do()
            except Lost as lost:
                self._held = None
                if attempt == AGAIN:
                    raise lost.problem from lost
        raise AssertionError("unreachable")

    def _send(self) -> _Held:
        """Everything to where it is needed."""
        flow, state = self.flow, self._state
        averaged = state.averaged if state is not None else {}
        own, blocks = [], []
        for p in range(len(self.users)):
            own.append(flow.put((self._own(p, self.tables), self._own(p, averaged))))
        for b in range(len(self.bounds) - 1):
            blocks.append(flow.put((self._block(b, self.tables), self._block(b, averaged))))
        learners = [flow.put(self._learner(p)) for p in range(len(self.users))]
        return _Held(learners, flow.put(self._common()), own, blocks)

    def _advance(self, iteration: int) -> Iteration:
        """One iteration of what is held."""
        flow, held = self.flow, self._held
        assert held is not None
        own, changes, told = [], [], []
        for learner, state in zip(held.learners, held.own):
            after, done, *change = flow.call(
                _learn,
                learner,
                held.common,
                state,
                iteration,
                self.decay,
                self.bounds,
                *held.blocks,
                results=2 + len(held.blocks),
            )
            own.append(after)
            told.append(done)
            changes.append(change)
        blocks = [
            flow.call(_join, block, iteration, self.decay, *(change[b] for change in changes))
            for b, block in enumerate(held.blocks)
        ]
        found = flow.take(told)
        self._held, self._at = replace(held, own=own, blocks=blocks), iteration
        self.bytes_a_round = sum(sent for _, sent in found)
        each = [done for done, _ in found]
        return Iteration(
            sum(one.triples for one in each),
            sum(one.loss for one in each),
            sum(one.fallbacks for one in each),
            next((one.warning for one in each if one.warning), ""),
        )

    def _learner(self, part: int) -> Sampled:
        """The learner of a part, without what all have."""
        own = self.whole.of_users(self.users[part], part_seed(self.whole.options["seed"], part))
        for name in own.common:
            own.__dict__.pop(name, None)
        return own

    def _common(self) -> dict[str, Any]:
        return {name: getattr(self.whole, name) for name in self.whole.common}

    def _own(self, part: int, tables: Tables) -> Tables:
        return {name: tables[name][self.users[part]] for name in USER_TABLES if name in tables}

    def _shared(self, tables: Tables) -> Tables:
        return {name: table for name, table in tables.items() if name not in USER_TABLES}

    def _block(self, block: int, tables: Tables) -> Tables:
        """The rows of a block of items, copied; what is not of items is in the first block."""
        if not tables:
            return {}
        found = {"items": tables["items"][self.bounds[block] : self.bounds[block + 1]].copy()}
        if block == 0:
            found |= {name: one.copy() for name, one in self._shared(tables).items() if name != "items"}
        return found


# --- what is called where the values are ---


def _learn(
    learner: Sampled,
    common: dict[str, Any],
    state: State,
    iteration: int,
    decay: float,
    bounds: Sequence[int],
    *blocks: State,
) -> tuple[Any, ...]:
    """One iteration of a part: its users' state, what was done and its bytes, and changes for each block."""
    own, averaged = state
    shared = dict(blocks[0][0])
    if len(blocks) > 1:
        shared["items"] = np.concatenate([raw["items"] for raw, _ in blocks])
    learner.__dict__.update(common)
    learner.tables = {name: _copied(table) for name, table in {**own, **shared}.items()}
    done = learner.step(iteration)
    pulls = learner.pulls()
    after = {name: learner.tables.pop(name) for name in own}
    changes = changes_of(shared, learner.tables, pulls, bounds)
    learner.tables = {}
    state = after, average(averaged, after, iteration, decay) if decay else {}
    return state, (done, sum(one.nbytes for one in changes)), *changes


def _join(before: State, iteration: int, decay: float, *changes: Changes) -> State:
    """A block of the item side after an iteration."""
    raw, averaged = before
    after = joined(raw, changes)
    return after, average(averaged, after, iteration, decay) if decay else {}


def _with_ends(block: State, ends: np.ndarray) -> State:
    """The same with epochs that end elsewhere."""
    raw, averaged = block
    return {**raw, "ends": ends}, {**averaged, "ends": ends} if averaged else {}


def _copied(table: np.ndarray) -> np.ndarray:
    found: np.ndarray = aligned(table.shape) if table.dtype == np.float32 else np.empty_like(table)
    found[...] = table
    return found
