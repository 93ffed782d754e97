"""The schema's history."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from hubbub.errors import ConfigError
from hubbub.frames import Message, encoder
from worker import migrate as module
from worker.migrate import migrate
from worker.query import parse
from worker.schema import metadata
from worker.searching import Search, Searcher
from worker.store import Store
from worker.version import SCHEMA, version_of

SCRIPTS = Path(module.__file__).parent / "migrations"


def test_the_steps_lead_to_the_tables_that_the_program_uses(tmp_path: Path) -> None:
    """“A test compares the two.”"""
    migrate(tmp_path / "a.db")
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'a.db'}")
    with engine.connect() as connection:
        opts = {"compare_type": True, "include_object": _is_no_part_of_the_index}
        context = MigrationContext.configure(connection, opts=opts)
        assert compare_metadata(context, metadata) == []
        found = connection.execute(sa.text("SELECT name, sql FROM sqlite_master")).all()
    engine.dispose()
    made = sa.create_engine("sqlite://")
    metadata.create_all(made)
    with made.connect() as connection:
        wanted = connection.execute(sa.text("SELECT name, sql FROM sqlite_master")).all()
    made.dispose()
    tables = {name: "WITHOUT ROWID" in sql for name, sql in found if sql}
    assert {name: "WITHOUT ROWID" in sql for name, sql in wanted if sql}.items() <= tables.items()


def _is_no_part_of_the_index(
    thing: object, name: str | None, kind: str, reflected: bool, other: object
) -> bool:
    """SQLAlchemy knows neither FTS5 tables nor those that they are kept in."""
    return not (kind == "table" and name is not None and re.fullmatch(r"words(_\w+)?", name))


def test_the_steps_are_numbered_and_lead_forward_only() -> None:
    """“Forward only.”"""
    steps = list(ScriptDirectory(str(SCRIPTS)).walk_revisions())
    numbers = [f"{number:04}" for number in range(SCHEMA, 0, -1)]
    assert [step.revision for step in steps] == numbers
    assert not any(hasattr(step.module, "downgrade") for step in steps)


def test_migrating_twice_changes_nothing_and_each_database_has_its_own_epoch(
    tmp_path: Path,
) -> None:
    """“The epoch is random, one per database.”"""
    epochs = []
    for name in ("a.db", "b.db"):
        path = tmp_path / name
        migrate(path)
        before = path.read_bytes()
        migrate(path)
        assert path.read_bytes() == before
        with sqlite3.connect(path) as database:
            epochs += database.execute("SELECT epoch FROM numbers").fetchone()
        database.close()
    assert epochs[0] != epochs[1]


def test_a_migration_that_fails_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """“Transactional”: half-done migrations are what users complain about."""
    path = tmp_path / "a.db"
    with sqlite3.connect(path) as database:
        # The last table of the first step is there already: the step fails after all others.
        database.execute("CREATE TABLE memberships (other)")
    database.close()
    with pytest.raises(sa.exc.OperationalError):
        migrate(path)
    with sqlite3.connect(path) as database:
        names = database.execute("SELECT name FROM sqlite_master").fetchall()
    database.close()
    assert names == [("memberships",)]
    assert version_of(path) == 0


@pytest.mark.parametrize("version", ["NULL", "9e999", "'x'", "x'ff'", "'9999'"])
def test_a_version_that_is_none_is_refused(tmp_path: Path, version: str) -> None:
    """“Clear refusals”, and no traceback."""
    with sqlite3.connect(tmp_path / "a.db") as database:
        database.execute("CREATE TABLE alembic_version (version_num)")
        database.execute(f"INSERT INTO alembic_version VALUES ({version})")
    database.close()
    with pytest.raises(ConfigError, match=r"a\.db"):
        version_of(tmp_path / "a.db")


def migrate_to(revision: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a database as it was when this was the newest step."""
    upgrade = command.upgrade
    with monkeypatch.context() as patch:
        patch.setattr(command, "upgrade", lambda config, to: upgrade(config, revision))
        migrate(path)


def test_a_database_of_the_first_schema_keeps_its_people_rooms_and_messages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """“A database of schema 1 is brought there at the first start.”"""
    path = tmp_path / "a.db"
    migrate_to("0001", path, monkeypatch)
    body = encoder.encode(Message("lobby", 1, 1, "alice", "from the old days", 1, 1))
    with sqlite3.connect(path) as database:
        database.execute("INSERT INTO rooms VALUES (1, 0, 'lobby', 'lobby', 1, 1)")
        session = (1, 1, 0, "alice", "alice", True, 3, "g", b"token", 0, "", "127.0.0.1", 1)
        database.execute(f"INSERT INTO sessions VALUES ({','.join('?' * 13)})", session)
        database.execute("INSERT INTO memberships VALUES (1, 1)")
        database.execute("INSERT INTO events VALUES (1, 1, 1, 1, 1, 1, ?)", (body,))
        database.execute("UPDATE numbers SET next_session = 2, next_sender = 2, next_room = 2")
    database.close()
    migrate(path)
    store = Store(path, tmp_path / "epoch")
    store.take("worker-1.0")
    state = store.load(0.0)
    assert (state.people[1].name, set(state.people[1].rooms)) == ("alice", {1})
    assert (state.sessions[1].generation, state.sessions[1].token) == (3, b"token")
    assert (state.rooms[1].head, state.rooms[1].count, list(state.rooms[1].roster)) == (1, 1, [1])
    assert store.index()
    searcher = Searcher(path)
    (hit,) = searcher.run(Search(parse("old days"))).hits
    assert hit.body == body
    searcher.close()
    store.close()


def test_rooms_that_were_closed_before_lose_their_people_and_the_others_keep_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.db"
    migrate_to("0004", path, monkeypatch)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(
            "INSERT INTO rooms (id, shard, name, name_key, first, made_at, closed_at) VALUES"
            " (1, 0, 'den', NULL, 1, 1, 5), (2, 0, 'den', 'den', 1, 6, 0)"
        )
        for table, row in _PEOPLE_OF_ROOMS.items():
            places = ",".join("?" * (len(row) + 1))
            database.executemany(f"INSERT INTO {table} VALUES ({places})", [(1, *row), (2, *row)])
    migrate(path)
    with closing(sqlite3.connect(path)) as database:
        for table in _PEOPLE_OF_ROOMS:
            assert database.execute(f"SELECT room FROM {table}").fetchall() == [(2,)], table


_PEOPLE_OF_ROOMS: dict[str, tuple[int | str, ...]] = {
    "members": (7, -1),
    "restrictions": ("ban", 7, "mallory", "op", 1, 0, "", ""),
    "invites": (7, 1, "op", 1),
}


def test_the_version_is_told_without_loading_what_can_change_it(tmp_path: Path) -> None:
    """“Migrations run in a process that ends; a standby loads what it needs when it takes over.”"""
    path = tmp_path / "a.db"
    assert version_of(path) == 0
    migrate(path)
    code = (
        "import sys, pathlib, worker.__main__, worker.version as v\n"
        "print(v.version_of(pathlib.Path(sys.argv[1])),"
        " sorted({'alembic', 'sqlalchemy', 'asyncio', 'zmq', 'uvloop'} & set(sys.modules)))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    assert out.stdout.strip() == f"{SCHEMA} []"


def test_what_is_no_database_is_refused_in_a_sentence(tmp_path: Path) -> None:
    """“Clear refusals.”"""
    path = tmp_path / "a.db"
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(ConfigError, match="not a database"):
        version_of(path)
