"""Reading a plan file returns a plan or all errors with their lines."""

import io
import os
from pathlib import Path

import pytest
import yaml

from heddle import pb
from heddle.plan.file import load, parse
from heddle.plan.yaml import reading

GOOD = """\
name: Shelf
defaults: {agent: scripted, retries: 1, timeout: 90s, silence: 10m, on_failure: stop_epic, checks: [make test]}
epics:
  - key: a
    title: First
    priority: 5
    touches: ["src/**"]
    tasks:
      - {key: t, prompt: Do it., estimate: 1h30m, checks: [{name: unit, run: make unit}]}
  - key: b
    depends_on: [a]
    on_failure: continue
    tasks:
      - key: u
        script:
          - say: hi
          - think: hm
          - write: {path: x.py, text: "pass"}
          - edit: {path: x.py, find: pass, replace: "..."}
          - run: ls
          - screenshot: a page
          - usage: {model: m, input_tokens: 1, output_tokens: 2, cost_usd: 0.25}
          - ask: May I?
          - wait: 1.5
          - fail: broken
          - fail: {message: broken, attempts: 1}
          - flood: 10
          - flood: {lines: 10, width: 20}
          - ignore_sigterm: true
"""


def told(text: str | bytes) -> list[tuple[int, str, str]]:
    """Returns the line, field and message of every error."""
    return [(problem.line, problem.field, problem.message) for problem in parse(text, "p.yaml").problems]


def test_reads_every_key() -> None:
    """Each key of a file is set in the message."""
    loaded = parse(GOOD, "p.yaml")
    assert loaded.describe() == ""
    step = pb.ScriptStep
    say = step.Say
    expected = pb.Plan(
        name="Shelf",
        defaults=pb.TaskDefaults(
            agent="scripted",
            retries=1,
            checks=[pb.Check(name="make test", run="make test")],
            on_failure=pb.ON_FAILURE_STOP_EPIC,
        ),
        epics=[
            pb.PlanEpic(
                key="a",
                title="First",
                priority=5,
                touches=["src/**"],
                tasks=[
                    pb.PlanTask(key="t", prompt="Do it.", checks=[pb.Check(name="unit", run="make unit")])
                ],
            ),
            pb.PlanEpic(
                key="b",
                depends_on=["a"],
                on_failure=pb.ON_FAILURE_CONTINUE,
                tasks=[
                    pb.PlanTask(
                        key="u",
                        script=[
                            step(say=say(text="hi")),
                            step(think=say(text="hm")),
                            step(write=step.WriteFile(path="x.py", text="pass")),
                            step(edit=step.EditFile(path="x.py", find="pass", replace="...")),
                            step(run=step.RunCommand(command="ls")),
                            step(screenshot=step.TakeScreenshot(caption="a page")),
                            step(
                                usage=step.ReportUsage(
                                    model="m", input_tokens=1, output_tokens=2, cost_usd_micros=250_000
                                )
                            ),
                            step(ask=step.Ask(question="May I?")),
                            step(wait=step.Wait()),
                            step(fail=step.Fail(message="broken")),
                            step(fail=step.Fail(message="broken", attempts=1)),
                            step(flood=step.Flood(lines=10)),
                            step(flood=step.Flood(lines=10, width=20)),
                            step(ignore_sigterm=step.IgnoreSigterm()),
                        ],
                    )
                ],
            ),
        ],
    )
    expected.defaults.timeout.FromSeconds(90)
    expected.defaults.silence.FromSeconds(600)
    expected.epics[0].tasks[0].estimate.FromSeconds(5400)
    expected.epics[1].tasks[0].script[8].wait.duration.FromMilliseconds(1500)
    assert loaded.plan == expected


def test_reports_type_errors_and_meaning_together_by_line() -> None:
    """Wrong types, unknown or duplicate keys and invalid values are listed in file order."""
    text = """\
name: 12
epics:
  - key: a
    key: b
    depends_on: [b, nope]
    tasks:
      - {key: t, promt: x}
      - {key: u, prompt: x, timeout: soon, retries: two}
  - key: c
    tasks: none
"""
    assert told(text) == [
        (1, "name", "must be text; put '12' in quotes"),
        (4, "epics[0].key", "duplicate key; it is already on line 3"),
        (5, "epics[0].depends_on[0]", "there is no epic 'b'"),
        (5, "epics[0].depends_on[1]", "there is no epic 'nope'"),
        (7, "epics[0].tasks[0].prompt", "is missing; a task needs a prompt or a script"),
        (7, "epics[0].tasks[0].promt", "unknown key, did you mean prompt?"),
        (
            8,
            "epics[0].tasks[1].timeout",
            "is not a valid duration; use 90s, 5m, 1h30m, 2d, or a number of seconds",
        ),
        (8, "epics[0].tasks[1].retries", "is 'two'; it must be a whole number"),
        (10, "epics[1].tasks", "is 'none'; it must be a list"),
    ]


def test_tells_column_and_source() -> None:
    """Editors and terminals can jump to the place in the description."""
    loaded = parse("name: x\nepics:\n  - key: a\n    tasks: [{key: t, prompt: x, agent: cloud}]\n", "my.yaml")
    assert loaded.describe().startswith("my.yaml:4:33: epics[0].tasks[0].agent: 'cloud' is not a known agent")


@pytest.mark.parametrize("has_libyaml", [True, False], ids=["libyaml", "PyYAML"])
@pytest.mark.parametrize("character", ["\x85", "\u2028", "\u2029"])
def test_counts_lines_as_editors_do(
    monkeypatch: pytest.MonkeyPatch, character: str, has_libyaml: bool
) -> None:
    """A character at which YAML 1.1 ends a line and editors do not does not move positions."""
    if not has_libyaml:
        monkeypatch.setattr("heddle.plan.yaml.source._LOADER", yaml.SafeLoader)
    problems = parse(f"name: 'a{character}b'\r\nx: 1\rname: 2\n  y: '{character}'\n", "p").problems
    assert [(each.line, each.column) for each in problems if "duplicate" in each.message] == [(3, 1)]
    (bad,) = parse(f"name: '{character}{character}'\nepics: [\n", "p").problems
    assert bad.line == 3


def test_shows_a_cycle_at_its_line() -> None:
    """An error about several epics has a line too."""
    epics = "".join(
        f"  - {{key: {key}, depends_on: [{other}], tasks: [{{key: t, prompt: x}}]}}\n"
        for key, other in ("ab", "bc", "ca")
    )
    assert told(f"name: x\nepics:\n{epics}") == [
        (3, "epics[0].depends_on", "these epics depend on each other: a → b → c → a")
    ]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("5m", 300), ("1h30m", 5400), ("2d", 172_800), ("45", 45), ("0.5", 0.5), ("1.5s", 1.5)],
)
def test_reads_durations(text: str, seconds: float) -> None:
    """A duration has units from days to seconds, or is a number of seconds."""
    plan = parse(f"name: x\nepics: [{{key: a, tasks: [{{key: t, prompt: x, timeout: {text}}}]}}]", "p").plan
    timeout = plan.epics[0].tasks[0].timeout
    assert timeout.seconds + timeout.nanos / 1e9 == seconds


@pytest.mark.parametrize(
    "text", ["''", "5", "5x", "1m1h", "-5s", "m", "1.5m", "true", "0", "-3", "400d", ".inf", "[1]"]
)
def test_refuses_other_durations(text: str) -> None:
    """An invalid duration is reported once, at its field."""
    value = '"5"' if text == "5" else text
    problems = told(f"name: x\nepics: [{{key: a, tasks: [{{key: t, prompt: x, timeout: {value}}}]}}]")
    assert [field for _, field, _ in problems] == ["epics[0].tasks[0].timeout"]


def test_refuses_anchors_and_aliases() -> None:
    """Anchors are refused with their lines, quickly even if they would expand to billions of values."""
    lines = ['a: &a ["x"]'] + [
        f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 9)}]" for n in range(9)
    ]
    problems = told("\n".join(lines))
    assert (2, "b[0]", "anchors and aliases are not supported; write the value out") in problems
    assert (10, "j", "anchors and aliases are not supported; write the value out") in problems


def test_refuses_tags() -> None:
    """A tag asks for something that plans do not support."""
    problems = told("name: !!python/object:os.system x\nepics: [{key: a, tasks: [{key: t, prompt: x}]}]")
    assert problems == [(1, "name", "tags are not supported: 'tag:yaml.org,2002:python/object:os.system'")]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("name: x\n\tepics: y", 2, "tab"),
        ("name: [", 1, "not valid YAML"),
        ("name: x\nepics: a: b", 2, "not valid YAML"),
        ("- a\n- b", 1, "must be a mapping"),
        ("hello", 1, "must be a mapping"),
        ("", 1, "is empty"),
        ("# nothing\n", 1, "is empty"),
        ("[" * 10_000, 1, "nests deeper"),
        ("{a: " * 10_000, 1, "nests deeper"),
        (b"\x00\x01\x02ELF", 0, "binary"),
        ("name: ä".encode("utf-16"), 0, "UTF-8"),
        ("name: x\nepics: ä".encode("latin-1"), 2, "not UTF-8"),
        ("name: \ud800", 1, "UTF-8"),
        ("name: \x07", 0, "not valid YAML"),
    ],
)
def test_refuses_what_is_no_plan(text: str | bytes, line: int, words: str) -> None:
    """One error says what the file is instead, with a line if there is one."""
    [(at, _, message)] = told(text)
    assert at == line
    assert words in message


def test_refuses_a_second_document() -> None:
    """A file contains only one plan."""
    assert (2, "", "contains more than one document; a plan must be a single one") in told(
        "name: x\n---\nname: y\n"
    )


def test_refuses_too_many_values() -> None:
    """A small file with very many empty values is refused before validation."""
    [(_, _, message)] = told("a: [" + "[]," * 200_000 + "]")
    assert "more than 250,000 values" in message


def test_refuses_a_file_that_is_too_large(tmp_path: Path) -> None:
    """Fifty megabytes of YAML are refused because of their size, without reading them."""
    path = tmp_path / "big.yaml"
    with path.open("wb") as big:
        big.truncate(50 << 20)
    [problem] = load(path).problems
    assert problem.message == "is larger than 4 MiB, the maximum for a plan"


@pytest.mark.parametrize(("beyond", "refused"), [(0, False), (1, True), (100, True)])
def test_the_size_of_standard_input(monkeypatch: pytest.MonkeyPatch, beyond: int, *, refused: bool) -> None:
    """Standard input is read up to one byte more than the largest file, which shows whether it is too large."""
    text = GOOD.encode()
    given = io.BytesIO(text + b"#" * (reading.MAX_FILE_BYTES + beyond - len(text)))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(given))
    loaded = load(Path("-"))
    assert [problem.message for problem in loaded.problems] == [
        "is larger than 4 MiB, the maximum for a plan"
    ] * refused
    assert given.tell() == reading.MAX_FILE_BYTES + min(beyond, 1)


def test_a_file_is_read_up_to_one_byte_beyond_its_limit(tmp_path: Path) -> None:
    """A file of any size costs only the memory of the largest one."""
    path = tmp_path / "big"
    with path.open("wb") as big:
        big.truncate(reading.MAX_FILE_BYTES + 100)
    content, found = reading.content_of(path, "plan")
    assert (len(content), found) == (reading.MAX_FILE_BYTES + 1, ())


@pytest.mark.parametrize(
    ("content", "place"),
    [("", (1, 1)), (b"name: x\nepics: \xe4", (2, 1)), (b"\xe4", (1, 1)), (b"\0", (0, 0))],
)
def test_the_place_of_an_error_of_a_whole_file(content: str | bytes, place: tuple[int, int]) -> None:
    """A file that is empty or not UTF-8 is reported at the beginning of a line, a binary one as a whole."""
    [problem] = parse(content, "p").problems
    assert (problem.line, problem.column) == place


def test_refuses_what_is_no_file(tmp_path: Path) -> None:
    """A folder, a missing file and an unreadable file each have their own message."""
    assert "is a folder" in load(tmp_path).describe()
    assert load(tmp_path / "none.yaml").describe() == f"{tmp_path / 'none.yaml'}: does not exist"
    assert load(tmp_path / ("x" * 300)).describe().endswith(": cannot be read: File name too long")
    assert "cannot be read: embedded null" in load(Path("a\0b")).describe()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_refuses_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    """A missing permission is reported like any other error."""
    path = tmp_path / "p.yaml"
    path.touch(mode=0)
    assert "Permission denied" in load(path).describe()


def test_reads_a_file_with_a_byte_order_mark(tmp_path: Path) -> None:
    """A byte order mark, which some editors write, is accepted."""
    path = tmp_path / "p.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert load(path).problems == ()


def test_takes_numbers_and_dates_as_they_stand() -> None:
    """A date is text; a number as a key is reported, and dependencies on it are still resolved."""
    text = """\
name: 2026-11-22
epics:
  - {key: 1, tasks: [{key: t, prompt: x}]}
  - {key: b, depends_on: ["1"], tasks: [{key: t, prompt: x}]}
"""
    assert told(text) == [(3, "epics[0].key", "must be text; put '1' in quotes")]


def test_reports_one_mistake_for_a_bad_step() -> None:
    """A double step, an unknown step and a step of the wrong type are each one error."""
    text = """\
name: x
epics:
  - key: a
    tasks:
      - key: t
        script:
          - say: hi
            run: ls
          - wiat: 2s
          - say: [1]
          - write: {path: ../x, text: hi}
          - []
"""
    path = "epics[0].tasks[0].script"
    assert told(text) == [
        (7, f"{path}[0]", "has 2 keys (run, say), but a step takes one; start each step with a dash"),
        (9, f"{path}[1].wiat", "unknown key, did you mean wait?"),
        (10, f"{path}[2].say", "must be text"),
        (11, f"{path}[3].write.path", "'../x' points outside the worktree; use a path relative to it"),
        (12, f"{path}[4]", "must be a mapping of keys to values"),
    ]


def test_needs_no_fast_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyYAML without libyaml gives the same result."""
    monkeypatch.setattr("heddle.plan.yaml.source._LOADER", yaml.SafeLoader)
    assert parse(GOOD, "p").problems == ()
    assert told("name: x\n\tepics: y")[0][0] == 2


def test_size_limit_is_above_every_good_plan() -> None:
    """The largest valid plan fits in a file."""
    from heddle.plan import rules  # noqa: PLC0415 (only this test needs it)

    assert reading.MAX_FILE_BYTES > rules.MAX_PLAN_BYTES


def test_resources_are_quantities_and_errors_name_their_key() -> None:
    """Numbers need no quotes; what is no quantity is reported at its line, with its key."""
    text = "name: P\nresources: {cpu: 0.5}\nplace: {zone: eu}\nepics:\n- key: a\n  resources: {cpu: 2, memory: 8Gi}\n  tasks: [{key: t, prompt: x}]\n"
    loaded = parse(text, "p")
    assert loaded.problems == ()
    assert dict(loaded.plan.resources) == {"cpu": "0.5"}
    assert dict(loaded.plan.place) == {"zone": "eu"}
    assert dict(loaded.plan.epics[0].resources) == {"cpu": "2", "memory": "8Gi"}
    bad = text.replace("8Gi", "8GB").replace("0.5", "[1]")
    first, second = parse(bad, "p").problems
    assert (first.line, first.field) == (2, "resources.cpu")
    assert second.describe("p") == (
        "p:6:23: epics[0].resources.memory: '8GB' is not a quantity; write it as Kubernetes does:"
        " 2, 0.5, 500m, 8Gi, 512Mi, 1e9"
    )
    unknown = text.replace("memory", "ram")
    (problem,) = parse(unknown, "p").problems
    assert (problem.line, problem.field) == (6, "epics[0].resources.ram")
    assert "'ram' is not a resource" in problem.message
