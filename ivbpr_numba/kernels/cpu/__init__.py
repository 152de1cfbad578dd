"""Loops over triples, users and items for numba's CPU target; arguments are never validated here."""
