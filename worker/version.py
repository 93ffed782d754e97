"""Which version of the schema a database has, told without loading what can change it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from hubbub.errors import ConfigError
from worker.exits import is_passing

SCHEMA = 5  # the number of the newest step in migrations/
DATABASE = "hubbub.db"


def database_path(data: Path) -> Path:
    """Where the database of a data directory is."""
    return data / DATABASE


def version_of(path: Path) -> int:
    """The number of the newest step that the database has been through; 0: none.

    Raises:
        ConfigError: it is no database of ours, cannot be read, or is of a newer program.
        sqlite3.OperationalError: it cannot be read now, and perhaps later.
    """
    if not path.exists() or path.stat().st_size == 0:
        return 0
    try:
        # Not read-only: a log that a killed process left behind must be looked into.
        connection = sqlite3.connect(path, timeout=10, isolation_level=None)
        try:
            query = "SELECT count(*) FROM sqlite_master WHERE name = 'alembic_version'"
            if not connection.execute(query).fetchone()[0]:
                return 0
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        finally:
            connection.close()
        version = int(row[0]) if row else 0
    except (sqlite3.Error, ValueError, TypeError, OverflowError) as error:
        if is_passing(error):
            raise
        raise ConfigError(f"database {path}: {error}") from None
    if version > SCHEMA:
        raise ConfigError(
            f"database {path} was written by a newer Hubbub (schema {version}, this one knows"
            f" {SCHEMA}): install that version, or put a backup back"
        )
    return version
