"""Generated worlds with known truth, and the pictures of their products."""
