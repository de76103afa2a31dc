"""Where pictures are, and their bytes."""
