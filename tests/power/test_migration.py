"""“All of them or none”: the power is cut while a new program changes the schema of an old one."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from alembic import command

from hubbub.frames import Message, encoder
from tests.power import moments, recording
from tests.power.crash import Cut, Disk, Loss
from tests.power.recording import Recording
from tests.power.trial import new_room, write
from tests.support import clean_environment
from worker.active import NOTE_FILE
from worker.migrate import migrate
from worker.store import Store
from worker.version import DATABASE, SCHEMA, version_of

MESSAGES = 500
CUTS = 40
EPOCH = 12345
FIRST = "0001"


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory as the first release has left it: with somebody in it and what they said."""
    data = tmp_path / "data"
    data.mkdir()
    upgrade = command.upgrade
    with monkeypatch.context() as patch:
        patch.setattr(command, "upgrade", lambda config, to: upgrade(config, FIRST))
        migrate(data / DATABASE)
    database = sqlite3.connect(data / DATABASE)
    database.execute("PRAGMA journal_mode = WAL")
    with database:
        database.execute("INSERT INTO rooms VALUES (1, 0, 'lobby', 'lobby', 1, 1)")
        rows = [(seq, seq, seq, _body(seq)) for seq in range(1, MESSAGES + 1)]
        database.executemany("INSERT INTO events VALUES (1, ?, 1, 1, ?, ?, ?)", rows)
        numbers = "UPDATE numbers SET epoch = ?, next_session = 2, next_sender = 2, next_room = 2"
        database.execute(numbers, (EPOCH,))
        database.execute("UPDATE leases SET term = 7")
    database.close()
    (data / NOTE_FILE).write_text(f"{EPOCH} 7 {MESSAGES}\n")
    return data


def _body(seq: int) -> bytes:
    return encoder.encode(Message("lobby", seq, 1, "alice", f"line {seq}", seq, seq))


@pytest.fixture
def migration(old: Path, tmp_path: Path) -> Recording:
    """What the migration does to that directory."""
    before = {path.name: path.read_bytes() for path in old.iterdir()}
    try:
        library = recording.build(tmp_path)
    except FileNotFoundError as error:
        pytest.skip(str(error))
    environ = clean_environment() | recording.environment(library, old, tmp_path)
    argv = [sys.executable, "-m", "worker.migrate", str(old / DATABASE)]
    subprocess.run(argv, env=environ, check=True)
    return recording.read(tmp_path, before)


def test_a_power_cut_during_a_migration_takes_nothing_away(
    migration: Recording, tmp_path: Path
) -> None:
    random = Random(3)
    commit, checkpoint = moments.commits(migration), moments.checkpoints(migration)
    whole = migration.acts[0].began, max(act.ended for act in migration.acts)
    assert commit
    assert checkpoint
    disk = Disk(migration)
    ats = sorted(random.uniform(*random.choice([whole, *commit, *checkpoint])) for _ in range(CUTS))
    found = set()
    for at in ats:
        losses = random.choice(list(Loss)), random.choice(list(Loss))
        cut = Cut(at, *losses, random.randrange(2**32), "migration")
        with new_room() as data:
            write(disk.after(cut), data)
            found.add(version_of(data / DATABASE))
            assert _is_whole(data), cut
    assert found == {int(FIRST), SCHEMA}


def _is_whole(data: Path) -> bool:
    """Whether the next worker has everything."""
    path = data / DATABASE
    if version_of(path) < SCHEMA:
        migrate(path)
    store = Store(path, data / NOTE_FILE)
    store.take("worker-1.0")
    state = store.load(0.0)
    store.close()
    database = sqlite3.connect(path)
    bodies = database.execute("SELECT body FROM events ORDER BY room, seq").fetchall()
    checks = database.execute("PRAGMA integrity_check").fetchall()
    database.close()
    heads = [(room.name, room.head) for room in state.rooms.values()]
    return (state.epoch, heads, checks) == (EPOCH, [("lobby", MESSAGES)], [("ok",)]) and bodies == [
        (_body(seq),) for seq in range(1, MESSAGES + 1)
    ]
