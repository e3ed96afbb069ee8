"""What patterns with options and wildcards deny, and how much of a command they look at."""

import shlex

import pytest

from heddle.plan.permission_patterns import Denial, Pattern

PUSH = Pattern.parse("Bash(git push:*)")


def denial(text: str, command: str) -> Denial:
    return Pattern.parse(f"Bash({text})").denial("Bash", command)


@pytest.mark.parametrize(
    ("text", "command", "expected"),
    [
        ("rm -rf:*", "rm -f x", Denial.NO),
        ("rm -rf:*", "rm xrf", Denial.NO),
        ("rm -rf:*", "rm --interactive=for x", Denial.NO),
        ("rm -rf:*", "rm $FLAGS x", Denial.MAYBE),
        ("rm -rf:*", 'rm "$FLAGS" x', Denial.MAYBE),
        ("rm -rf:*", "rm `cat flags` x", Denial.MAYBE),
        ("rm -rf:*", "xargs rm", Denial.MAYBE),
        ("rm -rf:*", "rm a$X", Denial.NO),
        ("rm -rf:*", "rm x '$y'", Denial.NO),
        ("rm -rf:*", '"$X" a', Denial.NO),
        ("git push --force-with-lease:*", "git push --force-with-lease=main origin", Denial.YES),
    ],
)
def test_denies_options(text: str, command: str, expected: Denial) -> None:
    """An option is found in a cluster and with a value; one that an unknown word may contain is a question."""
    assert denial(text, command) is expected


@pytest.mark.parametrize(
    ("text", "command", "expected"),
    [
        ("npm run *", '"$X" run test', Denial.MAYBE),
        ("npm run *", "/usr/bin/npm run test", Denial.YES),
        ("npm -s run *", "/usr/bin/npm -s run x", Denial.YES),
        ("npm run -*", "/usr/bin/npm -s run -x", Denial.YES),
        ("npm run -*", "npm --prefix x run -y", Denial.YES),
        ("npm run -*", "npm --prefix=x run -y", Denial.YES),
        ("npm run -*", "npm --prefix=x --loglevel=y run -y", Denial.YES),
        ("git push -*", "git -C . push -f", Denial.YES),
        ("git push -*", "git -C . -c a=b push -f", Denial.YES),
        ("npm run test", "npm run --silent test", Denial.YES),
        ("npm run", "npm $x", Denial.MAYBE),
        ("npm run *", 'npm install "$x"', Denial.NO),
    ],
)
def test_denies_by_wildcards(text: str, command: str, expected: Denial) -> None:
    """A wildcard is compared with the command, also under its plain name and without options of the program."""
    assert denial(text, command) is expected


def nested(levels: int, command: str) -> str:
    for _ in range(levels):
        command = f"sh -c {shlex.quote(command)}"
    return command


def texts(count: int) -> str:
    return "".join(f"sh 'x {number}'; " for number in range(count))


def pieces(count: int) -> str:
    return "ls " + "".join(f"{{x{number}}} " for number in range(count))


@pytest.mark.parametrize(
    ("within", "beyond", "harmless"),
    [
        (nested(6, "git push"), nested(7, "git push"), nested(6, "git log")),
        (f"{texts(299)}sh 'git push'", f"{texts(300)}sh 'git push'", texts(300)),
        (f"{pieces(997)}{{git push}}", f"{pieces(998)}{{git push}}", pieces(997)),
    ],
    ids=["depth", "texts", "pieces"],
)
def test_how_much_of_a_command_is_looked_at(within: str, beyond: str, harmless: str) -> None:
    """A denied command is found up to a limit; beyond it, it may be anywhere, and the command becomes a question."""
    assert PUSH.denial("Bash", within) is Denial.YES
    assert PUSH.denial("Bash", beyond) is Denial.MAYBE
    assert PUSH.denial("Bash", harmless) is Denial.NO


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("".join(f"y {number}; " for number in range(908)) + "z 1 2 3", Denial.NO),
        ("".join(f"y {number}; " for number in range(908)) + "z 1 2 3 4", Denial.MAYBE),
        ("y 1; " * 2000, Denial.NO),
    ],
    ids=["20000 words", "one more", "repeated"],
)
def test_how_many_words_are_looked_at(command: str, expected: Denial) -> None:
    """Each command counts 20 in addition to its words; one that is repeated counts once."""
    assert PUSH.denial("Bash", command) is expected


@pytest.mark.parametrize(
    ("text", "command", "expected"),
    [
        ("npm run -*", f"npm {'--a=b ' * 49}run -x", Denial.YES),
        ("npm run -*", f"npm {'--a=b ' * 50}run -x", Denial.MAYBE),
        ("npm run -*", f"npm {'--a=b ' * 49}install -x", Denial.NO),
        ("npm run *", f"npm {'--a=b ' * 50}run test", Denial.YES),
        ("npm run *", f'npm install {"a" * 3986} "$x"', Denial.NO),
        ("npm run *", f'npm install {"a" * 3987} "$x"', Denial.MAYBE),
    ],
    ids=["options", "more options", "harmless", "without options", "length", "longer"],
)
def test_how_much_wildcards_are_compared_with(text: str, command: str, expected: Denial) -> None:
    """Beyond a number of options, or a length with unknown parts, a wildcard may match and asks."""
    assert denial(text, command) is expected
