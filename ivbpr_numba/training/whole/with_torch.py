"""The one door to torch: whoever comes through it without the extra is told what to install."""

from __future__ import annotations

from ivbpr_numba.errors import EnvironmentProblem, parameter

try:
    import torch
except ModuleNotFoundError as problem:
    raise EnvironmentProblem(
        "Training the whole network needs PyTorch, which is not installed.",
        'Run pip install "ivbpr[train]", or train on a fixed network with '
        f"{parameter('frozen', 'backbone.onnx')}.",
    ) from problem

__all__ = ["torch"]
