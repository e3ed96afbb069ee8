"""Whether an agent that calls a model has received an answer from it, judged by its events. Pure."""

from collections.abc import Iterable

from heddle import pb


class ModelSigns:
    """Takes the events of one agent process in."""

    def __init__(self) -> None:
        self._spoke = False
        self._acted = False
        self._reported = False
        self._used = False

    def take(self, events: Iterable[pb.Event]) -> None:
        """Remembers what `events` say."""
        for event in events:
            usage = event.usage
            self._acted |= event.HasField("tool_started")
            self._spoke |= bool(event.message.text.strip())
            self._reported |= event.HasField("usage")
            self._used |= bool(usage.input_tokens or usage.output_tokens or usage.cost_usd_micros)

    @property
    def answered(self) -> bool:
        """True once the model has said or called anything.

        Words of an agent that reports to have used nothing are its own, as of a hook
        that blocks the prompt. Use without a word is that of a model that refuses.
        """
        return self._acted or (self._spoke and (self._used or not self._reported))
