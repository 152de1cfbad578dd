"""Draws of the next iteration beside the application of this one."""

import threading

import pytest

from ivbpr_numba.models.ahead import Ahead


def run(threads, iterations=5, start=1):
    """What was used by each iteration, and what was drawn how often."""
    ahead, drawn, used = Ahead(), [], []

    def draw(iteration):
        drawn.append(iteration)
        return f"triples of {iteration}"

    for t in range(start, iterations + 1):
        ahead.apply(t, iterations, draw, used.append, threads)
    return used, drawn


@pytest.mark.parametrize("threads", [1, 2])
def test_every_iteration_is_drawn_once_and_used_in_order(threads):
    used, drawn = run(threads)
    assert used == [f"triples of {t}" for t in range(1, 6)]
    assert drawn == [1, 2, 3, 4, 5]


def test_a_fit_that_goes_on_in_the_middle():
    used, drawn = run(2, start=4)
    assert (used, drawn) == (["triples of 4", "triples of 5"], [4, 5])


def test_what_was_drawn_for_another_iteration_is_not_used():
    ahead, used = Ahead(), []
    for t in (1, 7, 3):
        ahead.apply(t, 9, lambda t: t, used.append, 2)
    assert used == [1, 7, 3]


def test_the_next_draws_really_run_beside():
    ahead, begun = Ahead(), threading.Event()

    def draw(iteration):
        if iteration == 2:
            begun.set()
        return iteration

    assert ahead.apply(1, 2, draw, lambda drawn: begun.wait(30), 2)


def test_nothing_runs_any_more_afterwards():
    ahead, ended, go = Ahead(), [], threading.Event()

    def draw(iteration):
        if iteration == 2:
            go.wait(30)
            ended.append(iteration)
        return iteration

    ahead.apply(1, 2, draw, lambda drawn: go.set(), 2)
    assert ended == [2]


def test_an_error_is_raised_where_the_triples_are_needed():
    ahead = Ahead()

    def draw(iteration):
        if iteration == 2:
            raise MemoryError("no room")
        return iteration

    assert ahead.apply(1, 3, draw, lambda drawn: drawn, 2) == 1
    with pytest.raises(MemoryError, match="no room"):
        ahead.apply(2, 3, draw, lambda drawn: drawn, 2)
