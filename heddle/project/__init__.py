"""The file .heddle.yaml of a project: what it may say about the place in which agents work."""
