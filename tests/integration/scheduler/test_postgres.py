"""What is true of PostgreSQL only: standbys, and connections that the server closes."""

import pytest
import sqlalchemy as sa

from heddle import pb
from heddle.errors import HeddleError
from scheduler_svc.store.db.database import Database
from scheduler_svc.store.db.doorbell import Doorbell
from scheduler_svc.store.db.tables import leadership
from tests.support.postgres import Postgres, running_postgres
from tests.support.round_trips import counting
from tests.support.scheduler import eventually

_EPOCH = sa.select(leadership.c.epoch)


def read_epoch(connection: sa.Connection) -> int:
    return int(connection.execute(_EPOCH).scalar_one())


def raise_epoch(connection: sa.Connection) -> None:
    connection.execute(sa.update(leadership).values(epoch=leadership.c.epoch + 1))


async def test_standby_is_refused_until_it_is_the_primary(postgres: Postgres) -> None:
    """A server that became a standby is named as such and left; once it accepts writes, everything works again."""
    url = postgres.new_database("standby")
    database = Database(url, Doorbell())
    await database.open()

    async def writes_nothing() -> bool:
        await database.submit(raise_epoch)
        return False

    try:
        with postgres.read_only():
            with pytest.raises(HeddleError, match="read-only standby") as caught:
                # The server tells its processes of the new setting one after the other.
                await eventually(writes_nothing)
            assert caught.value.reason == pb.ERROR_REASON_DATABASE_UNAVAILABLE
            # Its data could be old, so it is not read either.
            with pytest.raises(HeddleError, match="read-only standby"):
                await database.read(read_epoch)
            with pytest.raises(HeddleError, match="read-only standby"):
                await Database(url, Doorbell()).open()
        before = await database.read(read_epoch)
        await database.submit(raise_epoch)
        assert await database.read(read_epoch) == before + 1
    finally:
        await database.close()


async def test_promoted_standby_has_all_that_was_confirmed() -> None:
    """If the primary is lost, its standby is not written to; once it is promoted, it is, on top of what was confirmed."""
    with running_postgres() as primary, running_postgres(standby_of=primary) as standby:
        primary.wait_for_standby()
        url = sa.make_url(primary.new_database("failover"))
        both = url.set(query={"host": (primary.host, standby.host)})
        database = Database(both.render_as_string(hide_password=False), Doorbell())
        await database.open()

        async def writes() -> bool:
            try:
                await database.submit(raise_epoch)
            except HeddleError as error:
                return error.reason != pb.ERROR_REASON_DATABASE_UNAVAILABLE
            return True

        try:
            await database.submit(raise_epoch)
            before = await database.read(read_epoch)
            primary.crash()
            assert not await writes()
            with pytest.raises(HeddleError, match="cannot be used now"):
                await database.read(read_epoch)
            standby.promote()
            await eventually(writes)
            assert await database.read(read_epoch) == before + 1
        finally:
            await database.close()


async def test_closed_idle_connections_are_replaced_before_use(postgres: Postgres) -> None:
    """Connections that the server has closed while they were idle fail no read and no write."""
    url = postgres.new_database("idle")
    database = Database(url, Doorbell())
    await database.open()
    try:
        await database.submit(raise_epoch)
        assert await database.read(read_epoch) == 1
        postgres.end_connections("idle")
        await database.submit(raise_epoch)
        assert await database.read(read_epoch) == 2
    finally:
        await database.close()


async def test_connections_cost_no_round_trips_of_their_own(postgres: Postgres) -> None:
    """A read takes one round trip: nothing asks before if the connection works."""
    database = Database(postgres.new_database("pings"), Doorbell())
    with counting(database.engine) as trips:
        await database.open()
        try:
            # The first one connects.
            await database.read(read_epoch)
            trips.taken()
            await database.read(read_epoch)
            assert trips.taken() == 1
        finally:
            await database.close()
