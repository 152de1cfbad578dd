"""How well an attribute network names what it sees."""
