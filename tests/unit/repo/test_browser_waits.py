"""Browser tests wait without compiling code in the page."""

import re
from typing import Final

from tests.unit.repo.files import ROOT

# A page's policy forbids `eval`, which Playwright's own wait for an expression needs: it would fail at random, when
# the first look does not already find the expression true.
_CALL: Final = re.compile(r"\.wait_for_function\(")


def test_no_test_waits_with_code_that_the_page_compiles() -> None:
    """Tests use `wait_until` of tests/e2e/waits.py in place of Playwright's `wait_for_function`."""
    files = [*(ROOT / "tests").rglob("*.py")]
    assert files
    found = [str(path.relative_to(ROOT)) for path in files if _CALL.search(path.read_text(encoding="utf-8"))]
    assert found == []
