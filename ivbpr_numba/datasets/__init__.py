"""Purchases on their way to a dataset: filters, split, the dataset file."""
