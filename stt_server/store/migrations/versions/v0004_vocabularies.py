"""Vocabularies: names and sentences that streams are to hear, and the one that is a key's default."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Tables `vocabularies` and `vocabulary_changes`, and `keys.vocabulary`."""
    op.create_table(
        "vocabularies",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("key_id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_vocabularies")),
        sa.UniqueConstraint("key_id", "name", name=op.f("uq_vocabularies_key_id")),
    )
    op.create_table(
        "vocabulary_changes",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("moment", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_vocabulary_changes")),
    )
    op.add_column("keys", sa.Column("vocabulary", sa.String(length=64), nullable=True))
