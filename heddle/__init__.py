"""Code that every Heddle service and client shares."""

__version__ = "0.1.0"
