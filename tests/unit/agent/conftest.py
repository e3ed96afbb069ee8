"""Leaves out what tests an optional part that is not installed; `make test` installs it."""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("acp") else ["test_acp_[!d]*.py"]


def pytest_report_header() -> str:
    return f"the ACP host's unit tests: {'left out, acp is not installed' if collect_ignore_glob else 'run'}"
