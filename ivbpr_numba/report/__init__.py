"""One self-contained HTML page about a finished demo: facts, drawings, text; no script, no request."""

from __future__ import annotations

from ivbpr_numba.report.page import render, write_report
from ivbpr_numba.report.story import Outcome, tell

__all__ = ["Outcome", "render", "tell", "write_report"]
