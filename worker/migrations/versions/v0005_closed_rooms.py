"""Rooms that were closed keep their log, and no longer who was, may or may not be in them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Delete the rows."""
    rooms = sa.table("rooms", sa.column("id"), sa.column("closed_at"))
    closed = sa.select(rooms.c.id).where(rooms.c.closed_at > 0)
    for name in ("members", "restrictions", "invites"):
        table = sa.table(name, sa.column("room"))
        op.execute(sa.delete(table).where(table.c.room.in_(closed)))
