"""Reads a shell command: its simple commands at every depth, each as the words that the shell passes on.

The parser is tree-sitter with the grammar of bash. It is only imported when a command is read.
"""

import re
import sys
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tree_sitter import Node, Parser

# Longer commands are not read: `Script.known` is false.
MAX_BYTES: Final = 64 << 10

# The shell treats these as parts of words, other programs as space.
_ODD_SPACE: Final = re.compile(r"[^\S \t\n]|[\x00-\x08\x0e-\x1f\x7f]")
# The escapes of $'…', as bash reads them.
_ANSI: Final = re.compile(
    r"\\(?:x\{(?P<braced>[0-9A-Fa-f]*)\}?|x(?P<byte>[0-9A-Fa-f]{1,2})|u(?P<short>[0-9A-Fa-f]{1,4})"
    r"|U(?P<long>[0-9A-Fa-f]{1,8})|(?P<octal>[0-7]{1,3})|c(?P<control>.)|(?P<letter>.))",
    re.DOTALL,
)
_ANSI_LETTERS: Final = dict(zip("ntrabfveE\\'\"?", "\n\t\r\a\b\f\v\x1b\x1b\\'\"?", strict=True))

_GLOB: Final = re.compile(r"[*?]|\[.*\]|\{.*(?:,|\.\.).*\}", re.DOTALL)


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


_COMMANDS: Final = frozenset({"command", "declaration_command", "unset_command", "test_command"})
_REDIRECTS: Final = frozenset({"file_redirect", "heredoc_redirect", "herestring_redirect"})
# The simple commands within these can be judged one by one, with nothing else that has an effect.
_PLAIN: Final = _set("""
    program list pipeline command command_name word string string_content raw_string ansi_c_string concatenation
    number simple_expansion variable_name special_variable_name negated_command comment variable_assignment
    declaration_command unset_command test_command unary_expression binary_expression test_operator
    parenthesized_expression if_statement elif_clause else_clause while_statement for_statement do_group
    compound_statement subshell redirected_statement file_redirect file_descriptor
    """)
_QUOTED: Final = _set("string raw_string ansi_c_string heredoc_body comment")
_SAFE_REDIRECT: Final = re.compile(r"\d*>&\d|(?:\d*|&)>>?\s*/dev/null|\d*<\s*/dev/null")


@dataclass(frozen=True)
class Word:
    """One word of a command."""

    # As written.
    source: str
    # Without quotes; expansions such as $x are left as written.
    text: str
    # False: the value is only known at run time.
    static: bool = True
    # True: it may become several words, or none.
    many: bool = False
    # True: an unquoted wildcard or brace.
    glob: bool = False

    @property
    def value(self) -> str | None:
        """The value; None if it is only known at run time."""
        return self.text if self.static and not self.glob else None


@dataclass(frozen=True)
class Command:
    """One simple command, without its redirections."""

    words: tuple[Word, ...]
    assignments: tuple[Word, ...] = ()
    # What a here-document or here-string passes to it.
    input: str = ""

    @property
    def source(self) -> str:
        """The command as written, with single spaces between its words."""
        return " ".join(word.source for word in (*self.assignments, *self.words))


@dataclass(frozen=True)
class Script:
    """What a shell command runs.

    `plain`: it consists of its `commands` and nothing else: no substitution, no redirection of a file, no
    function, no part that is only known at run time except `$name` as an argument. `known`: the parser understood
    all of it.
    """

    commands: tuple[Command, ...] = ()
    plain: bool = False
    known: bool = False
    # The text, without what is in quotes, comments and here-documents.
    bare: str = ""


@lru_cache(maxsize=256)
def read(text: str) -> Script:
    """Returns what `text` runs; a text that the parser does not understand is neither `known` nor `plain`."""
    odd = bool(_ODD_SPACE.search(text))
    source = _ODD_SPACE.sub(" ", text).encode(errors="replace")
    if len(source) > MAX_BYTES:
        return Script()
    root = _parser().parse(source).root_node
    reader = _Reader()
    reader.walk(root)
    known = not root.has_error
    bare = bytearray(source)
    for start, end in reader.quoted:
        bare[start:end] = b"_" * (end - start)
    return Script(
        tuple(reader.commands()),
        plain=known and reader.plain and not odd,
        known=known,
        bare=bare.decode(errors="replace"),
    )


@cache
def _parser() -> "Parser":
    import tree_sitter  # noqa: PLC0415 (most commands of Heddle read no shell)
    import tree_sitter_bash  # noqa: PLC0415 (same)

    return tree_sitter.Parser(tree_sitter.Language(tree_sitter_bash.language()))


@dataclass
class _Draft:
    words: list[Word] = field(default_factory=list)
    assignments: list[Word] = field(default_factory=list)
    input: list[str] = field(default_factory=list)


class _Reader:
    """Collects the simple commands of a syntax tree, without recursion: the depth is the agent's choice."""

    def __init__(self) -> None:
        self.plain = True
        # Places in bytes, from and to.
        self.quoted: list[tuple[int, int]] = []
        self._drafts: dict[int, _Draft] = {}

    def commands(self) -> list[Command]:
        return [
            Command(tuple(draft.words), tuple(draft.assignments), "\n".join(draft.input))
            for draft in self._drafts.values()
            if draft.words or draft.assignments or draft.input
        ]

    def walk(self, root: "Node") -> None:
        waiting: list[tuple[Node, Node | None]] = [(root, None)]
        while waiting:
            node, parent = waiting.pop()
            if node.is_named and node.type not in _PLAIN:
                self.plain = False
            if node.type in _QUOTED:
                self.quoted.append((node.start_byte, node.end_byte))
            self._see(node, parent)
            waiting.extend((child, node) for child in reversed(node.children))

    def _see(self, node: "Node", parent: "Node | None") -> None:
        if node.type in _COMMANDS:
            self._command(node)
        elif node.type == "variable_assignment":
            if parent is None or parent.type not in _COMMANDS:
                self._drafts[node.id] = _Draft(assignments=[_word(node)])
        elif node.type == "for_statement":
            values = [_word(child) for child in node.children_by_field_name("value")]
            if any(value.value is None or value.text.startswith("-") for value in values):
                self.plain = False
        elif node.type in _REDIRECTS:
            self._redirect(node, parent)

    def _command(self, node: "Node") -> None:
        draft = self._drafts.setdefault(node.id, _Draft())
        for child in node.children:
            if child.type == "variable_assignment" and node.type == "command":
                draft.assignments.append(_word(child))
            elif child.type not in _REDIRECTS:
                draft.words.append(_word(child))
        if node.type == "command" and (not draft.words or draft.words[0].value is None):
            self.plain = False

    def _redirect(self, node: "Node", parent: "Node | None") -> None:
        if node.type != "file_redirect" or not _SAFE_REDIRECT.fullmatch(_text(node)):
            self.plain = False
        draft = self._target(node, parent)
        if node.type == "file_redirect":
            # The grammar takes words after the file for further files; the shell passes them to the command.
            draft.words += [_word(each) for each in node.children_by_field_name("destination")[1:]]
        elif node.type == "heredoc_redirect":
            draft.words += [_word(each) for each in node.children_by_field_name("argument")]
            draft.input += [_text(each) for each in node.children if each.type == "heredoc_body"]
        else:
            draft.input += [_word(each).text for each in node.children if each.is_named]

    def _target(self, node: "Node", parent: "Node | None") -> _Draft:
        """Returns the command that the redirection belongs to; a separate one if that is no simple command."""
        while parent is not None and parent.type in {*_REDIRECTS, "redirected_statement"}:
            if parent.type == "redirected_statement":
                body = parent.child_by_field_name("body")
                while body is not None and body.type in {"pipeline", "list"} and body.children:
                    body = body.children[-1]
                node = body or node
                break
            parent = parent.parent
        else:
            node = parent if parent is not None and parent.type in _COMMANDS else node
        return self._drafts.setdefault(node.id, _Draft())


def _text(node: "Node") -> str:
    return (node.text or b"").decode(errors="replace")


def _word(node: "Node") -> Word:
    return word(_text(node))


def word(source: str) -> Word:
    """Returns the word that the shell makes of `source`, one word as written."""
    done: list[str] = []
    static, many, globbed = True, False, False
    place, quoted = 0, False
    while place < len(source):
        char = source[place]
        if char == "\\" and place + 1 < len(source):
            following = source[place + 1]
            kept = char if quoted and following not in '$`"\\\n' else ""
            done.append(kept + following if following != "\n" else "")
            place += 2
            continue
        if char == '"':
            quoted = not quoted
        elif char == "'" and not quoted:
            end = source.find("'", place + 1)
            end = len(source) if end < 0 else end
            done.append(source[place + 1 : end])
            place = end
        elif source.startswith("$'", place) and not quoted:
            end = _ansi_end(source, place + 2)
            # The shell ends the text at a null character.
            done.append(_ANSI.sub(_ansi, source[place + 2 : end]).partition("\0")[0])
            place = end
        elif source.startswith('$"', place) and not quoted:
            pass
        else:
            expands = char == "`" or (char == "$" and source[place + 1 : place + 2].strip() not in {"", '"'})
            substitutes = char in "<>" and not quoted
            if expands or substitutes:
                static, many = False, many or not quoted
            elif not quoted and _GLOB.match(source, place):
                globbed = many = True
            done.append(char)
        place += 1
    return Word(source, "".join(done), static, many, globbed)


def _ansi_end(source: str, place: int) -> int:
    while place < len(source) and source[place] != "'":
        place += 2 if source[place] == "\\" else 1
    return min(place, len(source))


def _ansi(found: re.Match[str]) -> str:
    if found["letter"]:
        return _ANSI_LETTERS.get(found["letter"], found[0])
    if found["control"]:
        return "\x7f" if found["control"] == "?" else chr(ord(found["control"]) & 0x1F)
    point = found["short"] or found["long"]
    if point:
        return chr(int(point, 16)) if int(point, 16) <= sys.maxunicode else "\ufffd"
    byte = int(found["octal"], 8) if found["octal"] else int(found["braced"] or found["byte"] or "0", 16)
    return chr(byte & 0xFF)
