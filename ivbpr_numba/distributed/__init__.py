"""Work on the workers of a Dask cluster: the pieces that processes of one machine do, by the same seam.

Dask is imported here alone, and only where a cluster is asked for (extra ``dask``).
"""

from ivbpr_numba.distributed.connecting import cluster, connected, crew_of, workers_of
from ivbpr_numba.distributed.crew import DaskCrew

__all__ = ["DaskCrew", "cluster", "connected", "crew_of", "workers_of"]
