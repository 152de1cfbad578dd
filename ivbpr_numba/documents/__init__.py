"""The documents that commands print and a server returns: one function each, from what was asked to JSON."""
