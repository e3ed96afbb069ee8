"""Reads what forms of plans have in common."""

from collections.abc import Mapping
from typing import Any

from heddle import errors


def plan_inputs(form: Mapping[str, Any]) -> dict[str, str]:
    """Returns the values of a plan's inputs that a form gives; raises INVALID_FIELD."""
    given = form.get("inputs") or {}
    if not isinstance(given, dict):
        raise errors.invalid_field("inputs", "must be a map of names to values")
    return {str(key): str(value) for key, value in given.items()}
