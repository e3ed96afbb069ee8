"""Runs the driver suite against the agents that Heddle includes."""

from heddle.testing.driver_suite import DriverSuite
from tests.support.acp_adapter import AcpSubject
from tests.support.claude import ClaudeSubject
from tests.support.codex import CodexSubject
from tests.support.subjects import CommandSubject, ScriptedSubject


class TestScripted(DriverSuite):
    subject = ScriptedSubject()


class TestCommand(DriverSuite):
    subject = CommandSubject()


class TestClaude(DriverSuite):
    subject = ClaudeSubject()


class TestCodex(DriverSuite):
    subject = CodexSubject()


class TestAcp(DriverSuite):
    subject = AcpSubject()
