"""Training of the whole network, trunk and branches, with PyTorch."""
