"""YAML with positions, to and from messages."""
