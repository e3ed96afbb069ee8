"""How sessions that meet outages of their provider one after the other, or together, hold it."""

from typing import Any

import pytest

from heddle import pb
from heddle.agents import provider_of
from heddle.names import AttemptName
from scheduler_svc.commands.decisions.apply_action import act
from scheduler_svc.policy.actions import StartTask
from scheduler_svc.store.db.database import Database
from scheduler_svc.store.rows import holds
from tests.integration.scheduler.test_store import write_run

SECOND = 1_000_000
HOUR = 3600 * SECOND
PROVIDER = "anthropic"


def limited(seconds: int | None = None) -> pb.SessionFinished:
    ended = pb.SessionFinished(outcome=pb.OUTCOME_RATE_LIMITED, reason="429")
    if seconds is not None:
        ended.retry_after.FromSeconds(seconds)
    return ended


UNAUTHORIZED = pb.SessionFinished(outcome=pb.OUTCOME_UNAUTHORIZED, reason="the log-in has expired")


async def meet(
    database: Database, ended: pb.SessionFinished, now: int, provider: str = PROVIDER
) -> holds.Met:
    return await database.submit(lambda connection: holds.meet(connection, provider, ended, now))


async def seen(database: Database, now: int, provider: str = PROVIDER) -> Any:
    """Returns the active hold of a provider; None if it has none."""
    found = await database.read(lambda connection: holds.list_holds(connection, now))
    return next((each for each in found.holds if each.provider == provider), None)


async def test_a_hold_for_the_operator_is_not_shortened(database: Database) -> None:
    """A session that ends with a short pause after one that needs the operator leaves it to the operator."""
    assert await meet(database, UNAUTHORIZED, 0) == holds.Met(None, "the log-in has expired")
    assert await meet(database, limited(600), 1) == holds.Met(None, "the log-in has expired")
    hold = await seen(database, 10 * HOUR)
    assert (hold.cause, hold.reason) == (pb.OUTCOME_UNAUTHORIZED, "the log-in has expired")
    assert not hold.HasField("until")


async def test_a_pause_becomes_a_hold_for_the_operator(database: Database) -> None:
    """A session that needs the operator replaces a pause, however long, with its own reason."""
    await meet(database, limited(600), 0)
    assert await meet(database, UNAUTHORIZED, 1) == holds.Met(None, "the log-in has expired")
    assert (await seen(database, 10 * HOUR)).reason == "the log-in has expired"


async def test_the_longest_pause_counts(database: Database) -> None:
    """Of two sessions that end together, the longer pause counts, in whichever order they end."""
    for provider, first, second in (("one", 600, 60), ("two", 60, 600)):
        await meet(database, limited(first), 0, provider)
        met = await meet(database, limited(second), 0, provider)
        assert met.until == 600 * SECOND
        hold = await seen(database, 0, provider)
        assert (hold.until.seconds, hold.failures) == (600, 1)


@pytest.mark.parametrize(("after", "failures"), [(HOUR, 2), (HOUR + 1, 1)])
async def test_failures_are_forgotten_after_an_hour(database: Database, after: int, failures: int) -> None:
    """An outage within an hour of the end of a hold is a further failure; later, it is the first one again."""
    until = (await meet(database, limited(), 0)).until
    assert until == 10 * SECOND
    again = await meet(database, limited(), until + after)
    assert again.until == until + after + 10 * failures * SECOND
    assert (await seen(database, until + after)).failures == failures


@pytest.mark.parametrize(("now", "held"), [(10 * SECOND - 1, True), (10 * SECOND, False)])
async def test_a_hold_ends_at_its_time(database: Database, now: int, held: bool) -> None:
    """From its time on, a hold is over."""
    await meet(database, limited(), 0)
    assert bool(await seen(database, now)) is held


@pytest.mark.parametrize(("begun", "tried"), [(10 * SECOND - 1, False), (10 * SECOND, True)])
async def test_only_a_session_after_the_hold_tries_the_provider(
    database: Database, begun: int, tried: bool
) -> None:
    """A session that began before the end of a hold says nothing about whether the provider works again."""
    await database.submit(write_run)
    attempt = AttemptName("sample", "a", "one", 1)
    await database.submit(lambda connection: act(connection, StartTask(attempt), begun))
    provider = await database.read(_provider)
    await meet(database, limited(), 0, provider)
    [view] = await database.read(
        lambda connection: holds.providers_of(
            connection, connection.execute(holds.HOLDS).all(), 10 * SECOND + 1
        )
    )
    assert (view.name, view.held, view.tried) == (provider, False, tried)


def _provider(connection: Any) -> str:
    """Returns the provider of the only attempt."""
    agent = connection.exec_driver_sql("SELECT agent FROM attempts").scalar_one()
    return provider_of(agent)
