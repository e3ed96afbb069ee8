"""The file .heddle.yaml of a project, which configures the environment that agents work in."""
