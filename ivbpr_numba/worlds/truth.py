"""What is really so in a built-in world: the parameters behind its purchases, and their file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ivbpr_numba.errors import DataError, UsageError
from ivbpr_numba.ids import Ids
from ivbpr_numba.store.files import read_tree, write_tree
from ivbpr_numba.store.tree import Tree
from ivbpr_numba.worlds.catalogue import AttributeTable

__all__ = ["Truth", "TruthVectors"]

_ITEMS_A_BLOCK = 65_536


@dataclass(frozen=True)
class TruthVectors:
    """The true utility as a scorer: x*_ui(e) = item_bias[e, i] + users[u] · items[i].

    Attributes
    ----------
    users, items : ndarray of float64, shapes (U, A + L) and (I, A + L)
    item_bias : ndarray of float64, shape (N, I)
        One row an epoch; a single row when time is averaged out.
    epoch_edges : ndarray of int64 or None, shape (N + 1,)
        Epoch e holds ``epoch_edges[e] <= time < epoch_edges[e + 1]``; None without time.
    """

    users: np.ndarray
    items: np.ndarray
    item_bias: np.ndarray
    epoch_edges: np.ndarray | None


@dataclass(frozen=True)
class Truth:
    """Parameters of x*_ui(t) = (a_u P)·f_i + q_e(t)·f_i + p_u·r_i + b_i (model specification 12).

    Attributes
    ----------
    users, items : Ids
    attributes : AttributeTable
        f.
    taste, taste_map : ndarray, shapes (U, A) and (A, F)
        a and P.
    style : ndarray, shape (N, F)
        q of every true epoch.
    user_latent, item_latent : ndarray, shapes (U, L) and (I, L)
        p and r.
    popularity : ndarray, shape (I,)
        b.
    release : ndarray of int64, shape (I,)
        Second from which an item is on sale.
    epoch_edges : ndarray of int64, shape (N + 1,)
        Epoch e holds ``epoch_edges[e] <= time < epoch_edges[e + 1]``, clamped at both ends.
    volume : ndarray of int64, shape (N,)
        Purchases in each epoch.
    config : dict
        The resolved size, with the seed: what made this world.
    metrics : dict of str to float
        Figures that a caller computed and wants to keep beside the parameters, such as the truth AUC.
    """

    users: Ids
    items: Ids
    attributes: AttributeTable
    taste: np.ndarray
    taste_map: np.ndarray
    style: np.ndarray
    user_latent: np.ndarray
    item_latent: np.ndarray
    popularity: np.ndarray
    release: np.ndarray
    epoch_edges: np.ndarray
    volume: np.ndarray
    config: dict[str, Any]
    metrics: Mapping[str, float]

    def epoch_of(self, times: np.ndarray) -> np.ndarray:
        """True epoch of timestamps in unix seconds, int64."""
        return np.searchsorted(self.epoch_edges[1:-1], times, side="right").astype(np.int64)

    def styles(self, epoch: int | None) -> np.ndarray:
        """Return q of an epoch, or its mean over epochs weighted by their purchases; shape (F,)."""
        if epoch is None:
            return self.volume @ self.style / self.volume.sum()
        if not 0 <= epoch < len(self.style):
            raise UsageError(
                f"Epoch {epoch} does not exist.", f"This world has epochs 0 to {len(self.style) - 1}."
            )
        return self.style[epoch]

    def vectors(self, user_rows: np.ndarray, item_rows: np.ndarray, with_time: bool) -> TruthVectors:
        """Return the true utility of some users and items as a scorer, rows in the order given."""
        epochs: list[int | None] = list(range(len(self.style))) if with_time else [None]
        directions = np.vstack([self.taste_map, *(self.styles(e)[None] for e in epochs)])
        n_taste = len(self.taste_map)
        projected = np.empty((len(item_rows), len(directions)))
        for start in range(0, len(item_rows), _ITEMS_A_BLOCK):
            part = slice(start, start + _ITEMS_A_BLOCK)
            projected[part] = self.attributes.dense(item_rows[part]) @ directions.T
        return TruthVectors(
            users=np.hstack([self.taste[user_rows], self.user_latent[user_rows]]),
            items=np.hstack([projected[:, :n_taste], self.item_latent[item_rows]]),
            item_bias=np.ascontiguousarray(projected[:, n_taste:].T + self.popularity[item_rows]),
            epoch_edges=self.epoch_edges if with_time else None,
        )

    def utility(self, user_rows: np.ndarray, epoch: int | None = None) -> np.ndarray:
        """Return x* of some users for all items, float64 of shape (n, I).

        Parameters
        ----------
        user_rows : sequence of int
        epoch : int, optional
            True epoch; without it the average over epochs weighted by their purchases.
        """
        all_items = np.arange(len(self.items))
        scorer = self.vectors(np.asarray(user_rows), all_items, with_time=epoch is not None)
        return scorer.users @ scorer.items.T + scorer.item_bias[epoch or 0]

    def write(self, path: str | os.PathLike[str]) -> str:
        """Write the parameters as an HDF5 file; returns its ``payload_sha256``."""
        table = self.attributes
        objects: dict[str, np.ndarray | str] = {
            "/config": json.dumps(self.config, sort_keys=True),
            "/ids/users": self.users.values,
            "/ids/items": self.items.values,
            "/users/taste": self.taste,
            "/users/latent": self.user_latent,
            "/items/latent": self.item_latent,
            "/items/popularity": self.popularity,
            "/items/release": self.release,
            "/items/attributes/indptr": table.indptr,
            "/items/attributes/columns": table.columns,
            "/attributes/names": np.array([name.encode() for name in table.names]),
            "/attributes/groups/name": np.array([name.encode() for name, *_ in table.layout]),
            "/attributes/groups/offset": np.array(
                [offset for _, offset, _, _ in table.layout], dtype=np.int64
            ),
            "/attributes/groups/exclusive": np.array([exclusive for *_, exclusive in table.layout]),
            "/truth/taste_map": self.taste_map,
            "/truth/style": self.style,
            "/truth/epoch_edges": self.epoch_edges,
            "/truth/volume": self.volume,
            "/truth/kappa": np.array(self.config["kappa"], dtype=np.float64),
        }
        payload = sorted(objects)
        objects |= {
            f"/metrics/{name}": np.array(value, dtype=np.float64) for name, value in self.metrics.items()
        }
        return write_tree(path, Tree("ivbpr-truth", objects), payload=payload)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Truth:
        """Read what `write` wrote.

        Raises
        ------
        UsageError
            When there is no such file.
        DataError
            When it is damaged or holds something else.
        """
        tree = read_tree(path, "ivbpr-truth")
        try:
            config = json.loads(tree.text("/config"))
            return cls(
                users=Ids(tree.array("/ids/users"), "user"),
                items=Ids(tree.array("/ids/items"), "item"),
                attributes=AttributeTable(
                    tuple((str(name), int(size)) for name, size in config["groups"]),
                    int(config["tags"]),
                    tree.array("/items/attributes/indptr"),
                    tree.array("/items/attributes/columns"),
                ),
                taste=tree.array("/users/taste"),
                taste_map=tree.array("/truth/taste_map"),
                style=tree.array("/truth/style"),
                user_latent=tree.array("/users/latent"),
                item_latent=tree.array("/items/latent"),
                popularity=tree.array("/items/popularity"),
                release=tree.array("/items/release"),
                epoch_edges=tree.array("/truth/epoch_edges"),
                volume=tree.array("/truth/volume"),
                config=config,
                metrics={
                    name.removeprefix("/metrics/"): float(tree.array(name))
                    for name in tree.objects
                    if name.startswith("/metrics/")
                },
            )
        except (KeyError, TypeError, ValueError) as problem:
            raise DataError(
                f"'{path}' is not a complete truth file: {problem}.", "Write the world again."
            ) from problem
