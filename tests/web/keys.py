"""Keys made beside a running server, as `earloop keys` makes them."""

from datetime import UTC, datetime, timedelta

from stt_server.store import keys, usage
from stt_server.store.database import Database
from stt_server.store.keys import Key
from stt_server.store.rights import KeyLimits, Scope
from tests.web.conftest import Server

FUTURE = timedelta(days=1)


async def make_key(server: Server, *scopes: Scope, lasts: timedelta = FUTURE, **limits) -> str:
    """A key with these scopes, `stream` unless said, that the server knows."""
    now = datetime.now(UTC)

    def create(database: Database) -> str:
        with database.write() as connection:
            given = KeyLimits(**limits)
            return keys.create(connection, "test", scopes or [Scope.STREAM], now, expires=now + lasts, limits=given)

    made = await server.services.store.run(create)
    await server.services.keys.renewed()
    return made


async def revoke(server: Server, key: str) -> None:
    def end(database: Database) -> None:
        with database.write() as connection:
            keys.revoke(connection, key, datetime.now(UTC))

    await server.services.store.run(end)


async def used_s(server: Server, key: str) -> float:
    """Seconds of audio in the database under this key."""

    def read(database: Database) -> float:
        with database.read() as connection:
            return usage.in_all(connection).get(key.split("_")[1], 0.0)

    return await server.services.store.run(read)


async def row_of(server: Server, key: str) -> Key:
    def read(database: Database) -> Key:
        with database.read() as connection:
            return next(each for each in keys.every(connection) if each.id == key.split("_")[1])

    return await server.services.store.run(read)


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}
