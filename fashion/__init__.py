"""Fashion image retrieval across domains: data, networks, losses, training and retrieval."""
