"""The database of a run: SQLite in memory, which fails when the run says so.

All workers of a run, one after the other, use one connection; what a killed one had not committed
is rolled back, as SQLite does when it finds a dead process's log.
"""

from __future__ import annotations

import functools
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, cast

import sqlalchemy as sa

from worker.migrate import migrate
from worker.records import token_hash
from worker.store import Store

EPOCH = 4711
NAMES = ("ann", "bert", "cleo", "dora", "emil")  # none looks like another
DEVICES = 2  # of each account
_NOWHERE = Path("/nonexistent/epoch")


class Member(NamedTuple):
    """An account that the database has from the beginning."""

    sender: int
    name: str
    tokens: tuple[str, ...]  # of its devices


MEMBERS = tuple(
    Member(number, name, tuple(f"{name}'s device {device}" for device in range(DEVICES)))
    for number, name in enumerate(NAMES, 1)
)


@functools.cache
def template() -> bytes:
    """A database of today's schema that holds nothing but `MEMBERS`."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "template.db"
        migrate(path)
        raw = sqlite3.connect(path)
        raw.execute("PRAGMA journal_mode = DELETE")
        accounts = [
            (each.sender, each.name, each.name, "*", 0, 0, "", 0, "", 0) for each in MEMBERS
        ]
        raw.executemany(f"INSERT INTO accounts VALUES ({','.join('?' * 10)})", accounts)
        devices = [
            (each.sender, token_hash(token), "simulated", 0, 0, "")
            for each in MEMBERS
            for token in each.tokens
        ]
        numbered = [(number, *device) for number, device in enumerate(devices, 1)]
        raw.executemany(f"INSERT INTO devices VALUES ({','.join('?' * 7)})", numbered)
        raw.execute(
            "UPDATE numbers SET epoch = ?, next_sender = ?, next_device = ?",
            (EPOCH, len(MEMBERS) + 1, len(devices) + 1),
        )
        raw.commit()
        raw.close()
        # In one piece, without a log beside it.
        return path.read_bytes()


class Disk(sqlite3.Connection):
    """One connection for all runs of a process, since to open one costs as much as half a run.

    Attributes:
        failing: what fails, and how many times more: "begin", "commit" (rolled back), "doubt"
            (committed, and told to have failed).
        before_commit, after_commit: called then; may raise Killed.
    """

    failing: dict[str, int]
    before_commit: Callable[[], None] | None
    after_commit: Callable[[], None] | None

    @classmethod
    def open(cls) -> Disk:
        """A connection to memory."""
        disk = sqlite3.connect(":memory:", isolation_level=None, factory=cls)
        disk.format()
        return disk

    def format(self) -> None:
        """Begin a run with `template`, and no faults."""
        if self.in_transaction:
            super().execute("ROLLBACK")
        self.deserialize(template())
        self.heal()

    def heal(self) -> None:
        """Nothing fails any more."""
        self.failing = {}
        self.before_commit = self.after_commit = None

    def recover(self) -> None:
        """A process that used it has been killed: what it had not committed is nothing."""
        if self.in_transaction:
            super().execute("ROLLBACK")

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        if sql == "COMMIT":
            return self._commit()
        if sql == "BEGIN IMMEDIATE" and self._fails("begin"):
            raise sqlite3.OperationalError("disk I/O error (simulated, at begin)")
        return super().execute(sql, parameters)

    def _commit(self) -> sqlite3.Cursor:
        if self.before_commit is not None:
            self.before_commit()
        if self._fails("commit"):
            super().execute("ROLLBACK")
            raise sqlite3.OperationalError("disk I/O error (simulated, at commit)")
        cursor = super().execute("COMMIT")
        if self._fails("doubt"):
            raise sqlite3.OperationalError("disk I/O error (simulated, after commit)")
        if self.after_commit is not None:
            self.after_commit()
        return cursor

    def _fails(self, what: str) -> bool:
        left = self.failing.get(what, 0)
        if left:
            self.failing[what] = left - 1
        return bool(left)


@functools.cache
def alchemy(disk: Disk) -> sa.Connection:
    """SQLAlchemy's view of the disk; made once, since it compiles every query once."""
    engine = sa.create_engine(
        "sqlite://",
        creator=lambda: disk,
        poolclass=sa.StaticPool,
        isolation_level="AUTOCOMMIT",
    )
    return engine.connect()


class SimulatedStore(Store):
    """The real store on a disk of a run. What is not there: files, and so the note beside them,
    their locks, and the index of words, which is kept between turns.
    """

    def __init__(self, disk: Disk) -> None:
        self._noted = _NOWHERE
        self._connection = alchemy(disk)
        self._raw = disk
        self.term = 0
        self._loaded = False
        self._prune_from = (-1, b"")

    def close(self) -> None:
        """The disk stays."""

    def note(self, epoch: int, stored: int) -> None:
        """There is no file to note it in."""

    def index(self, limit: int = 0) -> bool:
        """Nobody searches."""
        return True


def rows(disk: Disk, query: str) -> list[tuple[Any, ...]]:
    """What is on the disk, for whoever looks at it after a run."""
    return cast(list[tuple[Any, ...]], disk.execute(query).fetchall())
