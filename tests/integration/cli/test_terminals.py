"""The command on a terminal that is not UTF-8, with untrusted titles."""

import asyncio
import json
import os
from pathlib import Path

import pytest

from heddle.rpc.serving import Server
from tests.support import warm
from tests.support.fake_scheduler import RUN, FakeScheduler
from tests.support.repositories import make_repository

TITLE = "Zürich \u202e\x1b]0;x\x07 🚀"
NAME = "Zürich ✓ 🚀"
SHORT = RUN.removeprefix("runs/")


def printed(command: list[str], environment: dict[str, str], folder: Path) -> tuple[bytes, bytes]:
    """Returns what `heddle COMMAND` prints to its standard output and standard error."""
    with (folder / "out").open("w+b") as out, (folder / "err").open("w+b") as err:
        warm.start("heddle", *command, env=environment, stdout=out.fileno(), stderr=err.fileno()).wait()
        out.seek(0)
        err.seek(0)
        return out.read(), err.read()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
async def test_no_command_fails_over_a_character(tmp_path: Path, encoding: str) -> None:
    """Every command prints in any encoding; control characters are shown, not sent to the terminal."""
    server = Server(FakeScheduler(title=TITLE, length=2).service(), "127.0.0.1:0")
    await server.start()
    repository = make_repository(tmp_path / "Zürich", {"README.md": "✓\n"})
    plan = tmp_path / "plan.yaml"
    plan.write_text(f"name: {NAME}\nepics: [{{key: e, tasks: [{{key: t, prompt: ✓ 🚀}}]}}]\n")
    environment = {
        **os.environ,
        "PYTHONIOENCODING": encoding,
        "HEDDLE_SCHEDULER": server.address,
        "HEDDLE_HOME": str(tmp_path / "home"),
    }
    commands = [
        ["ls"],
        ["ls", "--json"],
        ["show", SHORT],
        ["events", SHORT],
        ["approvals"],
        ["run", str(plan), "--repo", str(repository), "--wait"],
        ["plan", "check", str(plan)],
        ["plan", "check", str(plan), "--json"],
        ["doctor", "--repo", str(repository)],
        ["doctor", "--json"],
    ]
    try:
        for command in commands:
            out, err = await asyncio.to_thread(printed, command, environment, tmp_path)
            assert b"Traceback" not in err, err.decode(errors="replace")
            assert not set((out + err).decode(encoding)) & set("\u202e\x1b\x07"), command
            if "--json" in command and command[0] != "doctor":
                said = json.loads(out)
                assert (said.get("title") or said["plan"]["name"]) in {TITLE, NAME}
            elif command[0] in {"ls", "show"}:
                assert rb"\u202e\x1b]0;x" in out
    finally:
        await server.stop()
