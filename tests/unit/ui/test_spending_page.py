"""The costs by day, person and agent, as the page of spending adds them up."""

from heddle import pb
from ui_svc.pages.manage.spending import by, stacked


def cost(date: str, user: str, agent: str, micros: int) -> pb.DailyCost:
    return pb.DailyCost(date=date, user=user, agent=agent, cost_usd_micros=micros, sessions=2)


def test_costs_are_added_up_by_day_person_and_agent() -> None:
    """The most expensive comes first, equal ones by name, and each day of an agent is one sum."""
    found = [
        cost("2026-11-29", "user:ada", "claude", 5),
        cost("2026-11-30", "user:ada", "codex", 3),
        cost("2026-11-30", "user:bob", "codex", 4),
    ]
    assert by(found, lambda each: each.agent) == [("codex", 7, 4), ("claude", 5, 2)]
    assert by(found, lambda each: each.user) == [("user:ada", 8, 4), ("user:bob", 4, 2)]
    assert stacked(found) == [("codex", {"2026-11-30": 7}), ("claude", {"2026-11-29": 5})]


def test_agents_beyond_the_fifth_are_one_bar() -> None:
    """Five agents have a bar of their own; of more, the cheapest are summed day by day."""
    five = [cost("2026-11-30", "", f"agent-{number}", 10 - number) for number in range(5)]
    assert [name for name, _ in stacked(five)] == [f"agent-{number}" for number in range(5)]
    more = [cost("2026-11-30", "", "sixth", 2), cost("2026-11-30", "", "seventh", 1)]
    assert stacked([*five, *more])[-1] == ("others", {"2026-11-30": 3})
