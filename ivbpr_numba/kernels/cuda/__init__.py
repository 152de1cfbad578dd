"""Loops over triples, users and items for CUDA, by the names of `kernels/cpu/`; they never validate."""
