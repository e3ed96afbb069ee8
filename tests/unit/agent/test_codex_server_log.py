import pytest

from agent_svc.agents.codex.server_log import ServerLog, command_arguments, with_server_log

LINE = "2026-12-01T08:00:00.000000Z  WARN {spans}codex_mcp::rmcp_client: {words}\n"
NOT_STARTED = 'MCP server startup failed server_name="{name}" error={cause}'
SPANS = 'app_server.request{otel.kind="server" rpc.method="thread/start"}:mcp.request: '


def line(name: str, cause: str, spans: str = "") -> str:
    return LINE.format(spans=spans, words=NOT_STARTED.format(name=name, cause=cause))


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            line("x", "No such file (os error 2)"),
            "'x' is not there (it failed to start: No such file (os error 2))",
        ),
        (line("x", "timed out", SPANS), "'x' is not there (it failed to start: timed out)"),
        (line("x", "Transport [a<b::C<d>>] error: gone"), "(it failed to start: Transport error: gone)"),
        (
            line("x", "Transport [a::B] error: Auth required, when send"),
            "'x' is not there (it wants a login)",
        ),
        (line("x", "e" * 9000), f"(it failed to start: {'e' * 300}):"),
    ],
)
def test_servers_that_do_not_start_are_named(said: str, told: str) -> None:
    """A line about a server that is not available names the server, and why in at most 300 bytes."""
    assert told in (ServerLog().take(said) or "")


def test_a_server_is_named_once() -> None:
    """Each turn starts the servers again; the log of the session names each of them once."""
    log = ServerLog()
    assert log.take(line("x", "gone"))
    assert log.take(line("x", "gone")) == ""
    assert log.take(line("y", "gone"))


def test_other_lines_stay() -> None:
    """Only lines that Heddle asked codex for are removed from its standard error."""
    log = ServerLog()
    words = "failed to initialize MCP client during shutdown: gone"
    assert log.take(LINE.format(spans="", words=words)) == ""
    assert log.take("2026-12-01T08:00:00Z ERROR codex_mcp::rmcp_client: broken\n") is None
    assert log.take("error: boom\n") is None
    assert log.take("") is None


def test_the_log_level_of_the_user_is_kept() -> None:
    """Codex logs what the user's RUST_LOG says and these lines; its commands get the user's RUST_LOG."""
    assert with_server_log({"A": "b"}) == {"A": "b", "RUST_LOG": "error,codex_mcp::rmcp_client=warn"}
    assert with_server_log({"RUST_LOG": "info"})["RUST_LOG"] == "info,codex_mcp::rmcp_client=warn"
    assert command_arguments({}) == ()
    assert command_arguments({"RUST_LOG": "info"}) == ("-c", 'shell_environment_policy.set.RUST_LOG="info"')
