"""The index on real SQLite files."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from hubbub import frames
from hubbub.wire import Kind
from tests.unit.worker.said import AT, Said
from worker import index
from worker.migrate import migrate
from worker.query import DAY, spaced


@pytest.fixture
def said(tmp_path: Path) -> Iterator[Said]:
    """An empty database."""
    with Said(tmp_path / "hubbub.db") as said:
        yield said


def test_only_messages_are_noted_and_only_a_step_indexes_them(said: Said) -> None:
    """“Rows of other kinds are skipped”; “the hot path is not slowed”."""
    said.turn([said.row(1, "one"), said.row(1, "two", kind=Kind.EVENT), said.row(2, "three", 7)])
    query = "SELECT id, room, seq, sender, at FROM messages"
    assert said.raw.execute(query).fetchall() == [(1, 1, 1, 1, AT), (2, 2, 1, 7, AT)]
    assert said.match("one") == []
    assert said.step()
    assert said.match("one") == [(1, 1)]
    assert said.match("two") == []
    assert said.match("who : (s7 AND r2)") == [(2, 1)]
    assert said.match("text : (s7 OR r2)") == []


def test_steps_are_bounded_and_say_when_nothing_is_left(said: Said) -> None:
    """“Index up to `limit` messages; True when nothing is left.”"""
    said.turn(said.row(1, f"w{n} all") for n in range(5))
    assert [said.step(2) for _ in range(4)] == [False, False, True, True]
    assert len(said.match("all")) == 5
    said.turn(said.row(1, "x" * index.STEP_CHARACTERS) for _ in range(2))
    assert [said.step() for _ in range(3)] == [False, False, True]


def test_an_edited_message_is_found_by_its_new_text_and_a_deleted_one_by_none(said: Said) -> None:
    """“Correct both when it is indexed already and when not.”"""
    for indexed in (True, False):
        first, second = said.say(1, "Straße 東京 old"), said.say(1, "old and gone", 2)
        if indexed:
            said.index()
        said.rewrite(1, first, "new")
        said.rewrite(1, second, "")
        said.index()
        assert said.match("old OR straße OR gone OR 京") == []
        assert said.match("new")[-1] == (1, first)
        assert said.match("who : s2") == []
    said.raw.execute("INSERT INTO words (words) VALUES ('integrity-check')")


def test_a_message_that_was_never_noted_can_be_rewritten(said: Said) -> None:
    """An edit's own entry has its text taken away with the message's: it is no message."""
    index.rewrite(said.raw, 9, 9, "x", "y")
    assert said.match("x OR y") == []


def test_what_a_transaction_undoes_is_undone_in_the_index(said: Said) -> None:
    """“Must be right also when a crash comes between.”"""
    said.say(1, "one")
    said.index()
    said.say(1, "two")
    said.raw.execute("BEGIN")
    assert index.step(said.raw, 10)
    index.rewrite(said.raw, 1, 1, "one", "three")
    said.raw.execute("ROLLBACK")
    assert said.match("one OR three") == [(1, 1)]
    assert said.match("two") == []
    said.index()
    assert said.match("two") == [(1, 2)]


def test_days_know_their_messages_also_when_the_clock_is_set_back(said: Said) -> None:
    """“before:DATE”, “after:DATE”: the days lead to the messages."""
    for days in (0, 0, 1, 3, 2, 3):
        said.at = AT + days * DAY
        said.turn([said.row(1, "x"), said.row(1, "x")])
    day = AT // DAY
    found = said.raw.execute("SELECT day - ?, first, last FROM message_days", (day,)).fetchall()
    assert found == [(0, 1, 4), (1, 5, 6), (2, 9, 10), (3, 7, 12)]


def test_what_was_said_before_there_was_an_index_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """“Takes over existing messages”, in the order of time; “FTS is then filled by step()”."""
    upgrade = command.upgrade
    monkeypatch.setattr(command, "upgrade", lambda config, to: upgrade(config, "0002"))
    migrate(tmp_path / "hubbub.db")
    monkeypatch.undo()
    raw = sqlite3.connect(tmp_path / "hubbub.db", isolation_level=None)
    for room, seq, kind, days in ((1, 1, 1, 0), (1, 2, 2, 0), (1, 3, 1, 1), (2, 1, 1, 0)):
        body = frames.encoder.encode(frames.Message("x", seq, 7, "p", f"text {room} {seq}", 0))
        row = (room, seq, kind, 7, AT + days * DAY, 0, body)
        raw.execute("INSERT INTO events VALUES (?,?,?,?,?,?,?)", row)
    raw.close()
    with Said(tmp_path / "hubbub.db") as said:
        noted = said.raw.execute("SELECT id, room, seq, sender, at FROM messages").fetchall()
        assert noted == [
            (1, 1, 1, 7, AT),
            (2, 2, 1, 7, AT),
            (3, 1, 3, 7, AT + DAY),
        ]
        known = said.raw.execute("SELECT day * ?, first, last FROM message_days", (DAY,)).fetchall()
        assert known == [(AT, 1, 2), (AT + DAY, 3, 3)]
        said.heads[2] = 1
        said.say(2, "text new")
        said.index()
        assert said.match("text AND who : s7") == [(1, 1), (2, 1), (1, 3)]
        assert said.match("text")[-1] == (2, 2)


words = st.lists(
    st.sampled_from(["ab", "ä", "c", "東京", "d", "e*", "f"]), min_size=1, max_size=4
).map(" ".join)


class Rewriting(RuleBasedStateMachine):
    """Whatever is said, edited, deleted, indexed and undone: the index holds today's texts."""

    @initialize()
    def begin(self) -> None:
        """A database of its own."""
        self.directory = tempfile.TemporaryDirectory()
        self.said = Said(Path(self.directory.name) / "hubbub.db")
        self.texts: dict[tuple[int, int], str] = {}

    @rule(text=words, room=st.integers(1, 2))
    def say(self, text: str, room: int) -> None:
        """A message."""
        self.texts[room, self.said.say(room, text)] = text

    @precondition(lambda self: any(self.texts.values()))
    @rule(data=st.data(), text=words | st.just(""))
    def rewrite(self, data: st.DataObject, text: str) -> None:
        """An edit or a deletion."""
        which = data.draw(st.sampled_from([key for key, text in self.texts.items() if text]))
        self.said.rewrite(*which, text)
        self.texts[which] = text

    @rule(limit=st.integers(1, 3))
    def step(self, limit: int) -> None:
        """Some indexing."""
        self.said.step(limit)

    @rule()
    def crash(self) -> None:
        """Everything in hand is lost, and the file is opened anew."""
        self.said.raw.execute("BEGIN")
        index.step(self.said.raw, 2)
        self.said.raw.close()
        self.said.raw = sqlite3.connect(self.said.path, isolation_level=None)

    @invariant()
    def what_is_indexed_is_found_by_exactly_its_words(self) -> None:
        """“Correct both when it is indexed already and when not.”"""
        if not hasattr(self, "said"):
            return
        raw = self.said.raw
        raw.execute("INSERT INTO words (words) VALUES ('integrity-check')")
        indexed = set(
            raw.execute("SELECT room, seq FROM messages WHERE id <= (SELECT upto FROM indexed)")
        )
        for word in ("ab", "a", "c", "東", "d", "e", "f"):
            wanted = {
                key
                for key, text in self.texts.items()
                if key in indexed
                and word in spaced(text.replace("ä", "a").replace("*", "")).split()
            }
            assert set(self.said.match(f"text : {word}")) == wanted

    def teardown(self) -> None:
        """Close it."""
        self.said.raw.close()
        self.directory.cleanup()


TestRewriting = Rewriting.TestCase
TestRewriting.settings = settings(max_examples=40, deadline=None)
