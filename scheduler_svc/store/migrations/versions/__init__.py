"""The history of the schema. Never edit a released version: add a new one."""
