"""Accounts and their devices, lasting memberships, roles, marks, reactions, the audit log."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def _number(name: str, *, key: bool = False, null: bool = False) -> sa.Column[int]:
    if key:
        return sa.Column(name, sa.BigInteger, primary_key=True, autoincrement=False)
    return sa.Column(name, sa.BigInteger, nullable=null)


def _text(name: str, *, key: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String, primary_key=key, nullable=False)


def upgrade() -> None:
    """Make the tables; memberships become the persons', no longer the sessions'."""
    _make_people()
    _make_rooms()
    with op.batch_alter_table("rooms") as rooms:
        rooms.alter_column("name_key", existing_type=sa.String, nullable=True)
        rooms.add_column(sa.Column("kind", sa.Integer, nullable=False, server_default="0"))
        rooms.add_column(sa.Column("title", sa.String, nullable=False, server_default=""))
        rooms.add_column(sa.Column("closed_at", sa.BigInteger, nullable=False, server_default="0"))
    with op.batch_alter_table("sessions") as sessions:
        sessions.add_column(sa.Column("device", sa.BigInteger, nullable=False, server_default="0"))
        sessions.add_column(sa.Column("state", sa.String, nullable=False, server_default="here"))
        sessions.add_column(sa.Column("away", sa.String, nullable=False, server_default=""))
    with op.batch_alter_table("numbers") as numbers:
        numbers.add_column(
            sa.Column("next_device", sa.BigInteger, nullable=False, server_default="1")
        )
    op.execute(
        'INSERT INTO members (room, sender, "rank")'
        " SELECT DISTINCT m.room, s.sender, 0 FROM memberships AS m"
        " JOIN sessions AS s ON s.id = m.session WHERE s.presence < 3"
    )
    op.drop_table("memberships")


def _make_people() -> None:
    op.create_table(
        "accounts",
        _number("sender", key=True),
        _text("name"),
        sa.Column("name_key", sa.String, nullable=True, unique=True),
        _text("password"),
        sa.Column("operator", sa.Boolean, nullable=False),
        _number("made_at"),
        _text("address"),
        _number("suspended_until"),
        _text("suspended_why"),
        _number("deleted_at"),
    )
    op.create_table(
        "devices",
        _number("id", key=True),
        _number("sender"),
        sa.Column("token", sa.LargeBinary, nullable=False, unique=True),
        _text("label"),
        _number("made_at"),
        _number("used_at"),
        _text("address"),
    )
    op.create_table(
        "blocks", _number("sender", key=True), _number("blocked", key=True), sqlite_with_rowid=False
    )
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer, primary_key=True),
        _number("at"),
        _number("by"),
        _text("by_name"),
        _text("action"),
        _text("target"),
        _text("text"),
    )


def _make_rooms() -> None:
    op.create_table(
        "members",
        _number("room", key=True),
        _number("sender", key=True),
        sa.Column("rank", sa.Integer, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "marks",
        _number("sender", key=True),
        _number("room", key=True),
        _number("seq"),
        _number("messages"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "mentions",
        _number("sender", key=True),
        _number("room", key=True),
        _number("seq", key=True),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "restrictions",
        _number("room", key=True),
        _text("kind", key=True),
        _number("sender", key=True),
        _text("name"),
        _text("by"),
        _number("at"),
        _number("until"),
        _text("text"),
        _text("address"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "invites",
        _number("room", key=True),
        _number("sender", key=True),
        _number("by"),
        _text("by_name"),
        _number("at"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "reactions",
        _number("room", key=True),
        _number("seq", key=True),
        _number("sender", key=True),
        _text("reaction", key=True),
        sqlite_with_rowid=False,
    )
