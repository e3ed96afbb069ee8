"""Plan files as pydantic models."""
