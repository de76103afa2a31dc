"""The re-evaluation gate: is an evaluation worse than an accepted earlier one, and how did the numbers go over time."""
