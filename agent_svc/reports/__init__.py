"""Reads the reports that a check writes: tests, coverage, findings."""
