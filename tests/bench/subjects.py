"""What agents report, for benchmarks of the ways that events take."""

import itertools
from collections.abc import Iterator

from heddle import pb


def event_kinds() -> Iterator[pb.Event]:
    """Yields without an end the events of an agent at work: mostly output, with tool calls and usage."""
    output = pb.Event(output=pb.Output(text="a line of output, as agents write many of them\n" * 3))
    return itertools.cycle(
        [
            *[output] * 6,
            pb.Event(tool_started=pb.ToolStarted(tool_call_id="1", name="Bash", input="make test")),
            pb.Event(tool_finished=pb.ToolFinished(tool_call_id="1", ok=True)),
            pb.Event(usage=pb.Usage(model="bench", input_tokens=900, output_tokens=90)),
        ]
    )
