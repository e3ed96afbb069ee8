"""What kind of refusal a remote's answer to a push is."""

import pytest

from worktree_svc.git.push_refusals import is_collision, is_forbidden


@pytest.mark.parametrize(
    ("said", "collision", "forbidden"),
    [
        ("[rejected] (stale info)", True, False),
        ("[rejected] (fetch first)", True, False),
        ("[remote rejected] (cannot lock ref 'refs/heddle/claim/r/a': is at 1 but expected 2)", True, False),
        ("[remote rejected] (failed to update ref)", True, False),
        ("[remote rejected] (incorrect old value provided)", True, False),
        ("[remote rejected] (pre-receive hook declined)", False, True),
        ("[remote rejected] (deny updating a hidden ref)", False, True),
        ("[remote rejected] (prohibited by Gerrit: not permitted: create)", False, True),
        ("remote: Permission to a/b.git denied to c.", False, True),
        ("fatal: unable to access 'https://x/': The requested URL returned error: 403", False, True),
        ("fatal: could not read Username for 'https://x'", False, True),
        ("fatal: the receiving end does not support --atomic push", False, True),
        # These end by themselves.
        ("[remote rejected] (unpacker error)", False, False),
        ("fatal: unable to access 'https://x/': Could not resolve host: x", False, False),
        ("fatal: '/srv/app.git' does not appear to be a git repository", False, False),
        ("ssh: connect to host x port 4031: Connection refused", False, False),
    ],
)
def test_a_refusal_is_a_collision_a_rule_or_a_fault_that_passes(
    said: str, collision: bool, forbidden: bool
) -> None:
    """Only what trying again cannot change counts as forbidden; numbers in names and ports are no status codes."""
    assert (is_collision(said), is_forbidden(said)) == (collision, forbidden)
