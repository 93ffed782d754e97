"""Rooms, their logs, sessions, and what was done."""

from __future__ import annotations

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make all tables, and the one row of numbers with a fresh epoch."""
    numbers = op.create_table(
        "numbers",
        sa.Column("id", sa.Integer, sa.CheckConstraint("id = 1"), primary_key=True),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("next_session", sa.BigInteger, nullable=False),
        sa.Column("next_sender", sa.BigInteger, nullable=False),
        sa.Column("next_room", sa.BigInteger, nullable=False),
    )
    leases = op.create_table(
        "leases",
        sa.Column("shard", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("term", sa.BigInteger, nullable=False),
        sa.Column("owner", sa.String, nullable=False),
    )
    op.create_table(
        "rooms",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("shard", sa.Integer, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("name_key", sa.String, nullable=False, unique=True),
        sa.Column("first", sa.BigInteger, nullable=False),
        sa.Column("made_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "events",
        sa.Column("room", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.Integer, nullable=False),
        sa.Column("sender", sa.BigInteger, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "done",
        sa.Column("sender", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("id", sa.LargeBinary, primary_key=True),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("room", sa.BigInteger, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "sessions",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("sender", sa.BigInteger, nullable=False),
        sa.Column("shard", sa.Integer, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("name_key", sa.String, nullable=True, unique=True),
        sa.Column("visible", sa.Boolean, nullable=False),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("gateway", sa.String, nullable=False),
        sa.Column("token", sa.LargeBinary, nullable=True, unique=True),
        sa.Column("presence", sa.Integer, nullable=False),
        sa.Column("agent", sa.String, nullable=False),
        sa.Column("address", sa.String, nullable=False),
        sa.Column("changed_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "memberships",
        sa.Column("session", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("room", sa.BigInteger, primary_key=True, autoincrement=False),
        sqlite_with_rowid=False,
    )
    op.bulk_insert(
        numbers,
        [
            {
                "id": 1,
                "epoch": 1 + secrets.randbelow(2**53 - 1),
                "next_session": 1,
                "next_sender": 1,
                "next_room": 1,
            }
        ],
    )
    op.bulk_insert(leases, [{"shard": 0, "term": 0, "owner": ""}])
