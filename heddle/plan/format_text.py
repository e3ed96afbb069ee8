"""Describes the keys of plan files in a page of text, from the models that read them. Pure."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from heddle.plan.schema import json_schema

_PARTS: Final = ("Defaults", "Epic", "Task", "Check", "Permissions")

Schema = Mapping[str, Any]


def format_text(leave_out: Collection[str] = ()) -> str:
    """Returns the description, with a line for each key; keys in `leave_out` are omitted."""
    schema = json_schema()
    parts: list[tuple[str, Schema]] = [("Plan (the whole file)", schema)]
    parts += [(name, _full_form(schema["$defs"][name])) for name in _PARTS]
    return "\n\n".join("\n".join(_part(name, part, leave_out)) for name, part in parts)


def _part(name: str, part: Schema, leave_out: Collection[str]) -> Iterator[str]:
    yield f"{name}: {part['description']}"
    required = part.get("required", ())
    for key, field in part["properties"].items():
        if key in leave_out:
            continue
        about = f" {field['description']}" if "description" in field else ""
        needed = ", required" if key in required else ""
        yield f"- {key} ({_type(field)}{needed}).{about}"


def _full_form(part: Schema) -> Schema:
    """Returns the form with keys of a part that also has a short form."""
    if "properties" in part:
        return part
    return next(form for form in part["anyOf"] if "properties" in form)


# The other types have the names that people know.
_NAMES: Final = {"string": "text", "object": "mapping", "Check": "Check, or text"}


def _type(field: Schema) -> str:
    if "enum" in field:
        return " | ".join(value for value in field["enum"] if isinstance(value, str))
    if "anyOf" in field:
        if any("pattern" in form for form in field["anyOf"]):
            return "duration, such as 90s, 20m or 1h30m"
        forms = [_type(form) for form in field["anyOf"] if form.get("type") != "null"]
        return " or ".join(dict.fromkeys(forms))
    if field.get("type") == "array":
        return f"list of {_type(field['items'])}"
    name = str(field["$ref"]).rpartition("/")[2] if "$ref" in field else str(field.get("type", "any"))
    return _NAMES.get(name, name)
