"""Networks that turn pictures into embeddings: a backbone in stages, one or two branches, a head, unit length."""
