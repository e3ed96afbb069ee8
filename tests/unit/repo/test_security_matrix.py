"""docs/security.md: each claim names tests that exist."""

import re

from tests.unit.repo.files import ROOT, committed

NAMED = re.compile(r"`((?:tests/)?[\w/]+\.py)?(?:::(\w+))?`")


def test_each_claim_names_tests_that_exist() -> None:
    """Every row of the matrix has a test, and a name without its file belongs to the file before it."""
    files = {str(path.relative_to(ROOT)): path for path in committed("tests/**/*.py")}
    rows = [
        line for line in (ROOT / "docs" / "security.md").read_text().splitlines() if line.count(" | ") == 3
    ]
    rows = [row.split(" | ")[2] for row in rows if not row.startswith(("| attacker", "|---"))]
    assert len(rows) > 30
    missing, named, file = [], 0, ""
    for row in rows:
        for path, test in NAMED.findall(row):
            if path:
                file = next((each for each in files if each == path or each.endswith(f"/{path}")), path)
            named += 1
            if file not in files or (test and f"def {test}(" not in files[file].read_text()):
                missing.append((file, test))
    assert missing == []
    assert named >= len(rows)
