"""The text of the project refers only to the project and uses plain English."""

import re

from tests.unit.repo.files import committed, relative

# Documents that this repository does not contain.
MISSING = re.compile(r"\b(?:DESIGN|STYLE|UI|REAL_AGENTS)\.md\b")

# Old-fashioned words that each have a usual alternative: fix, again, no one, task.
QUAINT = re.compile(r"\b(?:mends?|anew|nobody|errands?)\b", re.IGNORECASE)


def test_only_documents_that_are_here() -> None:
    """No comment or docstring refers to a page that the repository does not have."""
    found = [
        f"{relative(path)}:{number}: {line.strip()}"
        for path in committed(
            "*.py", "*.js", "*.ts", "*.vue", "*.proto", "*.md", "*.mk", "*.yaml", "Makefile"
        )
        if path.name != "test_words.py"
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if MISSING.search(line)
    ]
    assert found == []


def test_documents_use_the_usual_words() -> None:
    """Documents, API comments, settings and the code of the services are in plain technical English."""
    found = [
        f"{relative(path)}:{number}: {line.strip()}"
        for path in committed(
            "*.md",
            "*.proto",
            "deploy/*",
            "Makefile",
            "pyproject.toml",
            "*.yml",
            "*.py",
            "*.js",
            "*.ts",
            "*.vue",
            ":!tests",
        )
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        # The name of a database table is allowed.
        if QUAINT.search(line) and '"errands"' not in line
    ]
    assert found == []
