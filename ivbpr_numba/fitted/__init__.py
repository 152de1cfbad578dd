"""What a fit found, apart from the estimator that found it, and its file."""
