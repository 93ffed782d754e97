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
    sa.Column("next_device", sa.BigInteger, nullable=False, server_default="1"),
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
    sa.Column("name_key", sa.String, nullable=True, unique=True),  # NULL: closed
    sa.Column("first", sa.BigInteger, nullable=False),
    sa.Column("made_at", sa.BigInteger, nullable=False),
    sa.Column("kind", sa.Integer, nullable=False, server_default="0"),
    sa.Column("title", sa.String, nullable=False, server_default=""),
    sa.Column("closed_at", sa.BigInteger, nullable=False, server_default="0"),
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

# The newest request of a session that is in `done`, where another was refused shortly before it. By
# this a new owner, which knows of no refusals, tells what was refused from what was never decided.
decided = sa.Table(
    "decided",
    metadata,
    sa.Column("session", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("gateway", sa.String, nullable=False),
    sa.Column("no", sa.BigInteger, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
)

# A guest's name stands with its session; an account's with the account.
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
    sa.Column("device", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("state", sa.String, nullable=False, server_default="here"),
    sa.Column("away", sa.String, nullable=False, server_default=""),
)

accounts = sa.Table(
    "accounts",
    metadata,
    sa.Column("sender", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("name_key", sa.String, nullable=True, unique=True),
    sa.Column("password", sa.String, nullable=False),
    sa.Column("operator", sa.Boolean, nullable=False),
    sa.Column("made_at", sa.BigInteger, nullable=False),
    sa.Column("address", sa.String, nullable=False),
    sa.Column("suspended_until", sa.BigInteger, nullable=False),
    sa.Column("suspended_why", sa.String, nullable=False),
    sa.Column("deleted_at", sa.BigInteger, nullable=False),
)

devices = sa.Table(
    "devices",
    metadata,
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("sender", sa.BigInteger, nullable=False),
    sa.Column("token", sa.LargeBinary, nullable=False, unique=True),
    sa.Column("label", sa.String, nullable=False),
    sa.Column("made_at", sa.BigInteger, nullable=False),
    sa.Column("used_at", sa.BigInteger, nullable=False),
    sa.Column("address", sa.String, nullable=False),
)

blocks = sa.Table(
    "blocks",
    metadata,
    sa.Column("sender", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("blocked", sa.BigInteger, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)

audit = sa.Table(
    "audit",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("by", sa.BigInteger, nullable=False),
    sa.Column("by_name", sa.String, nullable=False),
    sa.Column("action", sa.String, nullable=False),
    sa.Column("target", sa.String, nullable=False),
    sa.Column("text", sa.String, nullable=False),
)

# Former members of rooms that were accounts stay, with rank -1.
members = sa.Table(
    "members",
    metadata,
    sa.Column("room", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("sender", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("rank", sa.Integer, nullable=False),
    sqlite_with_rowid=False,
)

marks = sa.Table(
    "marks",
    metadata,
    sa.Column("sender", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("room", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("messages", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# Of messages that were not read yet.
mentions = sa.Table(
    "mentions",
    metadata,
    sa.Column("sender", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("room", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)

restrictions = sa.Table(
    "restrictions",
    metadata,
    sa.Column("room", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.String, primary_key=True),
    sa.Column("sender", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("by", sa.String, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("until", sa.BigInteger, nullable=False),
    sa.Column("text", sa.String, nullable=False),
    sa.Column("address", sa.String, nullable=False),
    sqlite_with_rowid=False,
)

invites = sa.Table(
    "invites",
    metadata,
    sa.Column("room", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("sender", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("by", sa.BigInteger, nullable=False),
    sa.Column("by_name", sa.String, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

reactions = sa.Table(
    "reactions",
    metadata,
    sa.Column("room", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("sender", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("reaction", sa.String, primary_key=True),
    sqlite_with_rowid=False,
)

# What was said, in the order in which it was: the index's rowids. Its words stand in the FTS5 table
# `words`, which SQLAlchemy does not know of (migrations/versions/v0003_search.py).
messages = sa.Table(
    "messages",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("room", sa.BigInteger, nullable=False),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("sender", sa.BigInteger, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("room", "seq"),
)

message_days = sa.Table(
    "message_days",
    metadata,
    sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("first", sa.BigInteger, nullable=False),
    sa.Column("last", sa.BigInteger, nullable=False),
)

# One row: up to which message the index goes.
indexed = sa.Table(
    "indexed",
    metadata,
    sa.Column("id", sa.Integer, sa.CheckConstraint("id = 1"), primary_key=True),
    sa.Column("upto", sa.BigInteger, nullable=False),
)
