"""`python -m worker.migrate PATH`: bring a database to the newest schema, and end.

A process of its own, so that what is needed once does not stay in the worker's memory.
"""

from __future__ import annotations

import sys
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.util import CommandError

from worker.exits import EX_TRY_LATER, is_passing


def migrate(path: Path) -> None:
    """Make what steps are missing, in one transaction: all of them or none."""
    engine = sa.create_engine(sa.URL.create("sqlite", database=str(path)), poolclass=sa.NullPool)

    # The driver would begin transactions of its own, and commit before each change of a table.
    @sa.event.listens_for(engine, "connect")
    def _no_own_transactions(connection: object, record: object) -> None:
        connection.isolation_level = None  # type: ignore[attr-defined]

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    config = Config()
    scripts = str(Path(__file__).parent / "migrations")
    config.set_main_option("script_location", scripts.replace("%", "%%"))
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout = 10000")
        connection.rollback()
        config.attributes["connection"] = connection
        with connection.begin():
            command.upgrade(config, "head")
    engine.dispose()


def main(path: Path) -> int:
    """Migrate; returns the exit status, and says in one line why it failed.

    EX_TRY_LATER when that may pass: nothing has changed, so it can be tried again.
    """
    try:
        migrate(path)
    except (sa.exc.SQLAlchemyError, CommandError) as error:
        reason = getattr(error, "orig", None) or error
        print(f"worker: database {path}: {reason}", file=sys.stderr)
        return EX_TRY_LATER if is_passing(reason) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
