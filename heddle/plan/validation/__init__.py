"""The rules of single parts of a plan."""
