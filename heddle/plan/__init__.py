"""Plan files: reading, validation and analysis."""
