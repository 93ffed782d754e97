"""The store on real SQLite files."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from hubbub import frames
from hubbub.errors import LeaseLost
from hubbub.frames import Bye, Error, Hello, Join, Leave, Nick, Ok, Say
from hubbub.wire import OwnerFrame
from tests.unit.worker.looking import new
from tests.unit.worker.stored import Stored, told
from tests.unit.worker.world import Person
from worker import note
from worker.reads import answer_audit
from worker.store import KEEP_DONE, PRUNE_AT_ONCE, Store, TurnFailedError
from worker.tasks import Task
from worker.version import SCHEMA, version_of


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[Stored]:
    """A fresh database."""
    world = Stored(tmp_path)
    yield world
    world.store.close()


def id_of(number: int) -> bytes:
    """An id that is told apart by a number."""
    return number.to_bytes(16)


def test_a_new_owner_finds_everything_as_it_was(stored: Stored) -> None:
    """“A restart of everything keeps rooms, history and the sessions that resume.”"""
    alice, bob = stored.person("alice", "lobby", "den"), stored.person("bob", "lobby")
    for n in range(20):
        stored.say(alice if n % 3 else bob, "lobby", f"text {n}")
    stored.ask(Nick(0, id_of(1), "ada"), alice)
    stored.ask(Leave(0, id_of(2), "den"), alice)
    stored.ask(Bye(0, id_of(3)), stored.person("carol", "den"))
    again = stored.reloaded()
    assert told(again.state) == told(stored.state)
    assert set(again.state.rooms[1].roster) == {alice.sender, bob.sender}
    assert again.store.term == 2
    again.store.close()


def test_accounts_roles_and_marks_survive_a_restart(stored: Stored) -> None:
    """“Accounts, roles and marks survive a restart.”"""
    alice, bob = stored.account("alice", "lobby"), stored.account("bob", "lobby")
    op, guest = stored.account("op", operator=True), stored.person("guest", "lobby")
    other = stored.login("alice", gateway="g2")
    seq = stored.say(bob, "lobby", "@alice hello")
    asked: list[tuple[OwnerFrame, Person]] = [
        (frames.Role(0, new(), "lobby", "bob", "operator"), alice),
        (frames.Topic(0, new(), "lobby", "a title"), alice),
        (frames.Read(0, "lobby", 2), other),
        (frames.Mute(0, new(), "lobby", "guest"), alice),
        (frames.Ban(0, new(), "lobby", "guest", "why", 60), bob),
        (frames.Ban(0, new(), "lobby", "guest", "longer", 3600), alice),
        (Join(0, new(), "den", private=True), bob),
        (frames.Invite(0, new(), "den", "alice"), bob),
        (frames.Block(0, new(), "guest"), alice),
        (frames.Away(0, new(), "busy", "lunch"), other),
        (Say(0, new(), "@alice", "between us"), bob),
        (frames.React(0, new(), "lobby", seq, "+1"), alice),
        (frames.Suspend(0, new(), "bob", "why", 3600), op),
    ]
    for frame, person in asked:
        reply = stored.ask(frame, person)
        assert not isinstance(reply, frames.Error), reply
    stored.ask(Bye(0, new()), guest)
    again = stored.reloaded()
    assert told(again.state) == told(stored.state)
    back = again.login("alice")
    assert back.sender == alice.sender
    assert [room.room for room in back.welcome.rooms] == ["lobby", f"@{alice.sender}:{bob.sender}"]
    lobby = back.welcome.rooms[0]
    assert (lobby.role, lobby.title, lobby.mark, lobby.mentions) == ("owner", "a title", 2, 1)
    assert [each.room for each in back.welcome.invitations] == ["den"]
    react = frames.React(0, new(), "lobby", seq, "+1")
    assert again.ask(react, back) == frames.Ok(0, "lobby", 0, again.at)  # it stands already
    again.store.close()


def test_edits_of_before_are_known_to_a_new_owner(stored: Stored) -> None:
    """“The previous edit event's text is rewritten in the store.”"""
    alice = stored.account("alice", "lobby")
    seq = stored.say(alice, "lobby", "first secret")
    stored.ask(frames.Edit(0, new(), "lobby", seq, "second secret"), alice)
    again = stored.reloaded()
    again.ask(frames.Edit(0, new(), "lobby", seq, "last"), alice)
    texts = b"".join(row.body for row in again.read(1, 0, None, 10))
    assert b"secret" not in texts
    assert texts.count(b"last") == 2
    again.ask(frames.Delete(0, new(), "lobby", seq), alice)
    assert b"last" not in b"".join(row.body for row in again.read(1, 0, None, 10))
    again.store.close()


def test_a_closed_rooms_name_can_be_a_new_ones_within_a_turn(stored: Stored) -> None:
    """“Everybody is out, its name is free”, also for the constraint of the table."""
    op = stored.account("op", "den", operator=True)
    stored.turn(
        stored.task(frames.Close(0, new(), "den"), op),
        stored.task(Join(0, new(), "Den"), op),
        stored.task(frames.Close(0, new(), "den"), op),
        stored.task(Join(0, new(), "den"), op),
    )
    again = stored.reloaded()
    assert told(again.state) == told(stored.state)
    assert [room.name for room in again.state.rooms.values() if not room.closed] == ["den"]
    again.store.close()


def test_of_a_closed_room_the_log_is_stored_and_nobody_who_was_in_or_kept_out(
    stored: Stored,
) -> None:
    op, bob = stored.account("op", "den", operator=True), stored.account("bob", "den", "lobby")
    stored.account("carol")
    stored.person("mallory", "den")
    gone = stored.account("gone", "den")
    for frame in (
        frames.Invite(0, new(), "den", "carol"),
        frames.Ban(0, new(), "den", "mallory", "why", 60),
        frames.Mute(0, new(), "den", "bob"),
    ):
        assert isinstance(stored.ask(frame, op), Ok)
    stored.ask(Leave(0, new(), "den"), gone)
    assert len(_people_of(stored, "den")) >= 6
    stored.ask(frames.Close(0, new(), "den"), op)
    assert _people_of(stored, "den") == []
    assert set(_people_of(stored, "lobby")) == {(bob.sender,)}
    assert stored.read(1, 0, None, 100)


def _people_of(stored: Stored, room: str) -> list[tuple[int]]:
    """Whom the tables name as in, invited to or kept out of a room, be it open or not."""
    query = " UNION ALL ".join(
        f"SELECT sender FROM {table} JOIN rooms ON rooms.id = room WHERE rooms.name = :name"
        for table in ("members", "invites", "restrictions", "marks", "mentions")
    )
    with closing(sqlite3.connect(stored.directory / "hubbub.db")) as database:
        return database.execute(query, {"name": room}).fetchall()


def test_who_came_and_left_within_a_turn_was_there_after_a_restart_too(stored: Stored) -> None:
    """“Ex-member” is told apart from a stranger; whoever left as a guest was none."""
    alice, guest = stored.account("alice"), stored.person("guest", "lobby")
    stored.turn(
        stored.task(Join(0, new(), "lobby"), alice),
        stored.task(Leave(0, new(), "lobby"), alice),
        stored.task(Leave(0, new(), "lobby"), guest),
        stored.checked(frames.Register(0, new(), "x"), guest),
    )
    again = stored.reloaded()
    assert again.state.rooms[1].former == stored.state.rooms[1].former == {alice.sender}
    again.store.close()


def test_whoever_has_left_is_named_in_nothing_unread_after_a_restart(stored: Stored) -> None:
    """Back in the room they would be told of what was said to them before they left."""
    alice, bob = stored.account("alice", "lobby"), stored.account("bob", "lobby")
    stored.say(alice, "lobby", "@bob hello")
    stored.ask(Leave(0, new(), "lobby"), bob)
    again = stored.reloaded()
    assert told(again.state) == told(stored.state)
    assert again.state.mentions == {}
    again.store.close()


def test_names_of_accounts_pass_on_within_a_turn(stored: Stored) -> None:
    """Two accounts change names by way of a third one, in one turn."""
    alice, bob, guest = stored.account("alice"), stored.account("bob"), stored.person("guest")
    stored.turn(
        stored.task(Nick(0, new(), "between"), alice),
        stored.task(Nick(0, new(), "alice"), bob),
        stored.task(Nick(0, new(), "bob"), alice),
        stored.task(Nick(0, new(), "between"), guest),
    )
    again = stored.reloaded()
    assert told(again.state) == told(stored.state)
    assert {again.state.people[p.sender].name for p in (alice, bob)} == {"alice", "bob"}
    again.store.close()


def test_the_audit_log_is_kept_and_read_from_its_end(stored: Stored) -> None:
    """“Every such act in an audit log.”"""
    op = stored.account("op", "den", operator=True)
    for name in ("one", "two", "three"):
        stored.ask(frames.Announce(0, new(), name), op)
    again = stored.reloaded()
    again.turn(again.task(frames.Audit(0, limit=2), op))
    ((first, second, third),) = again.turns[-1].audits  # one more, to say that there is more
    assert [first[1].text, second[1].text, third[1].text] == ["three", "two", "one"]
    again.turn(again.task(frames.Audit(0, before=third[0]), op))
    assert [row.action for _, row in again.turns[-1].audits[0]] == ["promote"]
    again.store.close()


def test_a_page_of_the_audit_log_fits_into_a_message_and_the_next_goes_on(stored: Stored) -> None:
    """“The size of what one asks for is bounded”: announcements are as long as messages."""
    op = stored.account("op", operator=True)
    for _ in range(80):
        stored.ask(frames.Announce(0, new(), "é" * 4000), op)
    before, seen = 0, 0
    for _ in range(100):
        stored.turn(stored.task(frames.Audit(0, before, 500), op))
        turn = stored.turns[-1]
        page = answer_audit(turn.plan.audits[0], turn.audits[0]).reply
        assert isinstance(page, frames.AuditLog)
        assert len(frames.encoder.encode(page)) < 300 * 1024
        seen += len(page.entries)
        before = page.entries[-1].number
        if not page.more:
            break
    assert seen == 81


@pytest.mark.parametrize("before", [-1, 2**53, 2**64 - 1])
def test_no_number_is_asked_for_that_the_database_cannot_take(before: int) -> None:
    """“Nothing that a client sends makes a traceback.”"""
    ask = frames.encoder.encode({"t": "audit", "ref": 1, "before": before})
    with pytest.raises(msgspec.ValidationError):
        frames.client_decoder.decode(ask)


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


def refused_then_done(stored: Stored, *, wait: float = 0.0) -> tuple[Person, list[Task]]:
    """Somebody says a line where they are not, comes in, and says another; the three tasks."""
    stored.person("ann", "den")
    bob = stored.person("bob")
    early = stored.task(Say(0, os.urandom(16), "den", "early"), bob)
    rest = [
        stored.task(Join(0, os.urandom(16), "den"), bob),
        stored.task(Say(0, os.urandom(16), "den", "late"), bob),
    ]
    (answer,) = stored.turn(early)
    assert isinstance(answer.reply, Error)
    stored.now += wait
    stored.turn(*rest)
    return bob, [early, *rest]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 64, 255, 256, 257, 700])
def test_repeats_are_known_however_many_come_in_one_turn(stored: Stored, size: int) -> None:
    alice = stored.person("alice", "lobby")
    says = [Say(0, new(), "lobby", f"line {number}") for number in range(size)]
    first = [answer.reply for answer in stored.turn(*(stored.task(say, alice) for say in says))]
    again = stored.reloaded()
    unknown = Say(0, new(), "lobby", "not said before")
    tasks = [again.task(say, alice, again=True) for say in [*says[1:], unknown, says[0]]]
    repeated = [answer.reply for answer in again.turn(*tasks)]
    assert [*repeated[-1:], *repeated[:-2]] == first
    assert again.state.rooms[1].head == size + 1
    again.store.close()


def test_a_new_owner_does_not_do_what_was_refused_before_something_else_was_done(
    stored: Stored,
) -> None:
    """“What one connection says in one room stands in the order it said it.”"""
    _, tasks = refused_then_done(stored)
    again = stored.reloaded()
    replies = [answer.reply for answer in again.turn(*tasks)]
    assert [type(reply) for reply in replies] == [Error, frames.Roster, Ok]
    assert again.state.rooms[1].count == 1
    again.store.close()


def test_what_a_new_owner_is_asked_for_the_first_time_it_decides(stored: Stored) -> None:
    """Also if it has the very words of what was refused, or comes through another gateway."""
    bob, (early, *_) = refused_then_done(stored)
    again = stored.reloaded()
    again.no = stored.no
    (anew,) = again.turn(again.task(early.ask.frame, bob))
    assert isinstance(anew.reply, Ok)
    frame = Say(0, os.urandom(16), "den", "elsewhere")
    (elsewhere,) = again.turn(
        early._replace(gateway="g2", ask=msgspec.structs.replace(early.ask, frame=frame))
    )
    assert isinstance(elsewhere.reply, Ok)
    again.store.close()


def test_nothing_is_noted_of_what_was_refused_too_long_ago_to_be_asked_again(
    stored: Stored,
) -> None:
    within = stored.settings.request_within
    refused_then_done(stored, wait=within + 1)
    assert stored.reloaded().state.decided == {}


def test_what_was_noted_of_refusals_is_forgotten_after_a_day(stored: Stored) -> None:
    refused_then_done(stored)
    outside = sqlite3.connect(stored.directory / "hubbub.db", isolation_level=None)
    assert outside.execute("SELECT count(*) FROM decided").fetchone()[0] == 1
    outside.execute("UPDATE decided SET at = (unixepoch() - 23 * 3600) * 1000")
    stored.store.prune()
    assert outside.execute("SELECT count(*) FROM decided").fetchone()[0] == 1
    outside.execute("UPDATE decided SET at = (unixepoch() - 25 * 3600) * 1000")
    stored.store.prune()
    assert outside.execute("SELECT count(*) FROM decided").fetchone()[0] == 0
    outside.close()


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
    asks: list[tuple[OwnerFrame, Person | None]] = [
        (Nick(0, id_of(1), "ada"), alice),
        (Nick(0, id_of(1), "alice"), bob),
        (Bye(0, id_of(1)), carol),
        (Hello(0, id_of(2), "bob"), None),
        (Hello(0, id_of(3), "carol"), None),
        (Join(0, id_of(4), "lobby"), alice),
    ]
    stored.turn(*(stored.task(frame, person) for frame, person in asks))
    again = stored.reloaded()
    assert {p.name for p in again.state.people.values()} == {"ada", "alice", "bob", "carol"}
    assert told(again.state) == told(stored.state)
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
    tables = ("done", "events", "sessions", "rooms", "members", "numbers")
    outside = sqlite3.connect(stored.directory / "hubbub.db", isolation_level=None)
    before = [outside.execute(f"SELECT * FROM {table}").fetchall() for table in tables]
    outside.execute(
        "CREATE TRIGGER full BEFORE INSERT ON members BEGIN SELECT RAISE(FAIL, 'full'); END"
    )
    asks: list[OwnerFrame] = [
        Say(0, id_of(1), "lobby", "two"),
        Nick(0, id_of(2), "ada"),
        Join(0, id_of(3), "den"),
    ]
    with pytest.raises(TurnFailedError) as failed:
        stored.turn(*(stored.task(frame, alice) for frame in asks))
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


@pytest.mark.parametrize("number", [10**30, 2**63, -1])
def test_a_note_of_numbers_that_nobody_counts_to_is_no_note(stored: Stored, number: int) -> None:
    """A term above all that can be stored would end every start in an error."""
    note.write(stored.directory / "epoch", note.Note(stored.state.epoch, number, 0))
    again = stored.reloaded()
    assert again.state.epoch == stored.state.epoch
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
