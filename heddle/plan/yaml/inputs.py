"""Plans with parameters: declarations under `inputs:`, and `${{ inputs.NAME }}` in values. Pure; executes nothing."""

import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from heddle.plan.values import scalars
from heddle.plan.values.scalars import Scalar
from heddle.plan.values.text_rules import did_you_mean, one_of, shown
from heddle.plan.yaml.source import Node, Place, Problem, Source, path_text

KEY: Final = "inputs"

STRING: Final = "string"
NUMBER: Final = "number"
BOOLEAN: Final = "boolean"
CHOICE: Final = "choice"
TYPES: Final = (STRING, NUMBER, BOOLEAN, CHOICE)

# A declared input must be a word, so that a reference to it can be recognised.
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
# A preceding $ makes it literal.
_REFERENCE: Final = re.compile(r"(\$?)\$\{\{(.*?)\}\}", re.DOTALL)
_INPUT: Final = re.compile(r"\s*inputs\.([A-Za-z_][A-Za-z0-9_-]*)\s*")
_FIELDS: Final = ("description", "type", "required", "default", "options")


class Input(NamedTuple):
    """A declared input."""

    name: str
    place: Place
    kind: str = STRING
    required: bool = False
    # None: it has none.
    default: str | None = None
    options: tuple[str, ...] = ()
    description: str = ""


class Filled(NamedTuple):
    """The declared inputs of a plan, and their values by name, defaults included."""

    declared: tuple[Input, ...] = ()
    values: Mapping[str, str] = {}


def fill_in(source: Source, given: Mapping[str, str]) -> Filled:
    """Replaces the references to inputs in a plan by their values, and removes the declarations.

    Reports each error at its place. A plan without declarations keeps `${{` as it is.
    """
    root = source.root
    if root is None or not isinstance(root.value, dict):
        return Filled()
    declared = root.value.pop(KEY, None)
    if declared is None:
        for name in given:
            source.report(Place(), KEY, f"the plan has no inputs, so none can be named {shown(name)}")
        return Filled()
    inputs = dict(_declared(source, declared))
    place = root.keys.pop(KEY)
    for name in given:
        if name not in inputs:
            hint = did_you_mean(name, inputs) or f"; it has {one_of(list(inputs)) or 'none'}"
            source.report(place, KEY, f"there is no input {shown(name)}{hint}")
    values = dict(_values(source, inputs, given))
    _Filling(source, inputs, values).fill(root, ())
    return Filled(tuple(inputs.values()), values)


def _declared(source: Source, node: Node) -> Iterator[tuple[str, Input]]:
    if not isinstance(node.value, dict):
        source.report(node.place, KEY, "must be a mapping from names to descriptions of inputs")
        return
    for name, each in node.value.items():
        field = f"{KEY}.{name}"
        place = node.keys[name]
        if not _NAME.fullmatch(name):
            source.report(
                place, field, "is not a valid name; use letters, digits, - and _, starting with a letter"
            )
        elif each.value is None:
            yield name, Input(name, place)
        elif isinstance(each.value, dict):
            yield name, _input(source, name, place, each, each.value)
        else:
            source.report(each.place, field, f"must be a mapping with {one_of(_FIELDS)}")


def _input(source: Source, name: str, place: Place, node: Node, parts: dict[str, Node]) -> Input:
    field = f"{KEY}.{name}"
    for key in parts:
        if key not in _FIELDS:
            hint = did_you_mean(key, _FIELDS) or f"; valid keys are {', '.join(_FIELDS)}"
            source.report(node.keys[key], f"{field}.{key}", f"unknown key{hint}")
    kind = parts["type"].text if "type" in parts else STRING
    if kind not in TYPES:
        source.report(parts["type"].place, f"{field}.type", f"{shown(kind)} is unknown; use {one_of(TYPES)}")
        kind = STRING
    required = parts["required"].value if "required" in parts else False
    if not isinstance(required, bool):
        source.report(parts["required"].place, f"{field}.required", "must be true or false")
    options = _options(source, field, place, kind, parts.get("options"))
    described = parts.get("description")
    description = described.text if described and not isinstance(described.value, dict | list) else ""
    found = Input(name, place, kind, required is True, None, options, description)
    default = parts.get("default")
    if default is None or isinstance(default.value, dict | list):
        if default is not None:
            source.report(default.place, f"{field}.default", "must be a single value")
        return found
    if problem := _problem(found, default.text):
        source.report(default.place, f"{field}.default", problem)
        return found
    return found._replace(default=default.text)


def _options(source: Source, field: str, place: Place, kind: str, node: Node | None) -> tuple[str, ...]:
    if node is None:
        if kind == CHOICE:
            source.report(place, f"{field}.options", "is missing; a choice needs a list of its options")
        return ()
    if kind != CHOICE:
        source.report(node.place, f"{field}.options", "only an input of type choice has options")
        return ()
    listed = node.value if isinstance(node.value, list) else []
    if not listed or any(isinstance(each.value, dict | list) for each in listed):
        source.report(node.place, f"{field}.options", "must be a list of values, with at least one")
    return tuple(each.text for each in listed)


def _problem(about: Input, text: str) -> str:
    """Returns why `text` is not a value of an input; empty if it is."""
    value = scalars.value_of(text)
    if about.kind == NUMBER and (isinstance(value, bool) or not isinstance(value, int | float)):
        return f"is {shown(text)}; it must be a number"
    if about.kind == BOOLEAN and not isinstance(value, bool):
        return f"is {shown(text)}; it must be true or false"
    if about.kind == CHOICE and text not in about.options:
        return f"is {shown(text)}; use {one_of(about.options)}"
    return "must not contain a NUL character" if "\0" in text else ""


def _values(
    source: Source, inputs: Mapping[str, Input], given: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    for name, about in inputs.items():
        field = f"{KEY}.{name}"
        if name in given:
            if problem := _problem(about, given[name]):
                source.report(about.place, field, problem)
            else:
                yield name, given[name]
        elif about.default is not None:
            yield name, about.default
        elif about.required:
            source.report(about.place, field, f"needs a value: --input {name}=VALUE")
        elif about.kind == STRING:
            yield name, ""
        elif about.kind == BOOLEAN:
            yield name, "false"
        else:
            source.report(about.place, field, f"has no default, so it needs a value: --input {name}=VALUE")


class _Filling:
    """Replaces the references in one plan."""

    def __init__(self, source: Source, inputs: Mapping[str, Input], values: Mapping[str, str]) -> None:
        self._source = source
        self._inputs = inputs
        self._values = values

    def fill(self, node: Node, path: tuple[str | int, ...]) -> None:
        if isinstance(node.value, dict):
            for key, each in node.value.items():
                self.fill(each, (*path, key))
        elif isinstance(node.value, list):
            for place, each in enumerate(node.value):
                self.fill(each, (*path, place))
        elif isinstance(node.value, str) and "${{" in node.value:
            whole = _REFERENCE.fullmatch(node.value.strip())
            text = _REFERENCE.sub(lambda found: self._value(found, node, path), node.value)
            node.value = self._typed(whole, text) if whole and not whole.group(1) else text
            node.text = text

    def _typed(self, whole: re.Match[str], text: str) -> Scalar:
        """Returns the value of a text that is only one reference: of the type of its input."""
        found = _INPUT.fullmatch(whole.group(2))
        about = self._inputs.get(found.group(1)) if found else None
        return scalars.value_of(text.strip()) if about and about.kind in {NUMBER, BOOLEAN} else text

    def _value(self, found: re.Match[str], node: Node, path: tuple[str | int, ...]) -> str:
        if found.group(1):
            return found.group(0)[1:]
        named = _INPUT.fullmatch(found.group(2))
        if not named:
            what = f"{shown(found.group(0))} is not known here: only ${{{{ inputs.NAME }}}} is replaced; for the text itself, write $${{{{"
            self._report(node, path, what)
        elif (name := named.group(1)) not in self._inputs:
            hint = (
                did_you_mean(name, self._inputs) or f"; the plan has {one_of(list(self._inputs)) or 'none'}"
            )
            self._report(node, path, f"there is no input {shown(name)}{hint}")
        else:
            return self._values.get(name, "")
        return ""

    def _report(self, node: Node, path: tuple[str | int, ...], message: str) -> None:
        field = path_text(path)
        self._source.lost.add(field)
        self._source.problems.append(Problem(*node.place, field, message))
