"""Performs the steps of a script. The effects are real: files, processes, pictures."""

import signal
import time
from collections.abc import Callable, Iterable
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final

from google.protobuf.duration_pb2 import Duration

from agent_svc.agents.base.tool_vocabulary import PLAN_TOOL, checklist
from agent_svc.agents.scripted.command import run_command
from agent_svc.agents.scripted.picture import draw, file_stem
from agent_svc.agents.scripted.stage import Stage
from agent_svc.reports.screenshots import FOLDER
from agent_svc.text import pieces
from heddle import pb

# Seconds of thinking time before a tool call at speed factor 1.
TOOL_PAUSE: Final = 0.3

DEFAULT_WIDTH: Final = 80


class ScriptFailedError(Exception):
    """The script says that the session fails; the message is the reason."""


class ToolFailedError(Exception):
    """A tool call failed; the agent continues."""


class Player:
    """Plays steps in `worktree`. `attempt` counts from 1; `answers` contains answers to earlier questions.

    `patience` is the number of seconds after which a question counts as denied; None: it waits without a limit.
    """

    def __init__(
        self,
        stage: Stage,
        worktree: Path,
        attempt: int,
        answers: Iterable[pb.ApprovalAnswer] = (),
        patience: float | None = None,
    ) -> None:
        self._stage = stage
        self._worktree = worktree
        self._attempt = attempt
        self._patience = patience
        # By question.
        self._answers = {each.approval.question: each for each in answers}
        # The index of the current step, from 0.
        self._place = 0
        self._calls = 0
        self._approvals = 0
        self._pictures = 0
        # One method for each step in the API. A test checks that none is missing.
        self._acts: dict[str, Callable[[Any], None]] = {
            "say": self._say,
            "think": self._think,
            "write": self._write,
            "edit": self._edit,
            "run": self._run,
            "screenshot": self._screenshot,
            "usage": self._usage,
            "ask": self._ask,
            "wait": self._wait,
            "fail": self._fail,
            "flood": self._flood,
            "plan": self._plan,
            "ignore_sigterm": self._ignore_sigterm,
        }

    def play(self, step: pb.ScriptStep, place: int = 0) -> None:
        """Plays one step; raises ScriptFailedError if the step fails the session."""
        self._place = place
        kind = step.WhichOneof("step")
        if kind is not None and self._attempt >= step.from_attempt:
            self._acts[kind](getattr(step, kind))

    def _say(self, step: pb.ScriptStep.Say) -> None:
        self._stage.speak(step.text, pb.MESSAGE_KIND_TEXT)

    def _think(self, step: pb.ScriptStep.Say) -> None:
        self._stage.speak(step.text, pb.MESSAGE_KIND_THINKING)

    def _usage(self, step: pb.ScriptStep.ReportUsage) -> None:
        self._stage.send(pb.Event(usage=usage(step)))

    def _wait(self, step: pb.ScriptStep.Wait) -> None:
        self._stage.wait(step.duration.ToTimedelta().total_seconds())

    def _ignore_sigterm(self, _: pb.ScriptStep.IgnoreSigterm) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def _tool(
        self,
        name: str,
        target: str,
        kind: "pb.ToolKind.ValueType",
        told: str,
        act: Callable[[str], str],
    ) -> None:
        """Calls a tool: `act` receives the call's id and returns the tool's result."""
        self._calls += 1
        call = f"call-{self._calls}"
        started = pb.ToolStarted(tool_call_id=call, name=name, target=target, kind=kind, input=told)
        self._stage.send(pb.Event(tool_started=started))
        begun = time.monotonic()
        self._stage.pause(TOOL_PAUSE)
        try:
            ok, result = True, act(call)
        except (ToolFailedError, OSError) as error:
            ok, result = False, str(error)
        duration = Duration()
        duration.FromMilliseconds(round((time.monotonic() - begun) * 1000))
        finished = pb.ToolFinished(tool_call_id=call, ok=ok, duration=duration, result=result)
        self._stage.send(pb.Event(tool_finished=finished))

    def _plan(self, step: pb.ScriptStep.Plan) -> None:
        statuses = ["completed"] * step.done + ["in_progress"]
        text = checklist(zip_longest(step.steps, statuses[: len(step.steps)], fillvalue=""))
        self._tool(PLAN_TOOL, "", pb.TOOL_KIND_PLAN, text, lambda _: "")

    def _write(self, step: pb.ScriptStep.WriteFile) -> None:
        def act(_: str) -> str:
            path = self._inside(step.path)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(step.text)
            return f"Wrote {len(step.text.splitlines())} lines to {step.path}"

        self._tool("Write", step.path, pb.TOOL_KIND_EDIT, step.text, act)

    def _edit(self, step: pb.ScriptStep.EditFile) -> None:
        def act(_: str) -> str:
            path = self._inside(step.path)
            text = path.read_text()
            if step.find not in text:
                raise ToolFailedError(f"{step.path} does not contain {step.find!r}")
            path.write_text(text.replace(step.find, step.replace, 1))
            return f"Edited {step.path}"

        self._tool("Edit", step.path, pb.TOOL_KIND_EDIT, f"- {step.find}\n+ {step.replace}", act)

    def _run(self, step: pb.ScriptStep.RunCommand) -> None:
        def act(call: str) -> str:
            code, output = run_command(step.command, self._worktree, call, self._stage.send)
            if code:
                raise ToolFailedError(f"exit code {code}\n{output}")
            return output

        self._tool("Bash", step.command, pb.TOOL_KIND_COMMAND, step.command, act)

    def _screenshot(self, step: pb.ScriptStep.TakeScreenshot) -> None:
        caption = step.caption
        self._pictures += 1
        target = f"{FOLDER}/{self._attempt}-{self._pictures}-{file_stem(caption)}.png"

        def act(_: str) -> str:
            path = self._inside(target)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_suffix(".txt").write_text(caption)
            path.write_bytes(draw(caption))
            return f"Saved {target}"

        self._tool("Screenshot", target, pb.TOOL_KIND_OTHER, caption, act)

    def _inside(self, path: str) -> Path:
        resolved = (self._worktree / path).resolve()
        if not resolved.is_relative_to(self._worktree.resolve()):
            raise ToolFailedError(f"{path} is outside the worktree")
        return resolved

    def _ask(self, step: pb.ScriptStep.Ask) -> None:
        question = step.question
        answer = self._answers.pop(question, None) or self._asked(question)
        if answer is None:
            raise ScriptFailedError(f"no answer to: {question}")
        if not answer.approved and step.if_denied:
            self._stage.speak(step.if_denied, pb.MESSAGE_KIND_TEXT)
        elif not answer.approved:
            said = f": {answer.message}" if answer.message else ""
            raise ScriptFailedError(f"the operator said no to “{question}”{said}")

    def _asked(self, question: str) -> pb.ApprovalResolved | None:
        """Asks the operator and returns the answer; None if agent_svc closed the connection."""
        self._approvals += 1
        approval = f"approval-{self._approvals}"
        self._stage.send(pb.Event(session_started=pb.SessionStarted(agent_session_id=str(self._place))))
        asked = pb.ApprovalRequested(approval_id=approval, question=question)
        if self._patience is not None:
            asked.wait.FromNanoseconds(round(self._patience * 1e9))
        self._stage.send(pb.Event(approval_requested=asked))
        return self._stage.answer(approval, self._patience)

    def _fail(self, step: pb.ScriptStep.Fail) -> None:
        if not step.attempts or self._attempt <= step.attempts:
            raise ScriptFailedError(step.message or "the script says so")

    def _flood(self, step: pb.ScriptStep.Flood) -> None:
        width = step.width or DEFAULT_WIDTH
        batch = max(1, (16 << 10) // (width + 1))
        for begin in range(0, step.lines, batch):
            numbers = range(begin, min(begin + batch, step.lines))
            text = "".join(f"{number} ".ljust(width, "=")[:width] + "\n" for number in numbers)
            for piece in pieces(text):
                output = pb.Output(stream=pb.OUTPUT_STREAM_STDOUT, text=piece)
                self._stage.send(pb.Event(output=output))


def usage(step: pb.ScriptStep.ReportUsage) -> pb.Usage:
    """Returns the usage report; the cost is unknown if the script omits it."""
    report = pb.Usage(
        model=step.model,
        input_tokens=step.input_tokens,
        output_tokens=step.output_tokens,
        cache_read_tokens=step.cache_read_tokens,
        cache_write_tokens=step.cache_write_tokens,
    )
    if step.HasField("cost_usd_micros"):
        report.cost_usd_micros = step.cost_usd_micros
    return report
