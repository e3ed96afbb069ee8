"""The text and trailers of commit messages."""

from hypothesis import given
from hypothesis import strategies as st

from heddle.names import AttemptName, EpicName, RunName
from worktree_svc.git import commit_messages

ATTEMPT = AttemptName("r1", "api", "one", 3)


@given(st.text(), st.text())
def test_trailers_survive_any_words(subject: str, body: str) -> None:
    """Exactly the given trailers are parsed again, whatever the subject and body contain."""
    message = commit_messages.compose(subject, body, commit_messages.attempt_trailers(ATTEMPT))
    assert commit_messages.trailers_of(message) == commit_messages.attempt_trailers(ATTEMPT)
    first, empty, *_ = message.split("\n")
    assert first.strip()
    assert not empty
    assert "\0" not in message


def test_a_merge_names_its_run_and_its_epic_if_it_has_one() -> None:
    """The run's own merge has no epic trailer."""
    assert commit_messages.merge_trailers(RunName("r1")) == {"Heddle-Run": "runs/r1"}
    assert commit_messages.merge_trailers(EpicName("r1", "api")) == {
        "Heddle-Run": "runs/r1",
        "Heddle-Epic": "api",
    }


def test_an_ordinary_message_has_no_trailers() -> None:
    """Text that only looks like Heddle's trailers, above the last paragraph, does not count."""
    assert commit_messages.trailers_of("Heddle-Run: runs/x\n\nThe end.\n") == {}
    assert commit_messages.trailers_of("") == {}
