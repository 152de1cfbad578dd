"""How the garments of the built-in world look: their cut, their cloth and their trimmings."""
