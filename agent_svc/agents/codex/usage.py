"""Translates codex's token counts, which are totals of its session, to differences. Pure."""

from collections.abc import Mapping
from typing import Final

from heddle import pb

_TOKENS: Final = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")


class Spending:
    """Translates cumulative counts to the usage since the last report. codex does not report a cost."""

    def __init__(self, model: str) -> None:
        self.model = model
        self._total = pb.Usage()

    def begin(self, counts: Mapping[str, int]) -> None:
        """Starts from a session that has already used `counts`."""
        self._total = _total(counts)

    def report(self, counts: Mapping[str, int]) -> list[pb.Event]:
        """Returns the usage that `counts` adds to the last report; empty if nothing was added."""
        before, self._total = self._total, _total(counts)
        total = self._total
        # The counts start again from zero if codex started a new session.
        if total.output_tokens < before.output_tokens:
            before = pb.Usage()
        used = pb.Usage(
            model=self.model,
            input_tokens=max(0, total.input_tokens - before.input_tokens),
            output_tokens=total.output_tokens - before.output_tokens,
            cache_read_tokens=max(0, total.cache_read_tokens - before.cache_read_tokens),
            cache_write_tokens=max(0, total.cache_write_tokens - before.cache_write_tokens),
        )
        return [pb.Event(usage=used)] if any(getattr(used, field) for field in _TOKENS) else []


def _total(counts: Mapping[str, int]) -> pb.Usage:
    cached, written = counts.get("cached_input_tokens", 0), counts.get("cache_write_input_tokens", 0)
    return pb.Usage(
        # codex includes cached tokens in the input.
        input_tokens=max(0, counts.get("input_tokens", 0) - cached - written),
        output_tokens=counts.get("output_tokens", 0),
        cache_read_tokens=cached,
        cache_write_tokens=written,
    )
