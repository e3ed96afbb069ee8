"""Valid content of .heddle.yaml, and how its errors are reported."""

import json

import jsonschema
import pytest
import yaml
from google.protobuf.duration_pb2 import Duration

from heddle import pb
from heddle.project import schema
from heddle.project.file import parse

VALIDATOR = jsonschema.Draft202012Validator(json.loads(schema.FILE.read_text()))

GOOD = """
setup: [npm ci, make db]
setup_timeout: 5m
copy: [.env, certs/*.pem]
link: [node_modules, {path: .cache/pip, source: cache}]
ports: 2
place: {gpu: true, zone: eu-1}
env: {PORT: "${HEDDLE_PORT}", API: "http://localhost:${HEDDLE_PORT_2}/"}
checks: [make test]
teardown: docker compose down
"""


def told(text: str) -> list[str]:
    return parse(text).describe().splitlines()


def test_every_key() -> None:
    """A file with all keys is converted to the message."""
    loaded = parse(GOOD)
    assert loaded.problems == ()
    assert loaded.file == pb.ProjectFile(
        setup=["npm ci", "make db"],
        setup_timeout=Duration(seconds=300),
        copy=[".env", "certs/*.pem"],
        link=[
            pb.LinkedFolder(path="node_modules", source=pb.LINK_SOURCE_CHECKOUT),
            pb.LinkedFolder(path=".cache/pip", source=pb.LINK_SOURCE_CACHE),
        ],
        ports=2,
        place={"gpu": "true", "zone": "eu-1"},
        env={"PORT": "${HEDDLE_PORT}", "API": "http://localhost:${HEDDLE_PORT_2}/"},
        checks=[pb.Check(name="make test", run="make test")],
        teardown=["docker compose down"],
    )
    assert VALIDATOR.is_valid(yaml.safe_load(GOOD))


@pytest.mark.parametrize("text", ["", "# nothing yet\n"])
def test_a_file_may_say_nothing(text: str) -> None:
    """An empty file is valid and sets nothing."""
    assert parse(text).problems == ()
    assert parse(text).file == pb.ProjectFile()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("place: gpu\n", ".heddle.yaml:1:1: place: is 'gpu'; it must be a mapping of keys to values"),
        ("place: [gpu]\n", ".heddle.yaml:1:1: place: must be a mapping of keys to values"),
        ("place: {gpu: }\n", ".heddle.yaml:1:9: place.gpu: is empty; it must be text"),
        ("place: {gpu: {count: 1}}\n", ".heddle.yaml:1:9: place.gpu: must be text"),
        (
            "place:\n  gpu: true\n  gpu: false\n",
            ".heddle.yaml:3:3: place.gpu: duplicate key; it is already on line 2",
        ),
        ("place: {gpu!: x}\n", ".heddle.yaml:1:1: place: gpu!=x must be letters, digits and -_."),
    ],
)
def test_labels_of_another_form_are_refused(text: str, says: str) -> None:
    """The error has the place in the file and says what is expected."""
    (line,) = told(text)
    assert line.startswith(says), line


def test_all_mistakes_at_once() -> None:
    """Each error has its line, column and field."""
    assert told(
        "setup: [npm ci, '']\n"
        "copy: [.env, ../secrets, /etc/passwd, .git/config]\n"
        "ports: many\n"
        "env: {N: 3, HEDDLE_SLOT: '1', a-b: x}\n"
        "setp: x\n"
        "link: [{source: cloud, path: a}]\n"
    ) == [
        ".heddle.yaml:1:17: setup[1]: needs a shell command",
        ".heddle.yaml:2:14: copy[1]: '../secrets' points outside the worktree; use a path relative to it",
        ".heddle.yaml:2:26: copy[2]: '/etc/passwd' points outside the worktree; use a path relative to it",
        ".heddle.yaml:2:39: copy[3]: '.git/config' points into git's own files",
        ".heddle.yaml:3:1: ports: is 'many'; it must be a whole number",
        ".heddle.yaml:4:7: env.N: must be text; put '3' in quotes",
        ".heddle.yaml:4:13: env.HEDDLE_SLOT: is set by Heddle itself; use another name",
        ".heddle.yaml:4:31: env.a-b: 'a-b' is not a valid variable name; use letters, digits and _",
        ".heddle.yaml:5:1: setp: unknown key, did you mean setup?",
        ".heddle.yaml:6:9: link[0].source: is 'cloud'; it must be 'checkout' or 'cache'",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("copy: ['**/../x']", "copy[0]: '**/../x' points outside the worktree; use a path relative to it"),
        ("link: [a*]", "link[0].path: 'a*' is a glob; a link must name one folder"),
        ("link: [a, a/b]", "link[1].path: 'a/b' is inside link[0].path, a folder that all worktrees share"),
        (
            "{link: [a], copy: [a/.env]}",
            "copy[0]: 'a/.env' is inside link[0].path, a folder that all worktrees share",
        ),
        ("copy: [.env, .env]", "copy[1]: '.env' is a duplicate of copy[0]"),
        ("ports: -1", "ports: is '-1'; it must be at least 0"),
        (
            "env: {P: '${HEDDLE_PORT}'}",
            "env.P: ${HEDDLE_PORT} is not a variable of an epic; increase `ports`",
        ),
        ("checks: [{name: a}]", "checks[0].run: needs a shell command"),
        ("teardown: {run: x}", "teardown: must be a list"),
        ("- setup", "must be a mapping with keys such as setup, copy and ports"),
    ],
)
def test_refuses(text: str, problem: str) -> None:
    """Values that cannot be intended are errors."""
    assert [line.split(": ", 1)[1] for line in told(text)] == [problem]


def test_the_shipped_schema_is_fresh() -> None:
    """The shipped schema is what `python -m heddle.project.schema` writes."""
    assert schema.FILE.read_text() == schema.text()
