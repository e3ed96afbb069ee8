"""Drafts of plans: the prompt for the agent, what it hands over, and what is wrong with it."""
