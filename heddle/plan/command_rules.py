"""Compares a shell command with the argument of a pattern such as `Bash(git push:*)`.

To allow, a pattern must cover a simple command as it is written. To deny, it is enough that the command runs
what the pattern names in any way that can be seen: within other constructs, through programs that run others, in a
text for a shell, or with options in between.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from fnmatch import fnmatchcase
from functools import cached_property, lru_cache
from itertools import islice
from typing import Final

from heddle.plan import command_programs, globs
from heddle.plan.shell_words import Command, Word, read, word

PREFIX: Final = ":*"

# What is looked at: texts within texts, texts in total, starts of a command among arguments, words in total, and
# options before the command of a program. An agent chooses the command, so without limits it could stop its host.
_DEPTH: Final = 6
_TEXTS: Final = 300
_STARTS: Final = 200
_PIECES: Final = 1_000
_WORDS: Final = 20_000
_OPTIONS: Final = 50
# Longer commands with parts that are only known at run time are not compared with wildcards.
_COMPARED: Final = 4_000

_SEPARATORS: Final = re.compile(r"&&|\|\||[;|&\n`(){}]")
_CLASS: Final = re.compile(r"\[[^\]]+\]")
_BACKTICK: Final = re.compile(r"(?<!\\)`")
_BLANKS: Final = re.compile(r"[ \t\n]+")
_ANYTHING: Final = Word("", "", static=False, many=True)


class Denial(IntEnum):
    """Whether a command runs what a pattern names. MAYBE: this is only known when it runs."""

    NO = 0
    MAYBE = 1
    YES = 2


@dataclass(frozen=True)
class _Reading:
    """One sequence of words that a command may run. `likely`: an unknown first word is worth a question."""

    words: tuple[Word, ...]
    likely: bool

    @cached_property
    def program(self) -> str | None:
        return command_programs.program(self.words[0])

    @cached_property
    def source(self) -> str:
        return _spaced(" ".join(each.source for each in self.words))

    @cached_property
    def variants(self) -> tuple[tuple[str, bool], ...]:
        """The texts that wildcards are compared with, `*` for what is unknown; and whether all of it is known."""
        return tuple(
            dict.fromkeys(
                (
                    _spaced(" ".join("*" if each.value is None else each.value for each in words)),
                    all(each.value is not None for each in words),
                )
                for words in _variants(self.words, self.program)
            )
        )


@dataclass(frozen=True)
class _Readings:
    found: tuple[_Reading, ...]
    # False: there may be more that cannot be seen.
    complete: bool
    # The unquoted text between signs of the shell: a parser may see an argument where another shell sees a command.
    pieces: tuple[str, ...] = ()


def parts(command: str) -> list[str] | None:
    """Returns the simple commands of a shell command as written; None if it is more than these.

    It is more with a substitution, a redirection (except of descriptors and /dev/null), a function, or a text
    that the parser does not understand.
    """
    script = read(command)
    return [each.source for each in script.commands] if script.plain else None


def covers(argument: str, command: str) -> bool:
    """Returns whether `argument` covers every part of the command, with all options that write or run something."""
    script = read(command)
    named = {each.partition("=")[0].rstrip("*") for each in argument.removesuffix(PREFIX).split()}
    return (
        script.plain
        and bool(script.commands)
        and all(
            _matches(argument, each.source) and named.issuperset(command_programs.risky_options(each))
            for each in script.commands
        )
    )


def denial(argument: str, command: str) -> Denial:
    """Returns whether the command runs what `argument` names."""
    readings = _readings(command)
    best = Denial.NO if readings.complete else Denial.MAYBE
    if any(_matches(argument, piece) for piece in readings.pieces):
        return Denial.YES
    for reading in readings.found:
        best = max(best, _denial(argument, reading))
        if best is Denial.YES:
            break
    return best


def _matches(argument: str, text: str) -> bool:
    text = _spaced(text)
    if argument.endswith(PREFIX):
        prefix = _spaced(argument.removesuffix(PREFIX))
        return text == prefix or text.startswith(f"{prefix} ")
    return fnmatchcase(text, _spaced(argument))


def _spaced(text: str) -> str:
    return _BLANKS.sub(" ", text).strip(" ")


@lru_cache(maxsize=64)
def _readings(command: str) -> _Readings:  # noqa: C901 (one queue with its limits)
    found: dict[_Reading, None] = {}
    budget = _WORDS
    split = (_spaced(each.strip().lstrip("$<> ")) for each in _SEPARATORS.split(read(command).bare))
    pieces = tuple(islice(dict.fromkeys(split), _PIECES))
    complete = len(pieces) < _PIECES
    seen = {command}
    waiting = [(command, True, 0)]
    while waiting:
        text, sure, depth = waiting.pop()
        script = read(text)
        # The arguments of programs are often no shell commands at all.
        complete &= script.known or not sure
        from_input = [each for each in script.commands if command_programs.reads_script(each)]
        complete &= all(each.input for each in from_input)
        inner: list[tuple[str, bool]] = []
        if not script.known:
            inner += [(part.strip(" \t$<>'\""), False) for part in _SEPARATORS.split(text)]
        for each in script.commands:
            begun, whole = _starts(each, likely=sure)
            for reading in begun:
                if reading not in found:
                    budget -= len(reading.words) + 20
                if budget < 0:
                    return _Readings(tuple(found), False, pieces)
                found[reading] = None
            complete &= whole
            inner += command_programs.texts(each)
            if _BACKTICK.search(text):
                # The grammar takes a substitution within another for a word.
                inner += [(argument.text, False) for argument in each.words if "\\`" in argument.source]
            if from_input:
                inner += [(each.input, True), *((argument.text, False) for argument in each.words[1:])]
        for argument, surely in inner:
            if argument in seen or not argument:
                continue
            if depth == _DEPTH or len(seen) > _TEXTS:
                complete = False
                break
            seen.add(argument)
            waiting.append((argument, sure and surely, depth + 1))
    return _Readings(tuple(found), complete, pieces)


def _starts(command: Command, *, likely: bool) -> tuple[list[_Reading], bool]:
    """Returns what the command may run, and whether that is all."""
    if not command.words:
        return ([_Reading(command.assignments, likely=False)] if command.assignments else []), True
    found = [_Reading(command.words, likely)]
    if command.assignments:
        found.append(_Reading(command.assignments + command.words, likely=False))
    if not command_programs.runs_arguments(command):
        return found, True
    name = command_programs.program(command.words[0])
    appended = (_ANYTHING,) if name in command_programs.APPENDING else ()
    # A shell's first argument is a file, and of git only some commands run others.
    before_only_options = likely and name in command_programs.RUNNERS
    for start in range(1, min(len(command.words), _STARTS)):
        before = command.words[start - 1].text
        if start > 1:
            before_only_options &= before.startswith("-") or before[:1].isdigit() or "=" in before
        after_option = before.startswith("-") and name in command_programs.RUNNERS
        found.append(
            _Reading(command.words[start:] + appended, likely and (before_only_options or after_option))
        )
    return found, len(command.words) <= _STARTS


def _denial(argument: str, reading: _Reading) -> Denial:
    name = reading.program
    if name is None and not reading.likely:
        return Denial.NO
    if argument.endswith(PREFIX):
        prefix = _spaced(argument.removesuffix(PREFIX))
        if reading.source == prefix or reading.source.startswith(f"{prefix} "):
            return Denial.YES
        return _prefix(_pattern_words(prefix), reading.words, name)
    argument = _spaced(argument)
    if fnmatchcase(reading.source, argument):
        return Denial.YES
    return max(_wildcard(argument, text, known=known) for text, known in reading.variants)


@lru_cache(maxsize=1_000)
def _pattern_words(text: str) -> tuple[str, ...]:
    return tuple(word(each).text for each in text.split(" "))


def _prefix(names: Sequence[str], words: Sequence[Word], program: str | None) -> Denial:
    """Compares the words of a command with those of a pattern; options may be in between and in any order."""
    first = names[0].rpartition("/")[2].casefold()
    if program is not None and program != first:
        return Denial.NO
    ordered = _in_order([each for each in names[1:] if not each.startswith("-")], words, program)
    options = (_has_option(each, words) for each in names[1:] if each.startswith("-"))
    return min((ordered, *options, Denial.MAYBE if program is None else Denial.YES))


def _in_order(names: Sequence[str], words: Sequence[Word], program: str | None) -> Denial:  # noqa: C901 (one automaton)
    if program is None and words[0].many:
        return Denial.MAYBE
    # How many names were found, whether the last word was an option that may take a value, and how certain it is.
    states: set[tuple[int, bool | None, Denial]] = {(0, False, Denial.YES)}
    best = Denial.NO
    for each in (*words[1:], None):
        best = max((best, *(sure for found, _, sure in states if found == len(names))))
        if each is None or best is Denial.YES:
            break
        following: set[tuple[int, bool | None, Denial]] = set()
        for found, value_next, sure in states:
            if found == len(names):
                continue
            if value_next is not False:
                following.add((found, False, sure))
            if each.many and each.value is None:
                best = Denial.MAYBE
            if value_next is True:
                continue
            if each.value is None:
                following.add((found + 1, False, Denial.MAYBE))
            elif each.value == names[found]:
                following.add((found + 1, False, sure))
            elif each.value.startswith(("-", "+")):
                following.add((found, command_programs.takes_value(program, each.value), sure))
        states = following
    return best


def _has_option(option: str, words: Sequence[Word]) -> Denial:
    letters = set(option[1:]) if re.fullmatch(r"-[A-Za-z]+", option) else set()
    for each in words[1:]:
        if each.text == option or each.text.startswith(f"{option}="):
            return Denial.YES
        if each.text.startswith("-") and not each.text.startswith("--"):
            letters -= set(each.text[1:])
            if not letters and re.fullmatch(r"-[A-Za-z]+", option):
                return Denial.YES
    unknown = any(not each.static and each.text[:1] in {"$", "`", ""} for each in words[1:])
    return Denial.MAYBE if unknown else Denial.NO


def _variants(words: tuple[Word, ...], program: str | None) -> Iterator[tuple[Word, ...]]:
    """Yields the command with the program's plain name, and also without its first options, or without any."""
    first = words[0] if program is None else Word(program, program)
    yield (first, *words[1:])
    place = 1
    while place < min(len(words), _OPTIONS) and words[place].text.startswith("-"):
        takes = command_programs.takes_value(program, words[place].text)
        place += 1
        if takes is not True:
            yield (first, *words[place:])
        if takes is not False:
            yield (first, *words[place + 1 :])
            place += takes is True
    if place < len(words) and words[place].text.startswith("-"):
        # More options than are looked at: the rest may be anything.
        yield (first, _ANYTHING)
    yield (first, *(each for each in words[1:] if not each.text.startswith("-")))


def _wildcard(argument: str, text: str, *, known: bool) -> Denial:
    if known:
        return Denial.YES if fnmatchcase(text, argument) else Denial.NO
    if len(text) > _COMPARED:
        return Denial.MAYBE
    # Equal beginnings are needed anyway, and cheap to compare.
    if _literal(argument)[: len(_literal(text))] != _literal(text)[: len(_literal(argument))]:
        return Denial.NO
    return Denial.MAYBE if globs.names_overlap(_CLASS.sub("?", argument), text) else Denial.NO


def _literal(text: str) -> str:
    return re.split(r"[*?[]", text, maxsplit=1)[0]
