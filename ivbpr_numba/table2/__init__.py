"""The paper's table 2 on anyone's data: every model on the same questions, with honest errors."""

from ivbpr_numba.table2.running import table2
from ivbpr_numba.table2.table import Table

__all__ = ["Table", "table2"]
