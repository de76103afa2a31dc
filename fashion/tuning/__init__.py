"""Sweeps: a search space over train.py's settings, trials on Ray Tune, the leaderboard and its page."""
