"""Which calls a pattern matches."""

import pytest

from heddle.plan.permission_patterns import Pattern, parts, rule_for


def pattern(text: str) -> Pattern:
    return Pattern.parse(text)


@pytest.mark.parametrize(
    ("text", "tool", "target"),
    [
        ("Write", "Write", "a.txt"),
        ("Edit", "Write", "a.txt"),
        ("Edit(src/**)", "MultiEdit", "src/a/b.py"),
        ("Read", "Grep", "src"),
        ("Bash", "Bash", "rm -rf /"),
        ("Bash(*)", "Bash", "make\nmake install"),
        ("Bash(git status:*)", "Bash", "git  status --short"),
        ("Bash(git status:*)", "Bash", "git status"),
        ("Bash(npm run *)", "Bash", "npm run test"),
        ("Bash(make)", "Bash", "make"),
        ("Edit(src)", "Edit", "src/a.py"),
        ("Edit(*.md)", "Edit", "README.md"),
        ("Edit(**/*.md)", "Edit", "README.md"),
        ("Edit(**/*.md)", "Edit", "docs/a/b.md"),
        ("WebFetch(domain:example.com)", "WebFetch", "https://docs.example.com/a?b"),
        ("mcp__github__*", "mcp__github__search", ""),
    ],
)
def test_is_about(text: str, tool: str, target: str) -> None:
    """A pattern matches a tool and the targets that it names."""
    assert pattern(text).allows(tool, target)
    assert pattern(text).denies(tool, target)


@pytest.mark.parametrize(
    ("text", "tool", "target"),
    [
        ("Write", "Edit", "a.txt"),
        ("Bash(git status:*)", "Bash", "git statusx"),
        ("Bash(git status:*)", "Read", "git status"),
        ("Bash(make)", "Bash", "make install"),
        ("Edit(src/**)", "Edit", "tests/src/a.py"),
        ("Edit(*.md)", "Edit", "docs/a.md"),
        ("Edit(src/**)", "Edit", "/elsewhere/src/a.py"),
        ("WebFetch(domain:example.com)", "WebFetch", "https://badexample.com/"),
        ("WebFetch(domain:example.com)", "WebFetch", "https://evil.org/?example.com"),
    ],
)
def test_is_not_about(text: str, tool: str, target: str) -> None:
    """A call that only looks similar does not match."""
    assert not pattern(text).allows(tool, target)
    assert not pattern(text).denies(tool, target)


@pytest.mark.parametrize(
    "command",
    [
        "make && git push",
        "git push; make",
        "true | git push",
        "(git push)",
        "echo $(git push)",
        "a `git push`",
    ],
)
def test_denies_any_part(command: str) -> None:
    """A denied command stays denied as a part of another command."""
    assert pattern("Bash(git push:*)").denies("Bash", command)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("make", ["make"]),
        ("make && git push || true; ls | wc", ["make", "git push", "true", "ls", "wc"]),
        ("echo $(id)", None),
        ("echo `id`", None),
        ("make > /etc/passwd", None),
        ("cat <(id)", None),
    ],
)
def test_parts_of_a_command(command: str, expected: list[str] | None) -> None:
    """A command is split into its parts; the result is None if they cannot be determined reliably."""
    assert parts(command) == expected


@pytest.mark.parametrize("text", ["", "  ", "Bash(", "Bash(git", "Bash git", "(a)", "Bash()", "Bäsh"])
def test_says_which_form_a_pattern_has(text: str) -> None:
    """An invalid pattern is rejected with an example."""
    with pytest.raises(ValueError, match=r"Bash\(git status:\*\)"):
        pattern(text)


@pytest.mark.parametrize(
    ("tool", "target", "expected"),
    [
        ("Bash", "make test", "Bash(make test)"),
        ("Bash", "rm *.tmp && echo [x] > out", "Bash(rm [*].tmp && echo [[]x] > out)"),
        ("Workflow", "run()", "Workflow(run())"),
        ("WebFetch", "https://docs.example.com/a?b=*", "WebFetch(domain:docs.example.com)"),
        ("Write", ".claude/settings.json", "Write(.claude/settings.json)"),
        ("mcp__github__create_issue", "a title", "mcp__github__create_issue"),
        ("Bash", "", ""),
        ("Bash", "*", "Bash([*])"),
        ("Read", "/etc/*", ""),
        ("Say it", "x", ""),
    ],
)
def test_a_rule_is_about_calls_like_one(tool: str, target: str, expected: str) -> None:
    """A permanent rule covers the same command, file or host, or the same other tool, and no more."""
    assert rule_for(tool, target) == expected
