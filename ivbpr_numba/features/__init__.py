"""Feature files: their layout, import, and rows for the items of a dataset."""
