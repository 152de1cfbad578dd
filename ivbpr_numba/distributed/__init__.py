"""Work on the workers of a Dask cluster: the pieces that processes of one machine do, by the same seam.

Dask is imported here alone, and only where a cluster is asked for (extra ``dask``).
"""

from ivbpr_numba.distributed.connecting import cluster, connected, crew_of, workers_of
from ivbpr_numba.distributed.crew import DaskCrew
from ivbpr_numba.distributed.flow import DaskFlow

__all__ = ["DaskCrew", "DaskFlow", "cluster", "connected", "crew_of", "workers_of"]
