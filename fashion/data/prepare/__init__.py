"""From annotations and pictures to the item table."""
