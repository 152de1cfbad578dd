"""The arithmetic: `scalar` (one triple, written once), `cpu` (loops for numba's CPU target)."""
