"""The command line of ivbpr: thin commands over the library ``ivbpr_numba``."""
