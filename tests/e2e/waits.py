"""Waiting for what no element shows."""

import time
from typing import Any, Final

from playwright.sync_api import Page

# Seconds between two looks.
_PAUSE: Final = 0.05


def wait_until(page: Page, expression: str, argument: Any = None, *, seconds: float = 45.0) -> None:
    """Returns once a JavaScript expression or function is true.

    Playwright's own `wait_for_function` compiles code inside the page, which the page's policy forbids.
    """
    deadline = time.monotonic() + seconds
    while not page.evaluate(expression, argument):
        assert time.monotonic() < deadline, f"not true within {seconds:.0f} s: {expression}"
        page.wait_for_timeout(_PAUSE * 1000)
