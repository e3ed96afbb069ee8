"""A small agent that speaks the Agent Client Protocol: `python acp_agent.py`, controlled by its prompt.

A prompt is a list of steps, one a line: a word of ACTS and its argument. The steps are
hard to trigger in a real agent. The agent echoes a line that does not start with a word of ACTS.
`--auth` makes it require a login, `--load` lets it load sessions, `--forgetful` makes each load fail.

It writes the protocol's messages itself (https://agentclientprotocol.com, version 1): JSON-RPC, one
object a line. So it starts quickly, and the tests do not rely on one library for both sides.
"""

import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

SESSION = "session-1"
MODELS = ("small", "large")

# The error codes of JSON-RPC, and those that the protocol adds.
AUTH_REQUIRED = -32000
NOT_FOUND = -32002
NO_SUCH_METHOD = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603


class Refused(Exception):  # noqa: N818 (an answer of the protocol, not a failure of ours)
    """An error of the protocol."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.data = data


class Agent:
    """Runs the steps of its prompts, one message after another; another thread reads."""

    def __init__(self) -> None:
        self._requests: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._cancelled = threading.Event()
        self._hears = True
        self._asked = 0
        self._calls = 0
        self._cost = 0.0

    def run(self) -> None:
        """Answers requests until its input ends."""
        threading.Thread(target=self._read, daemon=True).start()
        while True:
            request = self._requests.get()
            answer: dict[str, Any] = {"jsonrpc": "2.0", "id": request["id"]}
            try:
                answer["result"] = self._handle(request["method"], request["params"])
            except Refused as error:
                answer["error"] = {"code": error.code, "message": str(error), "data": error.data}
            send(answer)

    def _read(self) -> None:
        for line in sys.stdin.buffer:
            message = json.loads(line)
            if "method" not in message:
                self._answers.put(message)
            elif message["method"] == "session/cancel":
                self._cancelled.set()
            else:
                self._requests.put(message)
        if self._hears:
            # The client is gone, so the answer cannot be sent.
            os._exit(0)

    def _handle(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        match method:
            case "initialize":
                loads = "--load" in sys.argv or "--forgetful" in sys.argv
                return {"protocolVersion": 1, "agentCapabilities": {"loadSession": loads}, "authMethods": []}
            case "session/new":
                if "--auth" in sys.argv:
                    raise Refused(AUTH_REQUIRED, "Authentication required")
                return {"sessionId": SESSION, "configOptions": [model_option("small")]}
            case "session/load":
                if "--forgetful" in sys.argv:
                    raise Refused(NOT_FOUND, "Resource not found", {"uri": params["sessionId"]})
                self.say("what was said before")
                return {"configOptions": [model_option("small")]}
            case "session/set_config_option":
                if params["value"] not in MODELS:
                    raise Refused(INVALID_PARAMS, "Invalid params", {"details": f"no {params['value']}"})
                return {"configOptions": [model_option(params["value"])]}
            case "session/prompt":
                return self._prompt(params["prompt"][0]["text"])
        raise Refused(NO_SUCH_METHOD, f"Method not found: {method}")

    def _prompt(self, text: str) -> dict[str, Any]:
        for step in text.splitlines():
            word, _, given = step.partition(" ")
            if word not in ACTS:
                self.say(f"You said: {step}\n")
            elif stop := ACTS[word](self, given):
                return {"stopReason": stop}
        usage = {"totalTokens": 30, "inputTokens": 10, "outputTokens": 20}
        return {"stopReason": "end_turn", "usage": usage}

    def say(self, text: str) -> None:
        self._update("agent_message_chunk", content={"type": "text", "text": text})

    def spend(self, dollars: str) -> None:
        self._cost += float(dollars)
        self._update("usage_update", used=1, size=2, cost={"amount": self._cost, "currency": "USD"})

    def limit(self, reached: str) -> None:
        """Reports the state of a rate limit, given as JSON, as Claude's adapter does."""
        self._update("usage_update", used=1, size=2, _meta={"_claude/rateLimit": json.loads(reached)})

    def ask(self, command: str) -> None:
        """Asks whether it may run `command`, and prints the answer."""
        call = {
            "toolCallId": self._call(),
            "title": command,
            "kind": "execute",
            "rawInput": {"command": command},
        }
        options = [
            {"optionId": "yes", "name": "Allow", "kind": "allow_once"},
            {"optionId": "no", "name": "Reject", "kind": "reject_once"},
        ]
        answer = self._request("session/request_permission", toolCall=call, options=options)["outcome"]
        self.say(f"answer: {answer.get('optionId', answer['outcome'])}\n")

    def write(self, path: str) -> None:
        try:
            self._request("fs/write_text_file", path=path, content="from the agent\n")
            self.say(f"wrote {path}\n")
        except Refused as error:
            self.say(f"refused: {error}\n")

    def read(self, path: str) -> None:
        try:
            answer = self._request("fs/read_text_file", path=path, line=2, limit=1)
            self.say(f"read: {answer['content']}")
        except Refused as error:
            self.say(f"refused: {error}\n")

    def run_command(self, command: str) -> None:
        """Runs `command` in a terminal of the client, as a tool call."""
        call = self._call()
        try:
            made = self._request("terminal/create", command=command, outputByteLimit=100)
        except Refused as error:
            self.say(f"refused: {error}\n")
            return
        terminal = made["terminalId"]
        self._update(
            "tool_call",
            toolCallId=call,
            title=command,
            kind="execute",
            content=[{"type": "terminal", "terminalId": terminal}],
            rawInput={"command": command},
        )
        ended = self._request("terminal/wait_for_exit", terminalId=terminal)
        output = self._request("terminal/output", terminalId=terminal)["output"]
        self._request("terminal/release", terminalId=terminal)
        status = "failed" if ended.get("exitCode") else "completed"
        self._update("tool_call_update", toolCallId=call, status=status, rawOutput=output)

    def leave(self, command: str) -> None:
        """Runs `command` in a terminal of the client and does not wait for its end."""
        self._request("terminal/create", command=command)

    def dawdle(self, seconds: str) -> None:
        """Ends its turn while a call is open, and ends the call later."""
        call = self._call()
        self._update("tool_call", toolCallId=call, title="Think long", status="in_progress")

        def end() -> None:
            self._update("tool_call_update", toolCallId=call, status="completed")

        threading.Timer(float(seconds), end).start()

    def die(self, _: str) -> None:
        """Kills itself, at the first request only."""
        if not (died := Path("died")).exists():
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    def picture(self, data: str) -> None:
        image = {"type": "image", "data": data, "mimeType": "image/png"}
        self._update(
            "tool_call",
            toolCallId=self._call(),
            title="Screenshot",
            status="completed",
            content=[{"type": "content", "content": image}],
        )

    def hang(self, _: str) -> str:
        """Works until it is cancelled; the signal that ends a session reaches it first."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self.say("hanging\n")
        self._cancelled.wait()
        self.say("cancelled\n")
        return "cancelled"

    def wedge(self, _: str) -> None:
        """Ignores a cancel and the end of its input."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self._hears = False
        self.say("wedged\n")
        threading.Event().wait()

    def stop(self, reason: str) -> str:
        return reason

    def fail(self, message: str) -> None:
        raise Refused(INTERNAL_ERROR, message)

    def crash(self, code: str) -> None:
        os._exit(int(code))

    def mutter(self, text: str) -> None:
        """Writes lines that are not messages, and bytes that are not text, to its standard output."""
        sys.stdout.buffer.write(text.encode() + b" \xff\xfe\n[1, 2]\n")
        sys.stdout.buffer.flush()

    def flood(self, size: str) -> None:
        self.say("x" * int(size))

    def invent(self, _: str) -> None:
        """Sends an update that is not part of the protocol."""
        self._update("news")

    def environment(self, name: str) -> None:
        self.say(f"{name}={os.environ.get(name)}\n")

    def _call(self) -> str:
        self._calls += 1
        return f"call-{self._calls}"

    def _update(self, kind: str, /, **fields: Any) -> None:
        params = {"sessionId": SESSION, "update": {"sessionUpdate": kind, **fields}}
        send({"jsonrpc": "2.0", "method": "session/update", "params": params})

    def _request(self, method: str, /, **params: Any) -> dict[str, Any]:
        """Sends the client a request; returns its result, or raises its error."""
        self._asked += 1
        send(
            {
                "jsonrpc": "2.0",
                "id": self._asked,
                "method": method,
                "params": {"sessionId": SESSION, **params},
            }
        )
        answer = self._answers.get()
        if error := answer.get("error"):
            raise Refused(error["code"], error["message"])
        return answer["result"] or {}


ACTS: dict[str, Callable[[Agent, str], str | None]] = {
    "say": Agent.say,
    "spend": Agent.spend,
    "limit": Agent.limit,
    "ask": Agent.ask,
    "write": Agent.write,
    "read": Agent.read,
    "run": Agent.run_command,
    "leave": Agent.leave,
    "dawdle": Agent.dawdle,
    "die": Agent.die,
    "picture": Agent.picture,
    "hang": Agent.hang,
    "wedge": Agent.wedge,
    "stop": Agent.stop,
    "fail": Agent.fail,
    "crash": Agent.crash,
    "mutter": Agent.mutter,
    "flood": Agent.flood,
    "invent": Agent.invent,
    "environment": Agent.environment,
}


def model_option(current: str) -> dict[str, Any]:
    options = [{"value": model, "name": model} for model in MODELS]
    return {"id": "model", "name": "Model", "type": "select", "currentValue": current, "options": options}


def send(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    Agent().run()
