"""Answers about a fitted model: the best items for a shopper, items alike, the reasons of a score."""
