"""Fakes of Heddle's services, for tests of whatever talks to them."""
