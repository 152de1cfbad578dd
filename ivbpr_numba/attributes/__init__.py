"""From product photos to named attribute probabilities: vocabulary, training, extraction (section 3.1)."""
