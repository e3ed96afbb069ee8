"""Which pushes of another worker are accepted, and which tokens count."""

import pytest

from heddle import pb
from heddle.names import EpicName
from worktree_svc.git.process import remote_access
from worktree_svc.git.process.environment import ENVIRONMENT
from worktree_svc.served import pushes
from worktree_svc.served.grants import VALID, Grant, Grants
from worktree_svc.served.pushes import Command, Commands, MalformedPushError

EPIC = EpicName("r1", "api")
PLACE = Grant("/home/ada/app", EPIC, 2)

NONE, OLD, NEW = "0" * 40, "1" * 40, "2" * 40
CLAIM, ACCEPTED = "refs/heddle/claim/r1/api", "refs/heddle/accepted/r1/api"
BRANCH = "refs/heads/heddle/r1/epics/api"
KEPT = "refs/heddle/attempts/r1/api"


def packet(line: str) -> bytes:
    return f"{len(line.encode()) + 4:04x}{line}".encode()


def push(*moves: tuple[str, str, str], capabilities: str = "report-status atomic") -> bytes:
    """Returns what git sends for these moves."""
    lines = [f"{old} {new} {ref}" for old, new, ref in moves]
    if lines:
        lines[0] += f"\0 {capabilities}"
    return b"".join(map(packet, lines)) + b"0000"


def answer(*moves: tuple[str, str, str], grant: Grant = PLACE, claimed: int = 2, **more: str) -> str:
    found = pushes.commands(push(*moves, **more))
    assert found is not None
    return pushes.refusal(grant, found, claimed)


@pytest.mark.parametrize(
    "moves",
    [
        [(OLD, NEW, CLAIM)],
        [(NONE, NEW, CLAIM), (NONE, NEW, ACCEPTED), (NONE, NEW, BRANCH)],
        [(OLD, NEW, CLAIM), (OLD, NONE, ACCEPTED), (OLD, NONE, BRANCH)],
        [(NONE, NEW, f"{KEPT}/one/1")],
        [(OLD, NEW, f"{KEPT}/one@3/12")],
        # git asks so whether it may push, before it sends much.
        [],
    ],
)
def test_a_place_pushes_the_refs_of_its_epic(moves: list[tuple[str, str, str]]) -> None:
    """Heddle's own pushes of the claim, the accepted commit, the branch and submitted work are accepted."""
    assert answer(*moves) == ""
    assert answer(*moves, claimed=1) == ""


@pytest.mark.parametrize(
    ("moves", "words"),
    [
        ([(OLD, NEW, "refs/heads/main")], "refs/heads/main is not a ref of"),
        ([(OLD, NEW, "HEAD")], "not a ref of"),
        ([(NONE, NEW, "refs/tags/v1")], "not a ref of"),
        ([(OLD, NEW, CLAIM), (OLD, NEW, "refs/heads/main")], "refs/heads/main is not"),
        ([(OLD, NEW, "refs/heddle/claim/r1/web")], "not a ref of"),
        ([(OLD, NEW, "refs/heddle/claim/r2/api")], "not a ref of"),
        ([(OLD, NEW, f"{CLAIM}/below")], "not a ref of"),
        ([(OLD, NEW, "refs/heddle/merged/r1")], "not a ref of"),
        ([(OLD, NEW, "refs/heddle/archive/r1/api")], "not a ref of"),
        ([(OLD, NEW, "refs/heads/heddle/r1/merged")], "not a ref of"),
        ([(OLD, NEW, "refs/heddle/attempts/r1/api2/one/1")], "not a ref of"),
        ([(OLD, NEW, f"{KEPT}/one/../../../heads/main")], "not a ref of"),
        ([(OLD, NEW, f"{KEPT}/one/1/2")], "not a ref of"),
        ([(OLD, NEW, f"{KEPT}/one/0")], "not a ref of"),
        ([(OLD, NONE, CLAIM)], "cannot be removed"),
        ([(OLD, NONE, f"{KEPT}/one/1")], "cannot be removed"),
        ([(OLD, NEW, ACCEPTED)], "only together with its claim"),
        ([(OLD, NEW, BRANCH)], "only together with its claim"),
        ([(OLD, NEW, CLAIM), (OLD, NEW, CLAIM)], "named twice"),
    ],
)
def test_any_other_push_is_refused(moves: list[tuple[str, str, str]], words: str) -> None:
    """Refs of the user, of the run, of other epics, and moves that Heddle never makes."""
    assert words in answer(*moves)


def test_a_place_that_was_replaced_and_a_reader_push_nothing() -> None:
    """A later generation has the claim, or the token is for reading only."""
    assert "has moved to another place (generation 3)" in answer((OLD, NEW, CLAIM), claimed=3)
    assert "may only read" in answer((OLD, NEW, CLAIM), grant=Grant("/home/ada/app", EPIC, 0), claimed=0)


def test_the_refs_move_together() -> None:
    """Without an atomic push, the accepted commit could move although the claim did not."""
    moves = ((OLD, NEW, CLAIM), (OLD, NEW, ACCEPTED))
    assert "atomic push" in answer(*moves, capabilities="report-status")
    assert answer((OLD, NEW, CLAIM), capabilities="report-status") == ""


def test_commands_are_read_as_soon_as_all_are_there() -> None:
    """What follows them, the pack, is not read; before that, the answer is that more is needed."""
    whole = push((OLD, NEW, CLAIM), (NONE, NEW, ACCEPTED))
    assert pushes.commands(whole + b"PACK") == Commands(
        [Command(OLD, NEW, CLAIM), Command(NONE, NEW, ACCEPTED)],
        frozenset({"report-status", "atomic"}),
        len(whole),
    )
    assert [pushes.commands(whole[:end]) for end in range(len(whole))] == [None] * len(whole)


@pytest.mark.parametrize(
    "begin",
    [
        b"PACK",
        b"00",
        b"0001" + push((OLD, NEW, CLAIM)),
        b"0004" + push((OLD, NEW, CLAIM)),
        b"zzzz",
        b"00FF" + b"x" * 300,
        packet(f"shallow {OLD}") + push((OLD, NEW, CLAIM)),
        packet("push-cert\0 atomic") + push((OLD, NEW, CLAIM)),
        packet(f"{OLD} {NEW} {CLAIM}\0 atomic") + packet(f"{OLD} {NEW} {BRANCH}\0 x") + b"0000",
        packet(f"{OLD} {NEW} refs/heads/a b"),
        packet(f"{OLD} {NEW} {CLAIM}\nrefs/heads/main"),
        packet(f"{OLD[1:]} {NEW} {CLAIM}"),
        push(*[(OLD, NEW, f"{KEPT}/one/{number}") for number in range(1, 300)]),
        b"fff0" + b"x" * 40_000,
    ],
)
def test_a_push_in_another_form_is_refused(begin: bytes) -> None:
    """What Heddle's git does not send is not passed on to git, which may read it otherwise."""
    if begin == b"00":
        assert pushes.commands(begin) is None
        return
    with pytest.raises(MalformedPushError):
        pushes.commands(begin)


def test_a_token_counts_for_minutes_and_only_as_it_was_issued() -> None:
    """It names project, epic and generation; a changed one, one of another process, and an old one do not count."""
    time = [100.0]
    grants = Grants(lambda: time[0])
    token = grants.issue(PLACE)
    assert grants.read(token) == PLACE
    said, _, signature = token.partition(".")
    other = Grants(lambda: time[0]).issue(PLACE)
    for forged in (
        "",
        ".",
        said,
        f".{signature}",
        f"{said}.",
        f"{token}0",
        f"{said[:-1]}.{signature}",
        other,
        "é.ü",
    ):
        assert grants.read(forged) is None
    time[0] += VALID
    assert grants.read(token) is None


def test_only_commands_that_talk_to_the_remote_get_the_token() -> None:
    """Filters, which are other programs, run in other commands; settings of the operator's for other remotes do not count."""
    access = pb.RepositoryAccess(url="https://w1:7405/x.git", token="secret")
    before = {b"PATH": b"/bin", b"GIT_SSL_NO_VERIFY": b"1"}
    with remote_access.opened("heddle://w1/app", access, None):
        for command in ("fetch", "push", "ls-remote"):
            given = remote_access.with_access(before, [command, "origin"])
            assert b"Authorization: Bearer secret" in given.values()
            assert b"GIT_SSL_NO_VERIFY" not in given
            assert int(given[b"GIT_CONFIG_COUNT"]) > int(ENVIRONMENT["GIT_CONFIG_COUNT"])
        for command in ("read-tree", "checkout", "cat-file", "update-ref"):
            assert remote_access.with_access(before, [command]) == before
    assert remote_access.with_access(before, ["fetch", "origin"]) == before
    with remote_access.opened("heddle://w1/app", None, None):
        assert remote_access.with_access(before, ["fetch", "origin"]) == before


def test_a_token_shows_no_refs_of_other_runs() -> None:
    """It reads branches, tags, and what places of its own run have pushed."""
    assert pushes.readable_refs(PLACE) == [
        "refs",
        "!refs/heads",
        "!refs/tags",
        *(f"!refs/heddle/{kind}/r1" for kind in ("claim", "accepted", "attempts", "resolutions")),
    ]
