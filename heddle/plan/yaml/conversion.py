"""Converts the values of a file to a message, even if some values are invalid.

Each invalid value is reported and replaced by the nearest harmless one, so that the
rest of the file can still be checked.
"""

import re
from collections.abc import Mapping
from typing import Final, TypeAlias, TypeVar

from google.protobuf import json_format
from google.protobuf.message import Message
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from heddle.plan.values.text_rules import did_you_mean, shown
from heddle.plan.yaml.source import Node, Step

# Replacing a value can trigger a part's own validators, whose errors show only then.
_MAX_PASSES: Final = 4

# Users would not read more errors.
_MAX_ERRORS: Final = 1_000

Path: TypeAlias = tuple[Step, ...]

M = TypeVar("M", bound=Message)


_MESSAGES: Final = {
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a number",
    "list_type": "must be a list",
    "model_type": "must be a mapping of keys to values",
    "dict_type": "must be a mapping of keys to values",
    "model_attributes_type": "must be a mapping of keys to values",
    "literal_error": "must be {expected}",
    "greater_than": "must be greater than {gt:g}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
}


def convert(
    root: Node, parts: Mapping[str, type[BaseModel]], message: type[M]
) -> tuple[M | None, list[tuple[Path, str]]]:
    """Returns the message of a mapping, None if too little of it is valid, and the errors in its values.

    `parts` maps each key to the model of its value; "" is the whole file.
    """
    data = root.plain()
    errors: dict[Path, str] = {}
    for _ in range(_MAX_PASSES):
        try:
            model = parts[""].model_validate(data)
        except ValidationError as error:
            for details in error.errors(include_url=False)[:_MAX_ERRORS]:
                path = tuple(details["loc"])
                errors.setdefault(path, _message(details, root, parts))
                _repair(data, path, root, parts)
        else:
            document = model.model_dump(exclude_none=True, by_alias=True)
            return json_format.ParseDict(document, message()), list(errors.items())
    return None, list(errors.items())


def _message(details: ErrorDetails, root: Node, parts: Mapping[str, type[BaseModel]]) -> str:
    path, kind, context = tuple(details["loc"]), details["type"], details.get("ctx", {})
    if kind == "extra_forbidden":
        part = next((step for step in reversed(path[:-1]) if isinstance(step, str)), "")
        known = [field.alias or name for name, field in parts[part].model_fields.items()]
        hint = did_you_mean(str(path[-1]), known)
        return f"unknown key{hint}" if hint else f"unknown key; valid keys are {', '.join(known)}"
    if kind == "value_error":
        return str(context["error"])
    message = _MESSAGES.get(kind, details["msg"]).format(**context)
    node = root.find(path)
    if kind in {"int_type", "float_type"} and re.search(r"\d", node.text if node else ""):
        message += " in plain decimal digits, without quotes, leading zeros or _"
    elif kind == "bool_type":
        message = "must be true or false"
    if details["input"] is None:
        return f"is empty; it {message}"
    if kind == "string_type" and node and node.text:
        return f"{message}; put {shown(node.text)} in quotes"
    if node and node.text:
        return f"is {shown(node.text)}; it {message}"
    return message


def _repair(data: object, path: Path, root: Node, parts: Mapping[str, type[BaseModel]]) -> None:
    """Replaces the invalid value at `path` with its text or, in a list, an empty value; otherwise removes it."""
    *above, last = path
    for step in above:
        if not isinstance(data, dict | list):
            return
        # The path comes from validating this very data, so each step fits its container.
        data = data[step]  # type: ignore[index]  # each step fits its container
    node = root.find(path)
    if isinstance(data, dict):
        if last == "script":
            data[last] = [{}]
        elif last == "key" and node and node.text:
            data[last] = node.text
        else:
            data.pop(last, None)
    elif isinstance(data, list) and isinstance(last, int):
        above_key = next((step for step in reversed(above) if isinstance(step, str)), "")
        data[last] = {} if above_key in parts else (node.text if node else "")
