"""Stores tokens, sessions of browsers and the codes with which these begin. Secrets are stored as hashes."""

import hashlib
import json
from dataclasses import replace
from enum import IntEnum
from typing import NamedTuple

import sqlalchemy as sa

from heddle import pb
from heddle.errors import not_found
from heddle.identity.principals import Kind, Principal
from heddle.identity.token_file import reading_part
from scheduler_svc.store.db.identity_tables import tokens
from scheduler_svc.store.db.times import optional_timestamp, timestamp


class TokenKind(IntEnum):
    """What a secret is for."""

    TOKEN = 1
    SESSION = 2
    # Begins a session, once.
    CODE = 3
    # Registers one worker.
    WORKER = 4


class NewToken(NamedTuple):
    """A token to store. Times are in microseconds; `expires_at` is None if it does not expire."""

    id: str
    kind: TokenKind
    owner: Principal
    title: str
    expires_at: int | None


def insert(connection: sa.Connection, token: NewToken, secret: str, now: int) -> pb.Token:
    """Stores a token; returns it without the secret. Of a session, the reading part can be found as well."""
    stored = reading_part(secret) if token.kind is TokenKind.SESSION else secret
    row = {
        "id": token.id,
        "kind": token.kind,
        "hash": _hash(stored),
        "user": token.owner.name,
        "role": token.owner.role,
        "projects": json.dumps(token.owner.projects),
        "title": token.title,
        "created_at": now,
        "expires_at": token.expires_at,
    }
    connection.execute(sa.insert(tokens), row)
    return _message(connection.execute(sa.select(tokens).where(tokens.c.id == token.id)).one())


def find(connection: sa.Connection, secret: str, now: int) -> Principal | None:
    """Returns the owner of a valid token or session; as a viewer if `secret` is only the reading part of a session."""
    hashes = {_hash(secret): False, _hash(reading_part(secret)): True}
    for row in connection.execute(_valid(now).where(tokens.c.hash.in_(hashes))):
        whole = hashes[row.hash]
        if row.kind == TokenKind.SESSION:
            return _owner(row) if whole else replace(_owner(row), role=pb.ROLE_VIEWER, reading=True)
        if row.kind == TokenKind.TOKEN and not whole:
            return _owner(row)
        if row.kind == TokenKind.WORKER and not whole:
            return replace(_owner(row), kind=Kind.WORKER)
    return None


def redeem(connection: sa.Connection, code: str, now: int) -> Principal | None:
    """Returns the owner of a valid code, which is no longer valid afterwards."""
    row = connection.execute(
        _valid(now).where(tokens.c.hash == _hash(code), tokens.c.kind == TokenKind.CODE)
    ).one_or_none()
    if row is None:
        return None
    connection.execute(sa.delete(tokens).where(tokens.c.id == row.id))
    return _owner(row)


def listed(connection: sa.Connection, now: int) -> list[pb.Token]:
    """Returns the valid tokens and sessions, the newest first."""
    chosen = _valid(now).where(tokens.c.kind != TokenKind.CODE)
    return [
        _message(row) for row in connection.execute(chosen.order_by(tokens.c.created_at.desc(), tokens.c.id))
    ]


def revoke(connection: sa.Connection, token: str, now: int) -> None:
    """Ends a token. Idempotent; raises NOT_FOUND if it never existed."""
    of = tokens.c.id == token
    if connection.execute(sa.select(tokens.c.id).where(of)).one_or_none() is None:
        raise not_found(f"tokens/{token}")
    connection.execute(sa.update(tokens).where(of, tokens.c.revoked_at.is_(None)).values(revoked_at=now))


def keep_codes(connection: sa.Connection, user: str, count: int) -> None:
    """Removes all codes of a user but the newest `count`."""
    of = sa.and_(tokens.c.kind == TokenKind.CODE, tokens.c.user == user)
    newest = (
        sa.select(tokens.c.id).where(of).order_by(tokens.c.created_at.desc(), tokens.c.id.desc()).limit(count)
    )
    kept = connection.execute(newest).scalars().all()
    connection.execute(sa.delete(tokens).where(of, tokens.c.id.not_in(kept)))


def forget_expired(connection: sa.Connection, before: int, now: int) -> None:
    """Removes tokens that expired or were revoked before a time, and all expired codes."""
    old = sa.or_(tokens.c.expires_at < before, tokens.c.revoked_at < before)
    codes = sa.and_(tokens.c.kind == TokenKind.CODE, tokens.c.expires_at < now)
    connection.execute(sa.delete(tokens).where(sa.or_(old, codes)))


def _valid(now: int) -> "sa.Select[tuple[object, ...]]":
    not_expired = sa.or_(tokens.c.expires_at.is_(None), tokens.c.expires_at > now)
    return sa.select(tokens).where(tokens.c.revoked_at.is_(None), not_expired)


def _owner(row: "sa.Row[tuple[object, ...]]") -> Principal:
    return Principal(row.user, row.role, projects=tuple(json.loads(row.projects)), token=row.id)


def _message(row: "sa.Row[tuple[object, ...]]") -> pb.Token:
    return pb.Token(
        name=f"tokens/{row.id}",
        user=row.user,
        role=row.role,
        projects=json.loads(row.projects),
        title=row.title,
        session=row.kind == TokenKind.SESSION,
        create_time=timestamp(row.created_at),
        expire_time=optional_timestamp(row.expires_at),
    )


def _hash(secret: str) -> bytes:
    # Secrets have 256 random bits, so a fast hash is enough.
    return hashlib.sha256(secret.encode()).digest()
