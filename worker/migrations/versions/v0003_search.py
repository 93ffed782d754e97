"""The index of what was said. It is filled by the worker, step by step, while it serves."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the index, empty, and note all messages for it in the order in which they were said."""
    op.create_table(
        "messages",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("room", sa.BigInteger, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("sender", sa.BigInteger, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("room", "seq"),
    )
    op.create_table(
        "message_days",
        sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("first", sa.BigInteger, nullable=False),
        sa.Column("last", sa.BigInteger, nullable=False),
    )
    indexed = op.create_table(
        "indexed",
        sa.Column("id", sa.Integer, sa.CheckConstraint("id = 1"), primary_key=True),
        sa.Column("upto", sa.BigInteger, nullable=False),
    )
    # Contentless: the texts stand in `events`. No sizes: the ranking does not need them.
    op.execute(
        "CREATE VIRTUAL TABLE words USING fts5(text, who, content='', columnsize=0,"
        " tokenize='unicode61 remove_diacritics 2')"
    )
    op.execute("INSERT INTO words (words, rank) VALUES ('automerge', 0)")  # index.py merges
    op.bulk_insert(indexed, [{"id": 1, "upto": 0}])
    op.execute(
        "INSERT INTO messages (room, seq, sender, at)"
        " SELECT room, seq, sender, at FROM events WHERE kind = 1 ORDER BY at, room, seq"
    )
    op.execute(
        "INSERT INTO message_days (day, first, last)"
        " SELECT at / 86400000, min(id), max(id) FROM messages GROUP BY at / 86400000"
    )
