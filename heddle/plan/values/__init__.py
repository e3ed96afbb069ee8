"""Single values of plan files: what is valid, and how it is written."""
