"""Alembic runs this file to run the steps, in the transaction that `store/migrate.py` has begun."""

from __future__ import annotations

from alembic import context

from stt_server.store.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
with context.begin_transaction():
    context.run_migrations()
