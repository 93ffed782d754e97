"""Up to where requests were decided, so that a new owner does none that was refused."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the table, empty."""
    op.create_table(
        "decided",
        sa.Column("session", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("gateway", sa.String, nullable=False),
        sa.Column("no", sa.BigInteger, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
    )
