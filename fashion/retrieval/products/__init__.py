"""Inner products of pairs: the exact score of one, and quick products of many, with how far they may be from it."""
