"""Training of branches alone on a fixed backbone, in NumPy."""
