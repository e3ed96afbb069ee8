"""How a shell command is taken apart: the words that the shell passes on, and which command gets which input."""

import pytest

from heddle.plan.permission_patterns import Denial, Pattern, parts
from heddle.plan.shell_words import MAX_BYTES, read, word


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("git", "git"),
        ("'git'", "git"),
        ('pu"sh"', "push"),
        ("'a'b'c'", "abc"),
        ("''a''", "a"),
        ('""a""', "a"),
        (r"'a\b'", r"a\b"),
        ("'$x'", "$x"),
        ('"it\'s"', "it's"),
        (r"gi\t", "git"),
        ("g\\\nit", "git"),
        (r"\$x", "$x"),
        (r'"\$x\`\"\\"', '$x`"\\'),
        (r'"a\qb"', r"a\qb"),
        ('"a\\\nb"', "ab"),
        ("a$", "a$"),
        ('"a$"', "a$"),
        ('"costs $ 5"', "costs $ 5"),
        ('"a$"b', "a$b"),
        ('"a>b<c"', "a>b<c"),
        ("'*.py'", "*.py"),
        ('"{a,b}"', "{a,b}"),
        ("{a}", "{a}"),
        ('$"push"', "push"),
        ("$''push", "push"),
        ("$'push'", "push"),
        (r"$'pu\x73h'", "push"),
        (r"$'pus\x68'", "push"),
        (r"$'\x70ush'", "push"),
        (r"$'\x{70}ush'", "push"),
        (r"$'\x{70ush'", "push"),
        (r"$'\x{00000170}ush'", "push"),
        (r"$'\x70}'", "p}"),
        (r"$'\u70ush'", "push"),
        (r"$'\u0070ush'", "push"),
        (r"$'\u00e4'", "ä"),
        (r"$'\U70ush'", "push"),
        (r"$'\U00000070ush'", "push"),
        (r"$'\U0001F600'", "\U0001f600"),
        (r"$'\U0010FFFF'", "\U0010ffff"),
        (r"$'\U00110000'", "\ufffd"),
        (r"$'\160ush'", "push"),
        (r"$'\560ush'", "push"),
        (r"$'\0160'", "\x0e0"),
        (r"$'\7'", "\x07"),
        (r"$'push\0 origin'", "push"),
        (r"$'push\x00 origin'", "push"),
        (r"$'push\x{}'", "push"),
        (r"$'pu\0rest'sh", "push"),
        (r"$'\n\t\r\a\b\f\v\e\E'", "\n\t\r\a\b\f\v\x1b\x1b"),
        (r"$'\cA\ca\c?\c['", "\x01\x01\x7f\x1b"),
        (r"$'\\ \' \" \?'", "\\ ' \" ?"),
        (r"$'\q'", r"\q"),
        (r"$'a\\'b", "a\\b"),
        (r"$'a\'b'", "a'b"),
    ],
)
def test_the_value_of_a_word(source: str, value: str) -> None:
    """Quotes and escapes are removed as bash does it, so that no way of writing hides a word."""
    found = word(source)
    assert (found.value, found.source, found.many) == (value, source, False)


@pytest.mark.parametrize(
    ("source", "many", "glob"),
    [
        ("$x", True, False),
        ('"$x"', False, False),
        ('a"$x"b', False, False),
        ('"$x"$y', True, False),
        ("`id`", True, False),
        ('"`id`"', False, False),
        ("<(id)", True, False),
        ("$$", True, False),
        ("*.py", True, True),
        ("a?", True, True),
        ("[ab]", True, True),
        ("{a,b}", True, True),
        ("x{1..3}", True, True),
        ("'a'*", True, True),
    ],
)
def test_a_word_that_only_the_run_shows(source: str, many: bool, glob: bool) -> None:
    """Expansions and wildcards have no value that is known before; without quotes, they may become several words."""
    found = word(source)
    assert (found.value, found.many, found.glob) == (None, many, glob)


@pytest.mark.parametrize(
    ("source", "text"),
    [("'abc", "abc"), ("$'abc", "abc"), ("$'abc\\", "abc\\"), ('"abc', "abc"), ("abc\\", "abc\\"), ("", "")],
)
def test_an_unfinished_word_has_what_is_there(source: str, text: str) -> None:
    """A quote without an end reaches to the end of the word."""
    assert word(source).text == text


@pytest.mark.parametrize(
    ("text", "commands"),
    [
        ("git log", [("git log", "")]),
        ("x=1; git log", [("x=1", ""), ("git log", "")]),
        ("A=1 B=2 git log", [("A=1 B=2 git log", "")]),
        ("export A=1; git log", [("export A=1", ""), ("git log", "")]),
        ("bash <<EOF\na b\nEOF", [("bash", "a b\n")]),
        ("A=1 bash <<< 'a b'", [("A=1 bash", "a b")]),
        ("<<< x bash", [("bash", "x")]),
        ("true && bash <<EOF\nx\nEOF", [("true", ""), ("bash", "x\n")]),
        ("cat a | tee b | bash <<EOF\nx\nEOF", [("cat a", ""), ("tee b", ""), ("bash", "x\n")]),
        ("bash <<EOF | cat\nx\nEOF", [("bash", "x\n"), ("cat", "")]),
        ("bash <<EOF && ls\nx\nEOF", [("bash", "x\n"), ("ls", "")]),
        ("true; bash <<EOF\nx\nEOF\nls", [("true", ""), ("bash", "x\n"), ("ls", "")]),
        ("a; bash <<EOF > f\nx\nEOF", [("a", ""), ("bash", "x\n")]),
        ("bash <<EOF -x\ny\nEOF", [("bash -x", "y\n")]),
        ("{ a; } <<EOF\nx\nEOF", [("a", ""), ("", "x\n")]),
        ("if a; then b; fi <<< x", [("a", ""), ("b", ""), ("", "x")]),
        ("git > f push", [("git push", "")]),
        ("> f git push", [("git push", "")]),
        ("(a) > f", [("a", "")]),
        ("[ -f x ] > f", [("[ -f x ]", "")]),
    ],
)
def test_the_commands_of_a_text_and_their_input(text: str, commands: list[tuple[str, str]]) -> None:
    """Each command has its words in order, wherever redirections are, and its own here-documents."""
    assert [(each.source, each.input) for each in read(text).commands] == commands


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("echo " + "a" * (MAX_BYTES - 5), True),
        ("echo " + "a" * (MAX_BYTES - 4), False),
        ("echo x" + "ä" * ((MAX_BYTES - 6) // 2), True),
        ("echo x" + "ä" * ((MAX_BYTES - 4) // 2), False),
    ],
    ids=["bytes", "one more", "letters of two bytes", "one more letter"],
)
def test_the_longest_command_that_is_read(text: str, known: bool) -> None:
    """A command of 64 KiB is read; a longer one may run anything, so nothing allows it, and a denial asks."""
    assert MAX_BYTES == 65_536
    assert read(text).known is known
    assert (parts(text) is not None) is known
    assert Pattern.parse("Bash(echo:*)").allows("Bash", text) is known
    assert Pattern.parse("Bash(git push:*)").denial("Bash", text) is (Denial.NO if known else Denial.MAYBE)
