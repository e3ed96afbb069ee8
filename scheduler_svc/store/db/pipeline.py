"""Sends the statements of a transaction in few round trips.

A round trip to PostgreSQL over a network costs more than the statement. Statements whose results are not needed
are therefore queued (`later`) and sent together: before the next read, or with the commit. Reads of one kind or of
several kinds are sent together as well (`fetch`). On SQLite, which has no network, the same statements run one
after another, without the overhead of building a result for each.

A queued statement can be required to change a row. If it does not, the transaction fails as a whole with
MissedError, and its work must run again without a queue, where each statement reports its own result.
"""

from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import groupby
from typing import Any, Final, NamedTuple, TypeAlias

import sqlalchemy as sa

# Key under which a connection stores its queued statements.
_QUEUE: Final = "heddle_queue"

_REMEMBERED: Final = 1024

# The error that PostgreSQL reports if a required row is missing: see _required.
_DIVISION_BY_ZERO: Final = "22012"

# The error of a write on a standby. Nothing can be done on its connection, so it counts as lost.
READ_ONLY: Final = "25006"

# Columns are read by name or by place.
Row: TypeAlias = Any
Parameters: TypeAlias = Mapping[str, object]


class MissedError(Exception):
    """A queued statement changed or found no row, and nothing of the transaction may be committed."""


class _Compiled(NamedTuple):
    statement: sa.sql.ClauseElement
    sql: str
    # Values of the parameters that are part of the statement.
    constants: Mapping[str, object]
    # The parameters in the order of the statement. None: they are named.
    order: Sequence[str] | None
    row: Callable[[Iterable[Any]], Row]

    def bound(self, parameters: Parameters) -> Any:
        values = {**self.constants, **parameters}
        return values if self.order is None else [values[name] for name in self.order]


class _Queued(NamedTuple):
    statement: sa.sql.ClauseElement
    parameters: Parameters
    required: bool


_BEGIN: Final = sa.text("BEGIN")


def begin_explicitly(connection: sa.Connection) -> None:
    """Lets only `queueing` and `begin` begin the transactions of a connection to PostgreSQL."""
    driver: Any = connection.connection.dbapi_connection
    driver.autocommit = True


def begin(connection: sa.Connection) -> None:
    """Begins a transaction without a queue."""
    connection.begin()
    if _begins_explicitly(connection):
        connection.execute(_BEGIN)


def _begins_explicitly(connection: sa.Connection) -> bool:
    driver: Any = connection.connection.dbapi_connection
    return connection.dialect.name != "sqlite" and driver.autocommit


@contextmanager
def queueing(connection: sa.Connection) -> Iterator[None]:
    """Begins a transaction that queues what `later` receives inside the block; the caller flushes before its end.

    The caller ends the transaction.
    """
    connection.begin()
    first = [_Queued(_BEGIN, {}, required=False)] if _begins_explicitly(connection) else []
    # Kept, because a connection that has broken in the meantime has none.
    info = connection.info
    info[_QUEUE] = first
    try:
        yield
    finally:
        info.pop(_QUEUE, None)


def queues(connection: sa.Connection) -> bool:
    """Returns whether `later` queues."""
    return _QUEUE in connection.info


def later(
    connection: sa.Connection,
    statement: sa.sql.ClauseElement,
    parameters: Parameters,
    *,
    required: bool = False,
) -> None:
    """Runs a statement before the next read of the transaction or with its commit; without a queue, now.

    If it is `required` and changes, or finds, no row, the transaction raises MissedError.
    """
    queue = connection.info.get(_QUEUE)
    if queue is not None:
        queue.append(_Queued(statement, parameters, required))
        return
    result = connection.execute(statement, dict(parameters))  # type: ignore[call-overload]  # any executable
    if required and not (result.first() if result.returns_rows else result.rowcount):
        raise MissedError


def flush(connection: sa.Connection, *, commit: bool = False) -> None:
    """Sends the queued statements, and COMMIT in the same round trip if that is requested."""
    queue = connection.info.get(_QUEUE)
    if commit and queue and len(queue) == 1 and queue[0].statement is _BEGIN:
        # Nothing was done.
        queue.clear()
    if queue:
        _send(connection, (), commit=commit)


def fetch(
    connection: sa.Connection, statements: Iterable[tuple[sa.sql.ClauseElement, Parameters]]
) -> list[list[Row]]:
    """Returns the rows of each statement, after everything that is queued; one round trip.

    Statements must be built once: each is compiled once and then remembered. A parameter cannot be a list.
    """
    return _send(connection, tuple(statements), commit=False)


def _send(
    connection: sa.Connection,
    statements: Sequence[tuple[sa.sql.ClauseElement, Parameters]],
    *,
    commit: bool,
) -> list[list[Row]]:
    queue: list[_Queued] = connection.info.get(_QUEUE) or []
    # A failed statement must not be sent again.
    queued = list(queue)
    queue.clear()
    send = _send_in_turn if connection.dialect.name == "sqlite" else _send_together
    driver: Any = connection.connection.dbapi_connection
    try:
        return send(connection, driver, queued, statements, commit=commit)
    except connection.dialect.loaded_dbapi.Error as error:
        if getattr(error, "sqlstate", None) == _DIVISION_BY_ZERO:
            raise MissedError from error
        lost = connection.dialect.is_disconnect(error, driver, None) or (
            getattr(error, "sqlstate", None) == READ_ONLY
        )
        if lost:
            connection.invalidate(error)
        raise sa.exc.DBAPIError.instance(
            None,
            None,
            error,
            connection.dialect.loaded_dbapi.Error,
            connection_invalidated=lost,
            dialect=connection.dialect,
        ) from error


def _send_in_turn(
    connection: sa.Connection,
    driver: Any,
    queued: Sequence[_Queued],
    statements: Sequence[tuple[sa.sql.ClauseElement, Parameters]],
    *,
    commit: bool,
) -> list[list[Row]]:
    cursor = driver.cursor()
    for compiled, required, parameters in _grouped(queued, connection.dialect):
        if isinstance(compiled.statement, sa.Select):
            for each in parameters:
                if not cursor.execute(compiled.sql, each).fetchall() and required:
                    raise MissedError
            continue
        cursor.executemany(compiled.sql, parameters)
        if required and cursor.rowcount < len(parameters):
            raise MissedError
    found = []
    for statement, values in statements:
        compiled = _compile(statement, connection.dialect, tuple(values))
        cursor.execute(compiled.sql, compiled.bound(values))
        found.append(list(map(compiled.row, cursor.fetchall())))
    if commit:
        cursor.execute("COMMIT")
    cursor.close()
    return found


def _send_together(
    connection: sa.Connection,
    driver: Any,
    queued: Sequence[_Queued],
    statements: Sequence[tuple[sa.sql.ClauseElement, Parameters]],
    *,
    commit: bool,
) -> list[list[Row]]:
    cursors = []
    with driver.pipeline():
        for compiled, required, parameters in _grouped(queued, connection.dialect):
            sql = _required(compiled) if required else compiled.sql
            driver.cursor().executemany(sql, parameters)
        for statement, values in statements:
            compiled = _compile(statement, connection.dialect, tuple(values))
            cursors.append((compiled, driver.execute(compiled.sql, compiled.bound(values))))
        if commit:
            driver.execute("COMMIT", prepare=False)
    return [list(map(compiled.row, cursor.fetchall())) for compiled, cursor in cursors]


def _grouped(queued: Iterable[_Queued], dialect: sa.Dialect) -> Iterator[tuple[_Compiled, bool, list[Any]]]:
    """Yields each statement with the parameters of all its uses that follow each other."""

    def kind(each: _Queued) -> tuple[int, tuple[str, ...], bool]:
        return id(each.statement), tuple(each.parameters), each.required

    for (_, names, required), uses in groupby(queued, kind):
        same = list(uses)
        compiled = _compile(same[0].statement, dialect, names)
        yield compiled, required, [compiled.bound(each.parameters) for each in same]


def _required(compiled: _Compiled) -> str:
    """Returns a statement that fails if `compiled` changes or finds no row, so that no later one is carried out."""
    if compiled.sql.startswith("SELECT"):
        return f"SELECT 1 / count(*) FROM ({compiled.sql}) AS found"  # noqa: S608 (no values, only parameters)
    return f"WITH changed AS ({compiled.sql} RETURNING 1) SELECT 1 / count(*) FROM changed"  # noqa: S608 (the same)


@lru_cache(maxsize=_REMEMBERED)
def _compile(statement: sa.sql.ClauseElement, dialect: sa.Dialect, parameters: tuple[str, ...]) -> _Compiled:
    compiled: Any = statement.compile(
        dialect=dialect, column_keys=None if isinstance(statement, sa.Select) else list(parameters)
    )
    # The values of lists that are part of the statement become parameters too.
    expanded = compiled.construct_expanded_state(dict.fromkeys(parameters))
    constants = {name: value for name, value in expanded.parameters.items() if name not in parameters}
    return _Compiled(statement, expanded.statement, constants, expanded.positiontup, _rows_of(statement))


def _rows_of(statement: sa.sql.ClauseElement) -> Callable[[Iterable[Any]], Row]:
    if not isinstance(statement, sa.Select):
        return tuple
    names = [str(column.key) for column in statement.selected_columns]
    # Its fields are known at run time only.
    kind: Any = namedtuple("Row", names)  # type: ignore[misc]  # noqa: PYI024 (for the same reason)
    make: Callable[[Iterable[Any]], Row] = kind._make
    return make
