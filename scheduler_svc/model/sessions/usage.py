"""Sums of tokens and costs."""

from collections.abc import Iterable

from heddle import pb


def add_report(totals: pb.UsageTotals, report: pb.Usage) -> None:
    """Adds a report of an agent to the totals and to the totals of its model."""
    of_model = _of_model(totals, report.model)
    _add_usage(totals, report)
    _add_usage(of_model, report)
    if report.HasField("settled_usd_micros"):
        of_model.cost_incomplete = not report.HasField("cost_usd_micros")
        totals.cost_incomplete = any(each.usage.cost_incomplete for each in totals.models)


def total(parts: Iterable[pb.UsageTotals]) -> pb.UsageTotals:
    """Returns the sum of `parts`, also by model."""
    sums = pb.UsageTotals()
    for part in parts:
        _add_totals(sums, part)
        for model in part.models:
            _add_totals(_of_model(sums, model.model), model.usage)
    return sums


def _of_model(totals: pb.UsageTotals, name: str) -> pb.UsageTotals:
    """Returns the totals of one model; inserts them in order of name if absent."""
    for model in totals.models:
        if model.model == name:
            return model.usage
    totals.models.add(model=name)
    totals.models.sort(key=lambda each: each.model)
    return next(model.usage for model in totals.models if model.model == name)


def _add_usage(totals: pb.UsageTotals, report: pb.Usage) -> None:
    _add_tokens(totals, report)
    totals.cost_usd_micros += report.cost_usd_micros
    totals.cost_incomplete |= not report.HasField("cost_usd_micros")
    totals.estimated_usd_micros += report.cost_usd_micros if report.estimated else 0
    totals.estimated_usd_micros -= report.settled_usd_micros


def _add_totals(totals: pb.UsageTotals, part: pb.UsageTotals) -> None:
    _add_tokens(totals, part)
    totals.cost_usd_micros += part.cost_usd_micros
    totals.cost_incomplete |= part.cost_incomplete
    totals.estimated_usd_micros += part.estimated_usd_micros


def _add_tokens(totals: pb.UsageTotals, part: pb.Usage | pb.UsageTotals) -> None:
    totals.input_tokens += part.input_tokens
    totals.output_tokens += part.output_tokens
    totals.cache_read_tokens += part.cache_read_tokens
    totals.cache_write_tokens += part.cache_write_tokens
