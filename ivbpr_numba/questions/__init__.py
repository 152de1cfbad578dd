"""Questions asked about a model."""
