"""YAML as plain values with their positions, built from the parser's events.

PyYAML's own composer follows aliases, keeps the last of two equal keys and
recurses as deep as the text nests. This one reports all three as errors. It also does
not read a plain word as YAML 1.1 does, where 010 is 8, 1_0 is 10, 1:30 is 90 and off
is false: see scalars.py.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeAlias

import yaml

from heddle.plan.values import scalars
from heddle.plan.values.scalars import Scalar
from heddle.plan.values.text_rules import shown

# A plan nests seven deep.
MAX_DEPTH: Final = 32
# Ten thousand tasks with a dozen keys each.
MAX_VALUES: Final = 250_000

# libyaml's parser is some twenty times faster than PyYAML's own.
_LOADER: Final = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader

# YAML 1.1 also ends a line at U+0085, U+2028 and U+2029. Editors, which people look in, do not.
_LINE_BREAK: Final = re.compile(r"\r\n?|\n")

Step: TypeAlias = str | int


class Place(NamedTuple):
    """A position in a file, both from 1; zeros mean the file as a whole."""

    line: int = 0
    column: int = 0


class Problem(NamedTuple):
    """One error in a file. The field is a path such as `epics[1].tasks[0].key`, empty if none applies."""

    line: int
    column: int
    field: str
    message: str

    def describe(self, source: str) -> str:
        """Returns the problem in the form that compilers use: `plan.yaml:3:5: epics[1].key: is missing`."""
        place = f"{source}:{self.line}:{self.column}" if self.line else source
        return f"{place}: {self.field}: {self.message}" if self.field else f"{place}: {self.message}"


@dataclass
class Node:
    """A value and its position. `text` is a scalar as written in the file."""

    place: Place
    value: "Scalar | list[Node] | dict[str, Node]" = None
    text: str = ""
    # The positions of the keys of a mapping.
    keys: dict[str, Place] = field(default_factory=dict)

    def plain(self) -> object:
        """Returns the value without positions."""
        if isinstance(self.value, dict):
            return {key: each.plain() for key, each in self.value.items()}
        if isinstance(self.value, list):
            return [each.plain() for each in self.value]
        return self.value

    def find(self, path: tuple[Step, ...]) -> "Node | None":
        """Returns the node at `path`, if there is one."""
        node: Node | None = self
        for step in path:
            node = node.child(step) if node else None
        return node

    def child(self, step: Step) -> "Node | None":
        if isinstance(self.value, dict) and isinstance(step, str):
            return self.value.get(step)
        if isinstance(self.value, list) and isinstance(step, int) and step < len(self.value):
            return self.value[step]
        return None

    def place_of(self, path: tuple[Step, ...]) -> Place:
        """Returns the position of the key or value at `path`, or of its deepest part that exists."""
        node, place = self, self.place
        for step in path:
            following = node.child(step)
            if following is None:
                return place
            place = node.keys.get(str(step), following.place)
            node = following
        return place


class Source:
    """A parsed text and its syntax problems. `root` is None if nothing can be read.

    `lost` has the paths of values that were reported and are not in `root`.
    """

    def __init__(self, text: str, noun: str = "plan") -> None:
        self.root: Node | None = None
        # How messages refer to such a file.
        self._noun = noun
        self.problems: list[Problem] = []
        self.lost: set[str] = set()
        text = scalars.with_whole_characters(text)
        self._lines = [0, *(each.end() for each in _LINE_BREAK.finditer(text))]
        try:
            self._read(text, yaml.parse(text, _LOADER))
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            self.report(self.place(mark) if mark else Place(), "", _syntax(error))
        except yaml.YAMLError as error:
            self.report(Place(), "", f"is not valid YAML: {str(error).splitlines()[0]}")

    def _read(self, text: str, events: Iterator[yaml.Event]) -> None:
        builder = _Builder(self, text)
        documents = 0
        for count, event in enumerate(events):
            if count > MAX_VALUES:
                message = f"contains more than {MAX_VALUES:,} values; split the {self._noun}"
                self.report(self.place(event.start_mark), "", message)
                return
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
            if documents > 1:
                message = f"contains more than one document; a {self._noun} must be a single one"
                self.report(self.place(event.start_mark), "", message)
                break
            if not builder.take(event):
                return
        self.root = builder.root

    # Any: each of the two parsers has its own class of marks.
    def place(self, mark: Any) -> Place:
        """Returns the position of a parser's mark, with lines as editors count them."""
        line = bisect_right(self._lines, mark.index)
        return Place(line, mark.index - self._lines[line - 1] + 1)

    def report(self, place: Place, field: str, message: str) -> None:
        self.problems.append(Problem(*place, field, message))


class _Builder:
    """Turns events into nodes without recursion."""

    def __init__(self, source: Source, text: str) -> None:
        self._source = source
        self._text = text
        self.root: Node | None = None
        self._open: list[Node] = []
        self._paths: list[tuple[Step, ...]] = []
        # The key of each open mapping whose value comes next.
        self._keys: list[str | None] = []

    def _report(self, place: Place, message: str) -> None:
        self._source.report(place, path_text(self._path()), message)

    def take(self, event: yaml.Event) -> bool:
        """Processes the next event; returns False if the text is too deep and reading must stop."""
        if getattr(event, "anchor", None):
            self._report(
                self._source.place(event.start_mark),
                "anchors and aliases are not supported; write the value out",
            )
        if isinstance(event, yaml.ScalarEvent):
            self._add(self._scalar(event))
        elif isinstance(event, yaml.AliasEvent):
            self._source.lost.add(path_text(self._path()))
            self._add(Node(self._source.place(event.start_mark)))
        elif isinstance(event, yaml.CollectionStartEvent):
            return self._begin(event)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._open.pop()
            self._paths.pop()
            self._keys.pop()
        return True

    def _begin(self, event: yaml.CollectionStartEvent) -> bool:
        place = self._source.place(event.start_mark)
        self._refuse_tag(event.tag, place)
        if len(self._open) == MAX_DEPTH:
            self._report(place, f"nests deeper than {MAX_DEPTH} levels")
            return False
        node = Node(place, {} if isinstance(event, yaml.MappingStartEvent) else [])
        self._paths.append(self._path())
        self._add(node)
        self._open.append(node)
        self._keys.append(None)
        return True

    def _add(self, node: Node) -> None:
        if not self._open:
            self.root = node
            return
        parent = self._open[-1]
        if isinstance(parent.value, list):
            parent.value.append(node)
        elif isinstance(parent.value, dict):
            self._add_to_mapping(parent, parent.value, node)

    def _add_to_mapping(self, parent: Node, mapping: dict[str, Node], node: Node) -> None:
        key = self._keys[-1]
        if key is not None:
            mapping.setdefault(key, node)
            self._keys[-1] = None
            return
        if isinstance(node.value, dict | list):
            self._report(node.place, "a key must be plain text")
        self._keys[-1] = node.text
        first = parent.keys.setdefault(node.text, node.place)
        if first is not node.place:
            self._report(node.place, f"duplicate key; it is already on line {first.line}")

    def _scalar(self, event: yaml.ScalarEvent) -> Node:
        place = self._source.place(event.start_mark)
        self._refuse_tag(event.tag, place)
        if any("\ud800" <= character <= "\udfff" for character in event.value):
            self._report(place, "contains half a character (a lone surrogate)")
            self._source.lost.add(path_text(self._path()))
            return Node(place)
        is_plain = event.implicit[0]
        if event.tag is not None or not is_plain:
            return Node(place, event.value, event.value)
        # A key is always text, and no text can be cut off after it.
        is_key = bool(self._open) and isinstance(self._open[-1].value, dict) and self._keys[-1] is None
        value = scalars.value_of(event.value)
        if isinstance(value, str) and not is_key:
            self._refuse_cut(event, place)
        return Node(place, value, event.value)

    def _refuse_cut(self, event: yaml.ScalarEvent, place: Place) -> None:
        """Reports text that was probably meant to continue where YAML sees a comment."""
        path = self._path()
        key = next((step for step in reversed(path) if isinstance(step, str)), "")
        indent = self._open[-1].keys[key].column if self._open and key in self._open[-1].keys else 0
        mark: Any = event.end_mark
        if cut := scalars.cut_off(self._text, mark.index, is_prose=key == "prompt", indent=indent):
            self._report(
                place,
                f"ends before {shown(cut)}, which YAML reads as a comment; put the text in quotes, or in a block after |."
                " An intended comment needs a space after its #"
                + (" and a line of its own" if key == "prompt" else ""),
            )

    def _refuse_tag(self, tag: str | None, place: Place) -> None:
        if tag not in {None, "!"}:
            self._report(place, f"tags are not supported: {shown(str(tag))}")

    def _path(self) -> tuple[Step, ...]:
        """Returns the path of the value that comes next."""
        if not self._open:
            return ()
        parent, key = self._open[-1], self._keys[-1]
        if isinstance(parent.value, list):
            return (*self._paths[-1], len(parent.value))
        return self._paths[-1] if key is None else (*self._paths[-1], key)


def parse_path(field: str) -> tuple[Step, ...]:
    """Returns the steps of a field path such as `epics[1].tasks[0].key`."""
    return tuple(
        int(index) if index else name
        for name, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", field)
        if name or index
    )


def path_text(path: tuple[Step, ...]) -> str:
    """Returns a path in the form `epics[1].tasks[0].key`."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


def _syntax(error: yaml.MarkedYAMLError) -> str:
    if "cannot start any token" in (error.problem or ""):
        return "is not valid YAML: a word cannot start with a tab, @ or `; indent with spaces, and put such text in quotes"
    if "invalid Unicode character escape" in (error.problem or ""):
        return (
            "contains half a character: write the character itself, or its full code point as in \\U0001F680"
        )
    context = f"{error.context}: " if error.context else ""
    return f"is not valid YAML: {context}{error.problem}"
