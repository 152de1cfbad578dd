"""The page of a table of ``ivbpr table2``: its facts, its drawings, and the whole way to the file."""
