"""The tables as they are now. How they became so is in `migrations/`; a test compares the two.

| table | a row |
| --- | --- |
| `keys` | an API key: who it is for, what it may, the hash of its secret |
| `key_usage` | the seconds of audio one key had recognised on one day of UTC |
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Column, Date, DateTime, Float, ForeignKey, Integer, LargeBinary, MetaData, String, Table
from sqlalchemy.types import TypeDecorator


class Moment(TypeDecorator[datetime]):
    """A moment in UTC. SQLite keeps no zone, so it is put on again in reading."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: object) -> datetime | None:  # noqa: ARG002
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: object) -> datetime | None:  # noqa: ARG002
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


# Names for what a database would name by itself, so that a later migration can name it, too.
METADATA: Final = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

KEYS: Final = Table(
    "keys",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("name", String(100), nullable=False),
    Column("secret_sha256", LargeBinary(32), nullable=False),
    Column("scopes", String(200), nullable=False),  # sorted, with blanks between
    Column("max_streams", Integer),
    Column("max_uploads", Integer),
    Column("audio_s_per_day", Float),
    Column("requests_per_minute", Integer),
    Column("created", Moment, nullable=False),
    Column("expires", Moment),
    Column("revoked", Moment),
    Column("last_used", Moment),  # to the minute
)

KEY_USAGE: Final = Table(
    "key_usage",
    METADATA,
    Column("key_id", String(32), ForeignKey("keys.id"), primary_key=True),
    Column("day", Date, primary_key=True),
    Column("audio_s", Float, nullable=False),
)
