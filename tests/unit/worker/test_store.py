"""The store on real SQLite files."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from hubbub.errors import LeaseLost
from hubbub.frames import Bye, Hello, Join, Leave, Nick, Say
from hubbub.wire import OwnerFrame
from tests.unit.worker.world import AT, Person, World
from worker import note
from worker.migrate import migrate
from worker.plan import Plan, Reading, Task
from worker.records import EventRow
from worker.rules import Input, decide, keys_of, strangers
from worker.store import KEEP_DONE, PRUNE_AT_ONCE, Store, Turn, TurnFailedError
from worker.version import SCHEMA, version_of


class Stored(World):
    """The rules over a real store."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.directory = directory
        if not (directory / "hubbub.db").exists():
            migrate(directory / "hubbub.db")
        self.store = Store(directory / "hubbub.db", directory / "epoch")
        self.store.take("worker-1.0")
        self.state = self.store.load(self.now)
        self.turns: list[Turn] = []

    def plan(self, inputs: list[Input]) -> Plan:  # type: ignore[override]
        """Decided and stored."""
        turn = self.store.turn(
            strangers(self.state, inputs),
            lambda over: keys_of(self.state, inputs, over),
            lambda known: decide(self.state, inputs, known, self.settings, at=AT, now=self.now),
        )
        self.turns.append(turn)
        return turn.plan

    def reloaded(self) -> Stored:
        """Another owner, of what is on the disk."""
        self.store.close()
        return Stored(self.directory)

    def read(self, room: int, after: int | None, before: int | None, limit: int) -> list[EventRow]:
        """A stretch of the log."""
        plan = Plan(self.state, self.known([]), at=AT, now=0.0)
        plan.readings.append(Reading(self.task(Say(0, b"", "", "")), room, after, before, limit))
        return self.store.turn((), lambda over: [], lambda known: plan).rows[0]


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[Stored]:
    """A fresh database."""
    world = Stored(tmp_path)
    yield world
    world.store.close()


def id_of(number: int) -> bytes:
    """An id that is told apart by a number."""
    return number.to_bytes(16)


def told(world: World) -> object:
    """What is to survive a restart."""
    state = world.state
    rooms = {
        (room.id, room.name, room.head, room.count, room.first, frozenset(room.members))
        for room in state.rooms.values()
    }
    numbers = (state.next_room, state.next_session, state.next_sender, state.epoch, state.events)
    return rooms, numbers, state.sessions, state.names, state.directory, state.tokens


def test_a_new_owner_finds_everything_as_it_was(stored: Stored) -> None:
    """“A restart of everything keeps rooms, history and the sessions that resume.”"""
    alice, bob = stored.person("alice", "lobby", "den"), stored.person("bob", "lobby")
    for n in range(20):
        stored.say(alice if n % 3 else bob, "lobby", f"text {n}")
    stored.ask(Nick(0, id_of(1), "ada"), alice)
    stored.ask(Leave(0, id_of(2), "den"), alice)
    stored.ask(Bye(0, id_of(3)), stored.person("carol", "den"))
    again = stored.reloaded()
    assert told(again) == told(stored)
    assert list(again.state.rooms[1].roster) == [alice.session, bob.session]
    assert again.store.term == 2
    again.store.close()


def test_a_directory_may_have_any_name(tmp_path: Path) -> None:
    """A path is no address: `?`, `#` and `%` stand for themselves."""
    odd = tmp_path / "a b?x=1#%20é'"
    odd.mkdir()
    world = Stored(odd)
    world.person("alice", "lobby")
    world.store.close()
    assert {path.name for path in odd.iterdir()} == {"hubbub.db", "epoch"}
    assert version_of(odd / "hubbub.db") == SCHEMA


def test_what_was_done_before_is_known_to_a_new_owner(stored: Stored) -> None:
    """“What is already stored gets the same answer as before.”"""
    alice, bob = stored.person("alice", "lobby"), stored.person("bob", "lobby")
    asked = [(Say(0, os.urandom(16), "lobby", str(n)), alice if n % 2 else bob) for n in range(900)]
    before = [answer.reply for answer in stored.turn(*(stored.task(f, p) for f, p in asked))]
    stored.ask(Bye(0, id_of(1)), bob)
    again = stored.reloaded()
    after = [answer.reply for answer in again.turn(*(again.task(f, p) for f, p in asked))]
    assert after == before
    assert again.state.rooms[1].head == 900
    again.store.close()


def test_hellos_of_before_are_known_to_a_new_owner(stored: Stored) -> None:
    """“A repeated hello returns the same session.”"""
    hello = Hello(0, id_of(1), "alice")
    one = Person("g", stored.turn(stored.task(hello))[0])
    again = stored.reloaded()
    two = Person("g", again.turn(again.task(hello))[0])
    assert (one.session, one.sender) == (two.session, two.sender)
    again.store.close()


def test_names_pass_on_within_a_turn(stored: Stored) -> None:
    """The constraint holds for each row; the turn as a whole must be storable."""
    alice, bob = stored.person("alice"), stored.person("bob")
    carol = stored.person("carol")
    frames: list[tuple[OwnerFrame, Person | None]] = [
        (Nick(0, id_of(1), "ada"), alice),
        (Nick(0, id_of(1), "alice"), bob),
        (Bye(0, id_of(1)), carol),
        (Hello(0, id_of(2), "bob"), None),
        (Hello(0, id_of(3), "carol"), None),
        (Join(0, id_of(4), "lobby"), alice),
    ]
    stored.turn(*(stored.task(frame, person) for frame, person in frames))
    again = stored.reloaded()
    assert {s.name for s in again.state.sessions.values()} == {"ada", "alice", "bob", "carol"}
    again.store.close()


def test_a_log_is_read_in_both_directions(stored: Stored) -> None:
    """“History by number in both directions.”"""
    alice = stored.person("alice", "lobby", "den")
    for n in range(10):
        stored.say(alice, "den", "noise")
        stored.say(alice, "lobby", str(n))
    assert [row.seq for row in stored.read(1, 3, None, 4)] == [4, 5, 6, 7]
    assert [row.seq for row in stored.read(1, None, 4, 2)] == [3, 2]
    assert [row.seq for row in stored.read(1, None, None, 3)] == [10, 9, 8]
    assert stored.read(1, 10, None, 3) == []


def test_a_deposed_owner_can_neither_write_nor_read(stored: Stored) -> None:
    """“Writes and reads check the term in their own transaction.”"""
    alice = stored.person("alice", "lobby")
    other = Store(stored.directory / "hubbub.db", stored.directory / "epoch")
    other.take("worker-2.0")
    with pytest.raises(LeaseLost):
        stored.say(alice, "lobby", "x")
    with pytest.raises(LeaseLost):
        stored.read(1, None, None, 3)
    with pytest.raises(LeaseLost):
        stored.store.prune()
    other.close()


def test_a_turn_that_fails_is_undone_as_a_whole(stored: Stored) -> None:
    """“One transaction”: of a turn either everything is stored or nothing."""
    alice = stored.person("alice", "lobby")
    stored.say(alice, "lobby", "one")
    tables = ("done", "events", "sessions", "rooms", "memberships", "numbers")
    outside = sqlite3.connect(stored.directory / "hubbub.db", isolation_level=None)
    before = [outside.execute(f"SELECT * FROM {table}").fetchall() for table in tables]
    outside.execute(
        "CREATE TRIGGER full BEFORE INSERT ON memberships BEGIN SELECT RAISE(FAIL, 'full'); END"
    )
    frames: list[OwnerFrame] = [
        Say(0, id_of(1), "lobby", "two"),
        Nick(0, id_of(2), "ada"),
        Join(0, id_of(3), "den"),
    ]
    with pytest.raises(TurnFailedError) as failed:
        stored.turn(*(stored.task(frame, alice) for frame in frames))
    assert failed.value.undone
    after = [outside.execute(f"SELECT * FROM {table}").fetchall() for table in tables]
    assert after == before
    outside.execute("DROP TRIGGER full")
    outside.close()
    assert stored.say(alice, "lobby", "two", id_of(1)) == 2


def test_a_commit_that_fails_leaves_nobody_sure(stored: Stored) -> None:
    """“A failed or doubtful commit makes it load everything anew.”"""
    alice = stored.person("alice", "lobby")
    outside = sqlite3.connect(stored.directory / "hubbub.db", isolation_level=None)
    outside.execute("CREATE TABLE doubt (x REFERENCES rooms (id) DEFERRABLE INITIALLY DEFERRED)")
    outside.execute(
        "CREATE TRIGGER doubtful AFTER INSERT ON events BEGIN INSERT INTO doubt VALUES (99); END"
    )
    outside.close()
    stored.store._raw.execute("PRAGMA foreign_keys = ON")
    with pytest.raises(TurnFailedError) as failed:
        stored.say(alice, "lobby", "x")
    assert not failed.value.undone
    assert stored.store.load(0.0).rooms[1].head == 0


def test_a_locked_database_is_a_failed_turn_not_a_wrong_one(stored: Stored) -> None:
    """“Other store errors (locked): unavailable, if the transaction is known to be rolled back.”"""
    alice = stored.person("alice", "lobby")
    outside = sqlite3.connect(stored.directory / "hubbub.db", isolation_level=None)
    outside.execute("BEGIN IMMEDIATE")
    stored.store.wait_for_lock(0.05)
    with pytest.raises(TurnFailedError) as failed:
        stored.say(alice, "lobby", "x")
    assert failed.value.undone
    outside.execute("ROLLBACK")
    outside.close()
    assert stored.say(alice, "lobby", "x") == 1


def test_an_old_copy_put_back_begins_a_new_epoch_and_leaves_numbers_out(stored: Stored) -> None:
    """“The epoch is new at any start whose numbers are below those noted beside the database.”"""
    database = stored.directory / "hubbub.db"
    alice = stored.person("alice", "lobby")
    stored = stored.reloaded()
    stored.store.close()
    copy = database.read_bytes()
    stored = Stored(stored.directory)
    epoch = stored.state.epoch
    for n in range(3):
        stored.say(alice, "lobby", str(n))
    stored.store.note(epoch, stored.state.events)
    stored.store.close()
    database.write_bytes(copy)
    restored = Stored(stored.directory)
    assert restored.state.epoch != epoch
    assert restored.state.next_session > stored.state.next_session + 1000
    assert restored.store.term > stored.store.term
    restored.say(alice, "lobby", "new")
    again = restored.reloaded()
    assert again.state.epoch == restored.state.epoch
    assert again.state.rooms[1].head == 1
    again.store.close()


def test_an_old_copy_of_the_same_term_is_noticed_by_its_events(stored: Stored) -> None:
    """Put back after a kill, under a running owner's own term."""
    alice = stored.person("alice", "lobby")
    stored.say(alice, "lobby", "x")
    note.write(stored.directory / "epoch", note.Note(stored.state.epoch, 1, 2))
    again = stored.reloaded()
    assert again.state.epoch != stored.state.epoch
    again.store.close()


def test_an_old_copy_with_as_many_events_is_noticed_by_its_term(stored: Stored) -> None:
    """Sessions and keys of the missing stretch are lost, too."""
    note.write(stored.directory / "epoch", note.Note(stored.state.epoch, 2, 0))
    again = stored.reloaded()
    assert again.state.epoch != stored.state.epoch
    assert again.store.term == 3
    again.store.close()


def test_a_clean_start_and_a_reload_keep_the_epoch(stored: Stored) -> None:
    """Only an old copy is another numbering."""
    epoch = stored.state.epoch
    alice = stored.person("alice", "lobby")
    stored.say(alice, "lobby", "x")
    stored.store.note(epoch, stored.state.events)
    assert stored.store.load(0.0).epoch == epoch
    again = stored.reloaded()
    assert again.state.epoch == epoch
    again.store.close()


def test_a_term_is_above_what_anybody_has_seen(stored: Stored) -> None:
    """“A gateway ignores lower terms.”"""
    assert stored.store.take("worker-1.0", 41) == 42
    assert stored.store.take("worker-1.0") == 43


def test_keys_are_kept_for_a_week_and_then_forgotten(stored: Stored) -> None:
    """“Keys (sender, id) are kept at least 7 days.”"""
    alice = stored.person("alice", "lobby")
    many = PRUNE_AT_ONCE + 100
    tasks: list[Task] = [
        stored.task(Say(0, os.urandom(16), "lobby", "x"), alice) for _ in range(many)
    ]
    stored.turn(*tasks)
    outside = sqlite3.connect(stored.directory / "hubbub.db", isolation_level=None)
    outside.execute("UPDATE done SET at = ? WHERE sender > 0", (KEEP_DONE,))
    outside.execute(
        "UPDATE done SET at = (unixepoch() - 6 * 86400) * 1000 WHERE room = 1 AND seq <= 5"
    )
    while not stored.store.prune():
        pass
    left = outside.execute("SELECT count(*) FROM done WHERE sender > 0").fetchone()[0]
    outside.close()
    assert left == 6  # five that are said, and the join (seq 0)
