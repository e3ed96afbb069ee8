"""The views of checks and their reports."""

from heddle import pb
from ui_svc.views.values import View, payload, seconds


def check(message: pb.CheckFinished) -> View:
    """Returns a check for a card, with counts and without output."""
    tests, found = message.tests, message.findings
    return {
        "name": message.name,
        "command": message.command,
        "ok": message.ok,
        "exit_code": message.exit_code if message.HasField("exit_code") else None,
        "seconds": seconds(message.duration),
        "tests": {"passed": tests.passed, "failed": tests.failed, "skipped": tests.skipped}
        if message.HasField("tests")
        else None,
        "coverage": {"covered": message.coverage.lines_covered, "valid": message.coverage.lines_valid}
        if message.HasField("coverage")
        else None,
        "findings": {"errors": found.errors, "warnings": found.warnings, "notes": found.notes}
        if message.HasField("findings")
        else None,
    }


def whole_check(message: pb.CheckFinished) -> View:
    """Returns a check with its output and each entry of its reports."""
    return {
        **check(message),
        "output": message.output,
        "failing": list(message.tests.failing),
        "first_findings": [payload(each) for each in message.findings.first],
        "problems": list(message.report_problems),
    }
