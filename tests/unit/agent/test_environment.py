from agent_svc.environment import agent_environment

OURS = {"PATH": "/bin", "LC_ALL": "C", "HEDDLE_DATABASE_URL": "secret", "AWS_KEY": "secret", "EXTRA": "x"}


def test_only_the_allowlist_passes() -> None:
    """An agent gets what is allowed by name, and nothing else of the service's."""
    assert agent_environment(OURS, (), {}, "p") == {"PATH": "/bin", "LC_ALL": "C", "HEDDLE_PROMPT": "p"}


def test_operator_may_allow_more() -> None:
    """Names in the settings pass as well; absent ones stay absent."""
    environment = agent_environment(OURS, ("EXTRA", "ABSENT"), {}, "p")
    assert environment["EXTRA"] == "x"
    assert "ABSENT" not in environment


def test_task_wins() -> None:
    """What a task brings replaces what the service has."""
    assert agent_environment(OURS, (), {"PATH": "/task"}, "p")["PATH"] == "/task"


def test_prompt_that_no_environment_can_hold() -> None:
    """A prompt too long, or with a zero byte, is left out, so that the agent still starts."""
    assert "HEDDLE_PROMPT" not in agent_environment(OURS, (), {}, "é" * 70_000)
    assert "HEDDLE_PROMPT" not in agent_environment(OURS, (), {}, "a\0b")
