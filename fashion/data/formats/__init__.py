"""Annotation files -> one row an image, whatever the files look like."""
