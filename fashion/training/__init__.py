"""The training step and loop, and the run on Ray Train."""
