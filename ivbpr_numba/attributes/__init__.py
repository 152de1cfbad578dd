"""From product photos to named attribute probabilities: vocabulary, training, extraction (paper, section 3.1)."""
