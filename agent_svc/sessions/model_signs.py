"""Determines from an agent's events whether its model has answered. Pure."""

from collections.abc import Iterable

from heddle import pb


class ModelSigns:
    """Examines the events of one agent process."""

    def __init__(self) -> None:
        self._spoke = False
        self._acted = False
        self._reported = False
        self._used = False

    def take(self, events: Iterable[pb.Event]) -> None:
        """Examines `events`."""
        for event in events:
            usage = event.usage
            self._acted |= event.HasField("tool_started")
            self._spoke |= bool(event.message.text.strip())
            self._reported |= event.HasField("usage")
            self._used |= bool(usage.input_tokens or usage.output_tokens or usage.cost_usd_micros)

    @property
    def answered(self) -> bool:
        """True once the model has written text or called a tool.

        If an agent reports zero usage, its text is its own, for example from a hook that
        blocks the prompt. Usage without text comes from a model that refuses.
        """
        return self._acted or (self._spoke and (self._used or not self._reported))
