"""What a network says of labels: category, attributes, landmarks; predicted beside the embedding, and judged."""
