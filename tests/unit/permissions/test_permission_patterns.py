"""Which calls a pattern matches."""

from pathlib import Path

import pytest

from heddle import pb
from heddle.permissions.permission_patterns import Pattern, parts, rule_for
from heddle.plan.validation import permission_rules


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
        ("Edit(src/**)", "Edit", "/elsewhere/src/a.py"),
        ("WebFetch(domain:example.com)", "WebFetch", "https://badexample.com/"),
        ("WebFetch(domain:example.com)", "WebFetch", "https://evil.org/?example.com"),
    ],
)
def test_is_not_about(text: str, tool: str, target: str) -> None:
    """A call that only looks similar does not match."""
    assert not pattern(text).allows(tool, target)
    assert not pattern(text).denies(tool, target)


def test_a_path_without_a_folder_is_denied_everywhere() -> None:
    """`*.pem` allows files at the top only, and denies them in every folder."""
    assert pattern("Read(*.pem)").denies("Read", "certs/a.pem")
    assert pattern("Read(*.pem)").denies("Read", "/etc/ssl/a.pem")
    assert pattern("Read(*.pem)").allows("Read", "a.pem")
    assert not pattern("Read(*.pem)").allows("Read", "certs/a.pem")
    assert not pattern("Edit(*.md)").allows("Edit", "docs/a.md")
    assert not pattern("Read(certs/*.pem)").denies("Read", "other/certs/a.pem")


def test_a_path_may_start_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path with `~` is one in the home folder of the worker's user."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert pattern("Read(~/.ssh/**)").denies("Read", f"{tmp_path}/.ssh/id_ed25519")
    assert not pattern("Read(~/.ssh/**)").denies("Read", f"{tmp_path.parent}/.ssh/id_ed25519")


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
        ("ls && make > log", None),
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
        ("Delete", "a.txt", "Delete(a.txt)"),
        ("Move", "a.txt", "Move(a.txt)"),
        ("mcp__github__create_issue", "a title", "mcp__github__create_issue"),
        ("Bash", "", ""),
        ("Bash", "*", "Bash([*])"),
        ("Read", "/etc/*", ""),
        ("Say it", "x", ""),
        ("WebFetch", "https://example.com\\@evil.example", ""),
        ("WebFetch", "example.com", ""),
    ],
)
def test_a_rule_is_about_calls_like_one(tool: str, target: str, expected: str) -> None:
    """A permanent rule covers the same command, file or host, or the same other tool, and no more."""
    assert rule_for(tool, target) == expected


def test_a_level_has_200_patterns_at_most() -> None:
    """The limit applies to allow and deny separately; an invalid pattern is named with its place."""
    whole = pb.Permissions(allow=["Read"] * 200, deny=["Edit"] * 200)
    assert [*permission_rules.violations("p", whole)] == []
    whole.deny.append("Edit")
    [found] = permission_rules.violations("p", whole)
    assert found.field == "p.deny"
    assert found.description.startswith("has 201 patterns; ")
    wrong = pb.Permissions(allow=["Read", "Bash("], deny=["Bash("])
    assert [each.field for each in permission_rules.violations("p", wrong)] == ["p.allow[1]", "p.deny[0]"]


def test_a_level_has_a_known_default_and_a_positive_wait() -> None:
    """Without a wait, a question waits forever; a wait of zero is an error."""
    level = pb.Permissions(default=pb.PERMISSION_DECISION_ALLOW)
    assert [*permission_rules.violations("p", level)] == []
    level.wait.FromSeconds(1)
    assert [*permission_rules.violations("p", level)] == []
    level.wait.FromSeconds(0)
    assert [each.field for each in permission_rules.violations("p", level)] == ["p.wait"]
    unknown = pb.Permissions(default=99)  # type: ignore[arg-type]  # what a newer client may send
    assert [each.field for each in permission_rules.violations("p", unknown)] == ["p.default"]


def test_levels_are_combined_the_nearest_first() -> None:
    """Nothing given means nothing set; repeated patterns count once; the levels are not changed."""
    near = pb.Permissions(allow=["Read"], deny=["Edit"])
    far = pb.Permissions(default=pb.PERMISSION_DECISION_DENY, allow=["Read", "Write"], deny=["Edit", "Bash"])
    far.wait.FromSeconds(9)
    whole = permission_rules.merged(near, far)
    assert whole.default == pb.PERMISSION_DECISION_DENY
    assert (list(whole.allow), list(whole.deny), whole.wait.seconds) == (
        ["Read", "Write"],
        ["Edit", "Bash"],
        9,
    )
    far.wait.FromSeconds(7)
    near.wait.FromSeconds(5)
    assert permission_rules.merged(near, far).wait.seconds == 5
    assert list(near.allow) == ["Read"]
    assert permission_rules.merged() == pb.Permissions()


def test_a_long_invalid_pattern_is_cut_in_its_error() -> None:
    """80 characters are enough to recognize it."""
    with pytest.raises(ValueError, match=f"^'{'ä' * 80}' is not a valid pattern"):
        pattern("ä" * 81)


@pytest.mark.parametrize(
    ("text", "tool", "target", "exact"),
    [
        ("Bash(make)", "Bash", " make ", True),
        ("Bash(make)", "Bash", "make all", False),
        ("Bash(make)", "Read", "make", False),
        ("Bash", "Bash", "", False),
        ("Bash(rm [*])", "Bash", "rm *", True),
        ("Bash(rm *)", "Bash", "rm *", False),
    ],
)
def test_exactly_one_call(text: str, tool: str, target: str, exact: bool) -> None:
    """Only a pattern with an argument names one call, with its wildcards escaped."""
    assert pattern(text).is_exactly(tool, target) is exact


@pytest.mark.parametrize(
    "command",
    ["ls {git push}", "${git push}", "x <(git push)", "a\n git push", "a & git push", "a; <git push"],
)
def test_a_denied_part_is_found_behind_any_sign(command: str) -> None:
    """Braces, substitutions, lines and background jobs hide no command."""
    assert pattern("Bash(git push:*)").denies("Bash", command)
    assert pattern("Bash(git push)").denies("Monitor", command) is False


def test_spaces_of_commands_do_not_matter() -> None:
    """Both the pattern and the command may have more blanks than needed."""
    for text in ("Bash(npm  run :*)", "Bash(npm   run   *)"):
        assert pattern(text).allows("Bash", " npm run  test ")


def test_hosts_are_compared_without_case() -> None:
    """An address without a host has none that a pattern could name."""
    assert pattern("WebFetch(domain:EXAMPLE.com)").allows("WebFetch", "https://Docs.Example.com/")
    assert not pattern("WebFetch(domain:example.com)").allows("WebFetch", "example.com")
    assert rule_for("WebFetch", "no address") == "WebFetch"
    assert rule_for("Search", "https://x.org/") == "Search"
