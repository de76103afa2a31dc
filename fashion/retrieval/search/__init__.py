"""Exact search of a gallery block by block: the same answer however the gallery is divided, and whoever computes it."""
