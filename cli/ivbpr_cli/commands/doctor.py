"""``ivbpr doctor``: what this installation is and what it can use."""

from __future__ import annotations

from typing import Annotated

from ivbpr_cli.commands.options import option
from ivbpr_cli.output import Answer, Screen

__all__ = ["doctor"]


def doctor(
    screen: Screen,
    scheduler: Annotated[
        str | None, option("Also ask the workers of this Dask scheduler.", metavar="ADDRESS")
    ] = None,
) -> None:
    """Versions, threads, which device models and networks use and why, where compiled code is kept.

    With --scheduler also each worker of a cluster, and whether it computes what this machine would: exit
    code 4 where one does not.
    """
    from ivbpr_numba import backends
    from ivbpr_numba.documents import installation as documents
    from ivbpr_numba.network.shipped import network_facts

    facts = {**backends.describe(), "networks": network_facts()}
    if scheduler is None:
        screen.show(Answer.of(documents.doctor(facts)))
        return
    from ivbpr_numba.distributed import connected, workers_of
    from ivbpr_numba.errors import EnvironmentProblem

    with connected(scheduler) as crew:
        found = workers_of(crew)
    screen.show(Answer.of(documents.doctor({**facts, "cluster": {"scheduler": scheduler, "workers": found}})))
    wrong = [f"{address}: {one['problem']}" for address, one in found.items() if one["problem"]]
    if wrong or not found:
        raise EnvironmentProblem(
            f"The cluster can't be used: {'; '.join(wrong) or 'it has no workers'}.",
            "Give all workers the versions of this machine, and CPUs of one kind.",
        )
