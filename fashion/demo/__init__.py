"""The drawn catalogue in the files and folders in which DeepFashion is published. The library knows nothing of it."""
