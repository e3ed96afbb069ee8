"""What depends on what in a plan, and what follows from it."""
