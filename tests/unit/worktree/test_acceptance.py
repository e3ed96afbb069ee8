"""Which changes of a task are refused."""

import pytest

from heddle import pb
from worktree_svc.content.acceptance import MAX_FILE_BYTES, NewFile, unexpected, unwanted
from worktree_svc.content.ignored_files import IgnoredFiles, is_cache
from worktree_svc.content.unfinished_operations import under_way

KEY = b"-----BEGIN OPENSSH PRIVATE KEY-----\n"


def refused(path: str, content: bytes = b"", size: int | None = None) -> bool:
    file = NewFile(path, "0" * 40, len(content) if size is None else size)
    return bool(list(unwanted([file], lambda _: content)))


@pytest.mark.parametrize(
    "path",
    [
        *(".env", "web/.env", ".ENV", ".env.local", ".env.production"),
        *("id_rsa", "keys/id_ed25519", ".netrc", ".pypirc", "app.p12", "a/store.JKS"),
    ],
)
def test_files_that_hold_secrets_by_their_name_are_refused(path: str) -> None:
    """The name decides, in any folder and any case; the content does not matter."""
    assert refused(path)


@pytest.mark.parametrize(
    "path", [".env.example", ".env.sample", "id_rsa.pub", "env", "dotenv.py", "x.environment"]
)
def test_names_that_only_look_like_it_are_not(path: str) -> None:
    """Examples, public keys and ordinary words are committed."""
    assert not refused(path, KEY)


@pytest.mark.parametrize(
    ("path", "content", "is_secret"),
    [
        ("tls/server.pem", KEY, True),
        ("tls/server.pem", b"-----BEGIN CERTIFICATE-----\n", False),
        ("server.key", b"-----BEGIN PRIVATE KEY-----\n", True),
        ("sort.key", b"by name\n", False),
        (".npmrc", b"registry=https://r/\n//r/:_authToken=abc\n", True),
        (".npmrc", b"//r/:_authToken=${NPM_TOKEN}\n", False),
        (".npmrc", b"# //r/:_authToken=abc\n", False),
        (".npmrc", b"//r/:_authToken=\n", False),
        (".yarnrc.yml", b'npmAuthToken: "abc"\n', True),
        (".yarnrc.yml", b'npmAuthToken: "${TOKEN}"\n', False),
    ],
)
def test_some_files_are_refused_for_their_content(path: str, content: bytes, is_secret: bool) -> None:
    """Keys and tokens are refused; certificates and references to variables are not."""
    assert refused(path, content) == is_secret


def test_large_files_are_refused_with_their_size() -> None:
    """A file of exactly the limit is allowed."""
    assert not refused("a.bin", size=MAX_FILE_BYTES)
    large = NewFile("a.bin", "0" * 40, 61 << 20)
    assert list(unwanted([large], lambda _: b"")) == [("a.bin", "61 MiB, more than 50")]


def test_an_empty_change_is_refused_only_where_changes_are_expected() -> None:
    """The error names ignored files, which an agent may take for changes; a merge is a change."""
    said = [
        unexpected(expect, [], merges=False, ignored=lambda: IgnoredFiles(["lib/u"], 3))
        for expect in (pb.EXPECT_UNSPECIFIED, pb.EXPECT_ANY, pb.EXPECT_NOTHING, pb.EXPECT_CHANGES)
    ]
    assert said[:3] == ["", "", ""]
    assert said[3].endswith("git ignores what was written: lib/u and 2 more")
    assert "expect: changes" in unexpected(pb.EXPECT_CHANGES, [], merges=False, ignored=IgnoredFiles)
    assert not unexpected(pb.EXPECT_CHANGES, [], merges=True, ignored=IgnoredFiles)


def test_a_change_is_refused_only_where_nothing_is_expected() -> None:
    """The message names what was changed."""
    said = unexpected(pb.EXPECT_NOTHING, ["a.txt"], merges=False, ignored=IgnoredFiles)
    assert said.endswith("it changed a.txt")
    assert not unexpected(pb.EXPECT_CHANGES, ["a.txt"], merges=False, ignored=IgnoredFiles)


@pytest.mark.parametrize(
    ("marks", "on_branch", "name"),
    [
        ({"rebase-apply/applying"}, True, "git am"),
        ({"BISECT_LOG"}, False, "git bisect"),
        ({"BISECT_LOG"}, True, None),
        (set(), False, None),
    ],
)
def test_unfinished_operations_are_recognised(marks: set[str], on_branch: bool, name: str | None) -> None:
    """An operation is unfinished if its files are not in the state that the agent intended."""
    found = under_way(marks, on_branch=on_branch)
    assert (found.name if found else None) == name


def test_caches_are_known_by_their_names() -> None:
    """Folders of source code are not caches."""
    assert all(map(is_cache, ["node_modules", "__pycache__", "a.pyc", "npm-debug.log", ".heddle"]))
    assert not any(map(is_cache, ["lib", "dist", "build", "target", "data.json"]))
