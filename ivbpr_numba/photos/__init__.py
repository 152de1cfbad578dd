"""Product photos: where they are, how they are decoded, and as what a network gets them."""
