"""Readers: from bytes of any known format to columns of users, items and times, block by block."""
