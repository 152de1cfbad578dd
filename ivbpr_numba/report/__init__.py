"""Self-contained HTML pages about fitted models, and about a finished demo; no script, no request.

`write_report` is the whole way. A page is a list of sections: each has its facts in a story and a template in
``assets/report/``, and appears only where there is something to show.
"""

from __future__ import annotations

from ivbpr_numba.report.page import render, write_page
from ivbpr_numba.report.story import Outcome, tell
from ivbpr_numba.report.tables.telling import tell_table
from ivbpr_numba.report.tables.writing import write_table_report
from ivbpr_numba.report.telling import tell_models
from ivbpr_numba.report.writing import write_report

__all__ = [
    "Outcome", "render", "tell", "tell_models", "tell_table",
    "write_page", "write_report", "write_table_report",
]  # fmt: skip
