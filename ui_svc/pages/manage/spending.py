"""The page of the costs per day, person and agent, as charts with a table of the same numbers."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any, Final

from nicegui import ui

from heddle import pb
from heddle.identity.principals import person as person_of
from ui_svc.pages.manage.layout import Table, empty, facts, link, money, section, text
from ui_svc.pages.manage.person import Person

_PERIODS: Final = {7: "7 days", 30: "30 days", 90: "90 days", 365: "1 year"}

# Told apart with every kind of colour vision, on light and dark.
_COLOURS: Final = ("#3b82f6", "#f59e0b", "#10b981", "#ec4899", "#8b5cf6", "#64748b")

# The largest series that are shown by name; the others are summed.
_SERIES: Final = 5


async def build(person: Person) -> None:
    """Adds the charts for a period that the person can change."""
    with ui.element("div").classes("m-bar"):
        period = ui.select(_PERIODS, value=30, label="Period").props("outlined dense")
        ui.element("span").classes("m-grow")
        link("/costs", "Costs by run, epic and task", "m-inline")
    content = ui.element("div").classes("m-stack")

    async def draw() -> None:
        found = await person.call(lambda client: client.list_daily_costs(days=period.value))
        content.clear()
        with content:
            _charts(found, period.value)

    period.on_value_change(draw)
    await draw()


def _charts(found: list[pb.DailyCost], days: int) -> None:
    if not found:
        empty("insights", "Nothing was spent", "Sessions of agents that report their usage are counted here.")
        return
    total = sum(each.cost_usd_micros for each in found)
    spent = {each.date for each in found}
    with section("Per day"):
        facts(
            [
                ("Total", money(total)),
                ("On an average day", money(round(total / len(spent)))),
                ("Sessions", f"{sum(each.sessions for each in found):,}"),
            ]
        )
        _bars(found, days)
        text(
            "p",
            "A session counts on the day on which it started (UTC). Unknown prices are not included.",
            "quiet",
        )
    for title, key in (
        ("Per agent", lambda each: each.agent),
        ("Per person", lambda each: person_of(each.user) or "unknown"),
    ):
        with section(title):
            _shares(title, by(found, key), total)


def _bars(found: Sequence[pb.DailyCost], days: int) -> None:
    last = datetime.now(UTC).date()
    dates = [(last - timedelta(days=back)).isoformat() for back in reversed(range(days))]
    series = [
        {
            "name": name,
            "type": "bar",
            "stack": "cost",
            "color": colour,
            "data": [round(amounts.get(day, 0) / 1e6, 4) for day in dates],
        }
        for (name, amounts), colour in zip(stacked(found), _COLOURS, strict=False)
    ]
    options: dict[str, Any] = {
        "tooltip": {"trigger": "axis", ":valueFormatter": "value => '$' + value.toFixed(2)"},
        # In one line, however many agents and however narrow the screen.
        "legend": {"type": "scroll", "bottom": 0, "textStyle": {"color": "#7b7f8a"}},
        "grid": {"left": 48, "right": 8, "top": 12, "bottom": 52},
        "xAxis": {
            "type": "category",
            "data": [_short(day) for day in dates],
            "axisLabel": {"color": "#7b7f8a"},
        },
        "yAxis": {
            "type": "value",
            "axisLabel": {"color": "#7b7f8a", ":formatter": "value => '$' + value.toFixed(2)"},
            "splitLine": {"lineStyle": {"color": "rgba(128,132,142,.18)"}},
        },
        "series": series,
        "animation": False,
    }
    chart = ui.echart(options).classes("m-chart")
    # The table below has the same numbers.
    chart.props('role="img" aria-label="Cost per day, by agent"')


def stacked(found: Sequence[pb.DailyCost]) -> list[tuple[str, dict[str, int]]]:
    """Returns the cost of each agent by date, the most expensive first; agents beyond the fifth are summed."""
    order = [name for name, *_ in by(found, lambda each: each.agent)]
    named = order[:_SERIES]
    amounts: dict[str, dict[str, int]] = {name: defaultdict(int) for name in named}
    others: dict[str, int] = defaultdict(int)
    for each in found:
        amounts.get(each.agent, others)[each.date] += each.cost_usd_micros
    return [*amounts.items(), *([("others", others)] if len(order) > _SERIES else [])]


def by(found: Sequence[pb.DailyCost], key: Callable[[pb.DailyCost], str]) -> list[tuple[str, int, int]]:
    """Returns each key with its cost in micros and its sessions, the most expensive first."""
    costs: defaultdict[str, int] = defaultdict(int)
    sessions: defaultdict[str, int] = defaultdict(int)
    for each in found:
        costs[key(each)] += each.cost_usd_micros
        sessions[key(each)] += each.sessions
    return sorted(((name, costs[name], sessions[name]) for name in costs), key=lambda row: (-row[1], row[0]))


def _shares(title: str, rows: list[tuple[str, int, int]], total: int) -> None:
    table = Table(title, (title.removeprefix("Per ").capitalize(), "Share", "Sessions>", "Cost>"))
    for name, cost, sessions in rows:
        share = cost / total if total else 0.0
        table.row(name, partial(_meter, share), f"{sessions:,}", money(cost))


def _meter(share: float) -> None:
    with ui.element("div").classes("m-meter m-share").props('aria-hidden="true"'):
        ui.element("i").style(f"width: {share:.0%}")
    text("span", f"{share:.0%}", "num quiet")


def _short(day: str) -> str:
    found = date.fromisoformat(day)
    return f"{found.day} {found:%b}"
