"""Choosing what the shoppers of the built-in world buy (model specification 12)."""

import numpy as np
from numba import prange

from ivbpr_numba.kernels.compiling import kernel
from ivbpr_numba.kernels.cpu.choices import (
    choose_exactly,
    draw_candidates,
    largest_error,
    leave_out,
    pick,
    score_drawn,
    score_first,
    uniform_of,
    weigh,
)
from ivbpr_numba.kernels.cpu.scalars import absorb
from ivbpr_numba.kernels.scalar.random import WORLD

__all__ = ["choose_items"]

MOST = 1e-4  # with a larger error too few quick choices would be sure


@kernel
def choose_quickly(purchase, n, candidates, kappa, doubt, user, owned, orders, rows, weights, drawn):
    """The item of purchase n, −1 where the quick way isn't sure.

    Of all items on sale the weights are there already; those of drawn candidates are made here.
    """
    state = absorb(purchase, np.uint64(0))
    if candidates == 0:
        return pick(weights, orders.released[n], uniform_of(state), doubt)
    draw_candidates(state, orders.released[n], drawn)
    weigh(weights, candidates, kappa, score_drawn(rows, user, drawn, weights))
    leave_out(owned, drawn, weights, 0.0)
    chosen = pick(weights, candidates, uniform_of(state), doubt)
    return chosen if chosen < 0 else np.int64(drawn[chosen])


@kernel
def fill_user(tastes, steps, u, epoch, user):
    """What of a user meets a row of the shelf, into (P,) float64."""
    user[:] = 0.0
    n_taste, n_latent = tastes.taste.shape[1], tastes.latent.shape[1]
    for a in range(n_taste):
        user[a] = tastes.taste[u, a]
    for a in range(n_latent):
        user[n_taste + a] = tastes.latent[u, a]
    user[n_taste + n_latent + epoch] = 1.0
    for k in range(user.shape[0]):
        user[k] *= steps[k]


@kernel
def choose_for(u, state, orders, candidates, kappa, doubt, tastes, shelf, user, weights, drawn, out):
    """Fill in the purchases of one user."""
    first, stop = orders.indptr[u], orders.indptr[u + 1]
    if first == stop:
        return
    size = orders.released[stop - 1] if candidates == 0 else candidates
    terms = user.shape[0] + shelf.columns.shape[1]
    epoch, unsure = -1, 1.0
    for n in range(first, stop):
        owned = out[first:n]
        if orders.epochs[n] != epoch:
            epoch = orders.epochs[n]
            fill_user(tastes, shelf.steps, u, epoch, user)
            unsure = max(doubt, 4 * largest_error(user, shelf.reach, kappa, terms, size))
            if candidates == 0 and unsure < MOST:
                weigh(weights, size, kappa, score_first(shelf.rows, user, size, weights))
                for k in range(owned.shape[0]):
                    weights[owned[k]] = 0.0
        purchase = absorb(state, np.uint64(n - first))
        chosen = -1
        if unsure < MOST:
            chosen = choose_quickly(
                purchase, n, candidates, kappa, unsure, user, owned, orders, shelf.rows, weights, drawn
            )
        if chosen < 0:
            chosen = choose_exactly(
                purchase, orders.released[n], epoch, owned, candidates, kappa,
                tastes.taste[u], tastes.latent[u], tastes, shelf,
            )  # fmt: skip
        out[n] = chosen
        if candidates == 0:
            weights[chosen] = 0.0


@kernel(parallel=True)
def choose_items(seed, first, last, orders, candidates, kappa, doubt, tastes, shelf, out):
    """Fill in the item of every purchase of the users first … last−1.

    Items are counted in order of release here, so that those on sale come first.

    Parameters
    ----------
    seed : uint64
    first, last : int64
    orders : Orders
    candidates : int64, size of the drawn candidate set; 0 takes every item on sale
    kappa : float64
    doubt : float64
        A quick choice that a relative error of so much, or of the largest possible, could change is made
        again as it is defined. From 1 on all are.
    tastes : Tastes
    shelf : Shelf
    out : (n,) int32, filled
    """
    room = shelf.numbers.shape[0] if candidates == 0 else candidates
    chunks = min(last - first, 128)
    for chunk in prange(chunks):
        weights, drawn = np.empty(room), np.empty(candidates, np.int32)
        user = np.empty(shelf.rows.shape[1])
        begin, end = chunk * (last - first) // chunks, (chunk + 1) * (last - first) // chunks
        for u in range(first + begin, first + end):
            state = absorb(absorb(absorb(np.uint64(0), seed), np.uint64(WORLD)), np.uint64(u))
            choose_for(u, state, orders, candidates, kappa, doubt, tastes, shelf, user, weights, drawn, out)
