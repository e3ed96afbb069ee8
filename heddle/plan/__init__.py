"""Plan files: how they are read, judged and predicted."""
