"""Approximate nearest-neighbour indexes of a catalogue, for serving; accuracy is always measured by exact search."""
