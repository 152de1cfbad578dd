"""How an attribute network is made from labelled photos."""
