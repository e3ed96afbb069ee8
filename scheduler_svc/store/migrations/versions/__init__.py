"""The schema's history. A released version is never edited: add the next one."""
