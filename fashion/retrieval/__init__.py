"""Embedding the catalogue, exact search, metrics, the gate and the report."""
