"""What all tests share: how property tests choose their examples, and what a failed test leaves to read.

Property tests: the same examples in every run, and no limit of time, on which a busy machine would fail.
"""

from collections.abc import Generator
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, core, settings

from tests.support.seed import IS_GIVEN, SEED

if IS_GIVEN:
    # As `--hypothesis-seed`: the same seed makes the same choices.
    core.global_force_seed = SEED

settings.register_profile(
    "heddle",
    # With a seed, each test tries other examples.
    derandomize=not IS_GIVEN,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
# The judge of mutants has a profile of its own.
if settings.get_current_profile_name() != "mutants":
    settings.load_profile("heddle")

# The most bytes of each log that a failed test shows.
_SHOWN: Final = 8_000


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds the end of each log below `tmp_path` to the report of a failed test: its processes wrote them."""
    report = yield
    folder = getattr(item, "funcargs", {}).get("tmp_path")
    if report.failed and isinstance(folder, Path):
        for log in sorted(folder.rglob("*.log")):
            if log.is_file() and (end := log.read_bytes()[-_SHOWN:].decode(errors="replace")):
                report.sections.append((f"end of {log.relative_to(folder)}", end))
    return report
