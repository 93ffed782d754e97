"""The tables, as migrations/ has made them. A test compares the two."""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()

# One row: the numbering's epoch and the next numbers to give.
numbers = sa.Table(
    "numbers",
    metadata,
    sa.Column("id", sa.Integer, sa.CheckConstraint("id = 1"), primary_key=True),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("next_session", sa.BigInteger, nullable=False),
    sa.Column("next_sender", sa.BigInteger, nullable=False),
    sa.Column("next_room", sa.BigInteger, nullable=False),
)

# One row per lease; today shard 0's stands for all.
leases = sa.Table(
    "leases",
    metadata,
    sa.Column("shard", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("term", sa.BigInteger, nullable=False),
    sa.Column("owner", sa.String, nullable=False),
)

rooms = sa.Table(
    "rooms",
    metadata,
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("shard", sa.Integer, nullable=False),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("name_key", sa.String, nullable=False, unique=True),
    sa.Column("first", sa.BigInteger, nullable=False),
    sa.Column("made_at", sa.BigInteger, nullable=False),
)

# `body` is what native clients are sent. The clustering by (room, seq) is what history is read by.
events = sa.Table(
    "events",
    metadata,
    sa.Column("room", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.Integer, nullable=False),
    sa.Column("sender", sa.BigInteger, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("count", sa.BigInteger, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

# What requests with an id have led to, for 7 days, also when their event or session is gone.
done = sa.Table(
    "done",
    metadata,
    sa.Column("sender", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("id", sa.LargeBinary, primary_key=True),
    sa.Column("digest", sa.LargeBinary, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("room", sa.BigInteger, nullable=False),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# A session that is over keeps its row for a day, without name and token: its requests that were
# done are answered as such even then.
sessions = sa.Table(
    "sessions",
    metadata,
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

memberships = sa.Table(
    "memberships",
    metadata,
    sa.Column("session", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("room", sa.BigInteger, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)
