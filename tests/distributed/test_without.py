"""What needs no cluster: nothing of Dask is imported before one is asked for, and a missing Dask is said."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from typing import Any

import pytest

from ivbpr_numba.distributed import cluster
from ivbpr_numba.errors import EnvironmentProblem

PROGRAM = """
import sys
import ivbpr_numba.distributed, ivbpr_numba.questions.auc, ivbpr_numba.tuning, ivbpr_numba.table2
from ivbpr_cli.app import run
assert run(["guide"]) == 0
print([name for name in sys.modules if name.split(".")[0] in ("dask", "distributed", "tornado")], file=sys.stderr)
"""


def test_nothing_of_dask_is_imported() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stderr.strip().splitlines()[-1] == "[]"


def test_a_missing_dask_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    known = importlib.util.find_spec

    def find(name: str, *more: Any) -> Any:
        return None if name == "distributed" else known(name, *more)

    monkeypatch.setattr(importlib.util, "find_spec", find)
    for asked in ({"workers": 2}, {"scheduler": "tcp://127.0.0.1:9"}):
        with pytest.raises(EnvironmentProblem, match="Dask is not installed"), cluster(**asked):
            pass


def test_no_cluster_was_asked_for() -> None:
    with cluster() as crew:
        assert crew is None
