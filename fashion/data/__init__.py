"""Formats, the item table, pictures, the training stream and the demo catalogue."""
