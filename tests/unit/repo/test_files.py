"""Rules for every committed file."""

import ast
import re
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from tests.unit.repo.files import ROOT, committed, relative

# What people read as the product. Migrations are a list by date, and never changed.
PRODUCT = [
    path
    for package in ("heddle", "scheduler_svc", "worktree_svc", "agent_svc", "ui_svc")
    for path in committed(f"{package}/**.py")
    if not {"v1", "versions"} & set(path.parts)
]
PINS = committed("requirements/*.txt")
PIN = re.compile(r"^([a-z0-9-]+)(\[[a-z0-9,-]+\])?==[^\s;]+( ; .+)? \\$")
HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}( \\)?$")

# Written in this form so that the test does not find this file.
MACHINE_PATH = re.compile(
    r"(?<![\w.$}])/(?:work|root|home/(?!heddle\b|NAME\b|ada\b|me\b|you\b)\w+|Users/\w+)/[\w.]"
)

# The most lines of a function, without its signature and docstring, and the most modules of a folder.
MOST_BODY = 60
MOST_MODULES = 16

# The largest file that is easy to read; a larger file contains more than one idea.
MOST_LINES = 400


@pytest.mark.parametrize("pins", PINS, ids=relative)
def test_pins_are_complete(pins: Path) -> None:
    """Each pin is one exact version with its hashes and without a specific index."""
    lines = pins.read_text().splitlines()
    assert lines
    for line in lines:
        assert PIN.match(line) or HASH.match(line), line


def test_pins_cover_what_the_project_asks_for() -> None:
    """Every dependency of pyproject.toml is pinned, for users, tests, benchmarks and mutants."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    asked = project["project"]["dependencies"] + extras["postgres"]
    wanted = {
        "run.txt": asked,
        "image.txt": asked + extras["kubernetes"],
        "test.txt": asked + project["dependency-groups"]["dev"],
        "bench.txt": asked + project["dependency-groups"]["dev"] + project["dependency-groups"]["bench"],
        "mutants.txt": asked + project["dependency-groups"]["dev"] + project["dependency-groups"]["mutants"],
        "agents.txt": asked + extras["claude"] + extras["acp"],
    }
    for file, requirements in wanted.items():
        text = (ROOT / "requirements" / file).read_text()
        pinned = {match[1] for line in text.splitlines() if (match := PIN.match(line))}
        names = {re.split(r"[\[<>=]", requirement)[0] for requirement in requirements}
        assert names - pinned == set(), file


def test_no_path_of_a_machine() -> None:
    """No file names a folder that exists only on its author's machine."""
    found = []
    for path in committed():
        if path.suffix in {".png", ".webp", ".ico", ".binpb"}:
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            if MACHINE_PATH.search(line):
                found.append(f"{relative(path)}:{number}: {line.strip()}")
    assert found == []


def test_a_file_is_one_idea() -> None:
    """No source file is longer than the limit for easy reading."""
    long = [
        f"{relative(path)}: {count} lines"
        for path in committed("*.py", "*.js", "*.ts", "*.vue")
        if "heddle/v1/" not in relative(path)
        and (count := len(path.read_text(encoding="utf-8").splitlines())) > MOST_LINES
    ]
    assert long == []


def test_a_function_is_one_idea() -> None:
    """No function of the product has a body that is longer than the limit for easy reading."""
    long = [
        f"{relative(path)}: {function.name}, {count} lines"
        for path in PRODUCT
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        and (count := body_lines(function)) > MOST_BODY
    ]
    assert long == []


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Returns the number of lines of a function without its signature and docstring."""
    first, *rest = function.body
    is_text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    begin = rest[0] if is_text and rest else first
    return (function.end_lineno or 0) - begin.lineno + 1


def test_a_folder_is_one_layer() -> None:
    """No folder of the product has so many modules that its parts are hard to see."""
    modules = Counter(relative(path.parent) for path in PRODUCT if path.name != "__init__.py")
    assert {folder: count for folder, count in modules.items() if count > MOST_MODULES} == {}


def test_the_version_stands_once() -> None:
    """The package, the changelog and the manifests have the same version."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f'__version__ = "{version}"' in (ROOT / "heddle" / "__init__.py").read_text()
    deploy = ROOT / "deploy"
    for folder in ("base", "overlays/static-fleet"):
        assert f"newTag: {version}\n" in (deploy / folder / "kustomization.yaml").read_text()
    template = (deploy / "overlays" / "pods-per-epic" / "pod-template.yaml").read_text()
    assert template.count(f"image: heddle:{version}\n") == 2
