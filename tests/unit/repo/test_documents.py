"""The documents refer only to things that exist."""

import re
from pathlib import Path

import pytest

from heddle.plan.file import parse
from tests.unit.repo.files import ROOT, committed, relative

YAML = re.compile(r"^```yaml\n(.*?)^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
HTML_SOURCE = re.compile(r'<(?:img|source|a)\b[^>]*?(?:src|srcset|href)="([^"]+)"')
FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)

documents = pytest.mark.parametrize("document", committed("*.md"), ids=relative)


def prose(document: Path) -> str:
    return FENCE.sub("", document.read_text())


def anchors(document: Path) -> set[str]:
    """Returns the anchors of a document's headings in the form that code forges use."""
    headings = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in HEADING.findall(prose(document)))
    return {heading.strip().replace(" ", "-") for heading in headings}


@documents
def test_relative_links_resolve(document: Path) -> None:
    """Every relative link leads to an existing file and heading."""
    text = prose(document)
    for link in LINK.findall(text) + HTML_SOURCE.findall(text):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), f"{relative(document)} links to {link}, which is not there"
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), f"{relative(document)}: {path} has no heading #{anchor}"


def test_documents_of_docs_can_be_found() -> None:
    """Every page of docs/ is linked from another page."""
    linked = {
        (document.parent / link.partition("#")[0]).resolve()
        for document in committed("*.md")
        for link in LINK.findall(prose(document))
    }
    orphans = [
        relative(page)
        for page in committed("docs/*.md")
        if page not in linked and page.parent not in linked and page.name != "README.md"
    ]
    assert orphans == []


def test_the_readme_names_the_two_commands() -> None:
    """The README names `make run` and `make test`."""
    text = (ROOT / "README.md").read_text()
    assert "make run" in text
    assert "make test" in text


def test_plans_in_the_readme_are_valid() -> None:
    """The plans in the README are valid."""
    plans = YAML.findall((ROOT / "README.md").read_text())
    assert plans
    for plan in plans:
        assert parse(plan, "README.md").describe() == ""


def test_paths_in_the_table_of_changes_exist() -> None:
    """Every path in the table of CONTRIBUTING.md exists."""
    table = re.findall(r"^\| .+ \|$", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    named = {path for row in table for path in re.findall(r"`([\w./*-]+/[\w./*-]*)`", row)}
    assert len(named) > 20
    assert [path for path in sorted(named) if not list(ROOT.glob(path.rstrip("/")))] == []
