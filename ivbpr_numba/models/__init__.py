"""Models: options, fit, scores, file."""

from ivbpr_numba.models.base import Model
from ivbpr_numba.models.baselines import Popularity, Random
from ivbpr_numba.models.factorization import BPRMF, MMMF
from ivbpr_numba.models.registry import create, load
from ivbpr_numba.models.temporal import TVBPR
from ivbpr_numba.models.visual import VBPR

__all__ = ["BPRMF", "MMMF", "TVBPR", "VBPR", "Model", "Popularity", "Random", "create", "load"]
