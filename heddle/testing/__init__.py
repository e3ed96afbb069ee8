"""Fakes of Heddle's services, for tests of their clients."""
