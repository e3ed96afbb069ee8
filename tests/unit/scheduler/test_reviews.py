"""The answers of reviewers, what follows from them, and the prompts around them."""

import json

import pytest

from heddle import pb
from scheduler_svc.model.lifecycle import reviews
from scheduler_svc.model.prompts import review_answer, review_prompt
from scheduler_svc.model.prompts.review_answer import MAX_FINDINGS, MAX_TEXT, UnreadableError

ERROR = pb.ReviewFinding(file="a.py", line=3, severity=pb.REVIEW_SEVERITY_ERROR, text="wrong")
WARNING = pb.ReviewFinding(severity=pb.REVIEW_SEVERITY_WARNING, text="slow")
SAID = '{"summary": "so", "findings": [{"file": "a.py", "line": 3, "severity": "error", "text": "wrong"}]}'

PLANNED = [pb.PlanReview(agent="codex", rounds=3), pb.PlanReview(agent="claude", blocking=False)]


@pytest.mark.parametrize(
    "text",
    [
        SAID,
        f"\n  {SAID}\n",
        f"checking...\n{SAID}",
        f"It is wrong.\n\n```json\n{SAID}\n```\n",
        f"```json\n{SAID}\n```\nBye.",
        f"Not this:\n```json\n{{}}\n```\nbut\n  ```json\r\n{SAID}\r\n  ```",
        json.dumps(json.loads(SAID), indent=2),
    ],
)
def test_an_answer_is_found_in_what_agents_and_commands_write(text: str) -> None:
    """The last fenced block counts; without one, the whole output or its last line is JSON."""
    assert review_answer.read(text).findings == [ERROR]
    assert review_answer.read(text).summary == "so"


def test_a_bare_list_and_absent_places_are_read() -> None:
    """A list alone has the findings; a finding may name no file and no line, in any case of its severity."""
    found = review_answer.read('[{"severity": " Warning", "text": "slow", "file": null, "line": null}]')
    assert found == ([WARNING], "")
    assert review_answer.read('{"findings": []}') == ([], "")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "it is empty"),
        (" \n ", "it is empty"),
        ("Looks good to me.", "no ```json block and is not JSON"),
        ("{not json}", "no ```json block and is not JSON"),
        ("```json\n{oops\n```", "the last ```json block is not JSON"),
        (f"{SAID}\n```json\n{{}}\n```", 'no list "findings"'),
        ("[" * 200_000, "is not JSON"),
        (f"```json\n{'[' * 200_000}\n```", "nested too deeply"),
        ("7", "is not JSON"),
        ('{"findings": {}}', 'no list "findings"'),
        ("[3]", "findings[0] is not an object"),
        ('[{"text": "x"}]', "severity must be error, warning or note, not absent"),
        ('[{"severity": "fatal", "text": "x"}]', "not 'fatal'"),
        ('[{"severity": "error"}]', "findings[0].text must say"),
        ('[{"severity": "error", "text": "x", "line": true}]', "line must be a whole number, not True"),
        ('[{"severity": "error", "text": "x", "line": 99999999999}]', "line must be a whole number"),
        ('[{"severity": "error", "text": "x", "file": ["a"]}]', "file must be a path"),
        (json.dumps([{"severity": "note", "text": "x"}] * (MAX_FINDINGS + 1)), "has 201 findings"),
    ],
)
def test_an_answer_without_findings_is_no_approval(text: str, problem: str) -> None:
    """Whatever is not of the form is refused with what is wrong."""
    with pytest.raises(UnreadableError) as caught:
        review_answer.read(text)
    assert problem in str(caught.value)


def test_texts_of_findings_can_be_stored() -> None:
    """Long texts are cut; halves of surrogate pairs and NUL, which messages and databases refuse, are replaced."""
    said = [{"severity": "note", "text": "x" * 9_999}, {"severity": "note", "text": "a\ud800b\0c"}]
    long, odd = review_answer.read(json.dumps(said)).findings
    assert len(long.text) == MAX_TEXT
    assert long.text.endswith("…")
    assert odd.text == "a?b\ufffdc"
    assert pb.ReviewFinding.FromString(odd.SerializeToString()) == odd


def read_note(**fields: object) -> pb.ReviewFinding:
    (found,) = review_answer.read(json.dumps([{"severity": "note", "text": "x", **fields}])).findings
    return found


def test_limits_of_an_answer() -> None:
    """200 findings, 4000 characters of text and the highest line that a message can have are accepted as they are."""
    findings = [{"severity": "note", "text": "x"}] * 200
    assert len(review_answer.read(json.dumps(findings)).findings) == 200
    for length, kept in ((4_000, "ä" * 4_000), (4_001, "ä" * 3_999 + "…")):
        assert read_note(text="ä" * length).text == kept
        assert review_answer.read(json.dumps({"findings": [], "summary": "ä" * length})).summary == kept
    for line in (0, 1, 2_147_483_647):
        assert read_note(line=line).line == line
    assert read_note(line=-1).line == 0
    assert read_note().line == 0
    with pytest.raises(UnreadableError, match="line must be a whole number"):
        read_note(line=2_147_483_648)


@pytest.mark.parametrize(("length", "shown"), [(58, "'" + "x" * 58 + "'"), (59, "'" + "x" * 59 + "…")])
def test_a_wrong_value_is_shown_with_sixty_characters(length: int, shown: str) -> None:
    """The quotes count."""
    with pytest.raises(UnreadableError) as caught:
        read_note(severity="x" * length)
    assert str(caught.value).endswith(f"not {shown}")


def test_a_block_that_is_not_closed_is_no_answer() -> None:
    """The last block counts, also if an earlier one is whole; text that only begins like JSON is passed over."""
    with pytest.raises(UnreadableError, match="is not closed"):
        review_answer.read(f"```json\n{SAID}\n```\n```json\n{SAID}")
    with pytest.raises(UnreadableError, match="is not closed"):
        review_answer.read(f"```json\n{SAID}")
    assert review_answer.read(f"{{so}}\n{SAID}").findings == [ERROR]


def test_the_form_in_the_prompt_is_no_answer() -> None:
    """A reviewer that repeats its prompt has not approved anything."""
    review = reviews.first(PLANNED, 1, "c0", None)
    prompt = review_prompt.for_reviewer("Do it", PLANNED[0], review, "diff", whole=True)
    with pytest.raises(UnreadableError):
        review_answer.read(prompt)


def test_only_errors_of_a_blocking_review_reject() -> None:
    """Other findings pass."""
    blocking = reviews.first(PLANNED, 1, "c0", None)
    shown = reviews.after_pass(PLANNED, blocking)
    assert shown is not None
    assert (blocking.blocking, shown.blocking) == (True, False)
    assert reviews.judged(blocking, [ERROR, WARNING], "").verdict == pb.REVIEW_VERDICT_REJECTED
    assert reviews.judged(blocking, [WARNING], "").verdict == pb.REVIEW_VERDICT_PASSED
    assert reviews.judged(shown, [ERROR], "").verdict == pb.REVIEW_VERDICT_PASSED


def test_reviews_follow_each_other() -> None:
    """Reviews run in order; after a rejection, the same reviewer looks at the new work in its next round."""
    first = reviews.first(PLANNED, 1, "c0", None)
    assert (first.position, first.round, first.rounds, first.commit) == (1, 1, 3, "c0")
    again = reviews.first(PLANNED, 3, "c1", reviews.judged(first, [ERROR], ""))
    assert (again.attempt, again.position, again.round, again.commit) == (3, 1, 2, "c1")
    second = reviews.after_pass(PLANNED, again)
    assert second is not None
    assert (second.attempt, second.position, second.round, second.rounds) == (3, 2, 1, 2)
    assert reviews.after_pass(PLANNED, second) is None
    # The reviewer that rejected is asked again, not those that had passed the work.
    later = reviews.first(PLANNED, 5, "c2", reviews.judged(second, [ERROR], ""))
    assert (later.attempt, later.position, later.round, later.commit) == (5, 2, 2, "c2")


def test_an_unusable_answer_is_asked_for_once_more() -> None:
    """The second request names the problem; there is no third one. An answer clears the problem."""
    review = reviews.first(PLANNED, 1, "c0", None)
    again = reviews.asked_again(review, "it is empty")
    assert again is not None
    prompt = review_prompt.for_reviewer("Do it", PLANNED[0], again, "diff", whole=True)
    assert prompt.endswith("your answer could not be used: it is empty")
    assert reviews.asked_again(again, "it is empty") is None
    again.ClearField("problem")
    assert again == review
    assert not reviews.judged(again, [], "").problem


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ä" * 200, "ä" * 200),
        ("ä" * 201, "ä" * 199 + "…"),
        ("wrong\nbecause", "wrong"),
    ],
)
def test_a_rejection_has_the_first_error(text: str, shown: str) -> None:
    """It has the first line of the first error, at most 200 characters of it, and the number of errors and rounds."""
    error = pb.ReviewFinding(severity=pb.REVIEW_SEVERITY_ERROR, text=text)
    review = reviews.first(PLANNED, 1, "c0", None)
    judged = reviews.judged(review, [WARNING, error], "summary")
    assert reviews.rejection("codex", judged) == f"the review by codex found 1 error (round 1 of 3): {shown}"
    judged = reviews.judged(review, [error, ERROR], "summary")
    assert reviews.rejection("codex", judged) == f"the review by codex found 2 errors (round 1 of 3): {shown}"
    assert judged.summary == "summary"


def test_a_reviewer_is_its_own_agent_and_only_reads() -> None:
    """It has the agent and model of the review and the limits of the task; nothing of the worker's but its denials."""
    spec = pb.PlanTask(
        key="t",
        prompt="Do it",
        agent="command:make",
        model="big",
        checks=[pb.Check(name="c", run="true")],
        retries=3,
        reviews=PLANNED,
        permissions=pb.Permissions(allow=["Bash(*)"], deny=["Read(secret)", "Write"]),
    )
    spec.timeout.FromSeconds(60)
    reviewer = reviews.reviewer_spec(spec, reviews.first(PLANNED, 1, "c0", None))
    assert (reviewer.agent, reviewer.model, reviewer.timeout.seconds) == ("codex", "", 60)
    assert not reviewer.checks
    assert reviewer.permissions.default == pb.PERMISSION_DECISION_DENY
    assert list(reviewer.permissions.deny) == ["Write", "Edit", "Read(secret)"]
    assert all(each.startswith("Bash(git ") for each in reviewer.permissions.allow)


def test_a_reviewer_gets_the_task_the_change_and_what_to_look_for() -> None:
    """The change is fenced by more backticks than it contains; a cut change says how to read the rest."""
    review = reviews.first(PLANNED, 1, "c0", None)
    asked = pb.PlanReview(prompt="Look for races.")
    prompt = review_prompt.for_reviewer("Do it\nwell", asked, review, "+````\n", whole=False)
    assert "    Do it\n    well\n" in prompt
    assert "`````diff\n+````\n`````" in prompt
    assert "The change continues: `git diff c0^ c0`" in prompt
    assert "Look for races." in prompt
    assert "round" not in prompt
    review.round = 2
    assert "round 2 of 3" in review_prompt.for_reviewer("Do it", asked, review, "x", whole=True)


def test_the_worker_gets_the_errors() -> None:
    """It gets the errors with their places, no other findings, and where its work is. Too many are cut."""
    rejected = reviews.judged(reviews.first(PLANNED, 1, "c0", None), [ERROR, WARNING], "")
    kept = review_prompt.for_worker("Do it", "codex", rejected, files_kept=True)
    assert kept.startswith("Do it\n")
    assert "- a.py:3: wrong\n" in kept
    assert "slow" not in kept
    assert "Your files are as you left them." in kept
    assert "`git diff c0^ c0`" in review_prompt.for_worker("Do it", "codex", rejected, files_kept=False)
    del rejected.findings[:]
    rejected.findings.extend([pb.ReviewFinding(severity=pb.REVIEW_SEVERITY_ERROR, text="y" * 4_000)] * 9)
    many = review_prompt.for_worker("Do it", "codex", rejected, files_kept=True)
    assert "More findings are not listed here." in many
    assert len(many.encode()) < 20_000


def test_the_reason_of_a_rejection_names_the_first_error() -> None:
    """Reasons are one short line."""
    rejected = reviews.judged(reviews.first(PLANNED, 1, "c0", None), [WARNING, ERROR], "")
    assert reviews.rejection("codex", rejected) == "the review by codex found 1 error (round 1 of 3): wrong"
    rejected.findings[1].text = f"{'z' * 300}\nmore"
    assert len(reviews.rejection("codex", rejected)) < 260
