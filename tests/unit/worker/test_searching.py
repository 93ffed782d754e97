"""Searches on real SQLite files."""

from __future__ import annotations

import asyncio
import datetime
import itertools
import logging
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from hubbub import frames
from hubbub.errors import Code, Refused
from hubbub.wire import Kind
from tests.unit.worker.said import AT, Said
from worker import searching
from worker.query import DAY, parse
from worker.records import RoomKind
from worker.searching import BLOCK, WAITING, Cursor, Result, Search, Searcher, Searches


class Clock:
    """Of seconds; each look at it takes `tick`."""

    def __init__(self) -> None:
        self.now = 0.0
        self.tick = 0.0

    def __call__(self) -> float:
        self.now += self.tick
        return self.now


class Looked:
    """What was said, and who looks for it."""

    def __init__(self, path: Path) -> None:
        self.said = Said(path)
        self.clock = Clock()
        self.searcher = Searcher(path, self.clock)

    def close(self) -> None:
        """Close both."""
        self.searcher.close()
        self.said.raw.close()

    def page(self, text: str, **how: Any) -> Result:
        """One answer."""
        return self.searcher.run(Search(parse(text), **how))

    def find(self, text: str, **how: Any) -> list[tuple[int, int]]:
        """(room, seq) of the hits of one answer, in their order."""
        return [place(hit.body, hit.room) for hit in self.page(text, **how).hits]

    def all(self, text: str, **how: Any) -> list[tuple[int, int]]:
        """Those of all pages, one after the other."""
        found: list[tuple[int, int]] = []
        below, more, pages = 0, True, 0
        while more:
            page = self.page(text, below=below, **how)
            found += [place(hit.body, hit.room) for hit in page.hits]
            below, more = page.next, page.more
            pages += 1
            assert pages < 1000
        return found


def place(body: bytes, room: int) -> tuple[int, int]:
    """Which message this is."""
    message = msgspec.msgpack.decode(body, type=frames.Message)
    assert message.room == f"room{room}"
    return room, message.seq


def texts(bodies: list[bytes]) -> list[str]:
    """What they say."""
    return [msgspec.msgpack.decode(body, type=frames.Message).text for body in bodies]


@pytest.fixture
def looked(tmp_path: Path) -> Iterator[Looked]:
    """One public room, and nothing said."""
    looked = Looked(tmp_path / "hubbub ?#%20.db")
    looked.said.room(1)
    yield looked
    looked.close()


@pytest.fixture(scope="module")
def thirty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Looked]:
    """A room with thirty messages that are never changed."""
    looked = Looked(tmp_path_factory.mktemp("thirty") / "hubbub.db")
    looked.said.room(1)
    looked.said.turn(looked.said.row(1, "x") for _ in range(30))
    looked.said.index()
    yield looked
    looked.close()


# --- what is found -------------------------------------------------------------------------------


def test_only_rooms_that_one_may_read_are_searched(looked: Looked) -> None:
    """“Visible rooms are: public and not barred, or in own; closed rooms never.”"""
    said = looked.said
    kinds = (RoomKind.PUBLIC, RoomKind.PRIVATE, RoomKind.DIRECT)
    for id, kind in enumerate(kinds, 2):
        said.room(id, kind)
        said.room(10 + id, kind, closed_at=5)
        said.say(id, "x")
        said.say(10 + id, "x")
    said.say(99, "x")  # of a room that is not there
    said.index()
    everything = range(100)
    for asked in ("x", "from:p1", "after:2025-01-01"):
        sender = int(asked == "from:p1")
        assert looked.find(asked, sender=sender) == [(2, 1)]
        assert looked.find(asked, sender=sender, barred={2}) == []
        assert looked.find(asked, sender=sender, own={3}, barred={2}) == [(3, 1)]
        assert looked.find(asked, sender=sender, own=everything) == [(4, 1), (3, 1), (2, 1)]
        for room in (3, 4, 12, 13, 14, 99):
            assert looked.find(asked, sender=sender, room=room) == []


def test_deleted_messages_are_never_shown_and_edited_ones_as_they_are_now(looked: Looked) -> None:
    """“Deleted messages never.”"""
    said = looked.said
    for text in ("one x", "two x", "three x", "four x"):
        said.say(1, text)
    said.index()
    said.rewrite(1, 2, "")
    said.rewrite(1, 3, "other y")
    assert sorted(looked.find("x")) == [(1, 1), (1, 4)]
    assert looked.find("y") == [(1, 3)]
    assert looked.find("after:2025-01-01") == [(1, 4), (1, 3), (1, 1)]
    (hit,) = looked.page("four", context=2).hits
    assert texts(hit.before) == ["one x", "other y"]


def test_context_is_of_the_same_room_oldest_first(looked: Looked) -> None:
    """“Context bodies are messages of the same room only.”"""
    said = looked.said
    said.room(2)
    for n in range(7):
        said.say(1, f"m{n}")
        said.say(2, "noise")
        said.turn([said.row(1, "", kind=Kind.EVENT)])
    said.index()
    (hit,) = looked.page("m3", context=2).hits
    assert texts([*hit.before, hit.body, *hit.after]) == ["m1", "m2", "m3", "m4", "m5"]
    (hit,) = looked.page("m6", context=5).hits
    assert (texts(hit.before), hit.after) == (["m1", "m2", "m3", "m4", "m5"], [])
    (hit,) = looked.page("m3").hits
    assert (hit.before, hit.after) == ([], [])


def test_filters_narrow_what_words_find(looked: Looked) -> None:
    """“With `from:`, `in:`, `before:`, `after:`.”"""
    said = looked.said
    said.room(2)
    for day in range(4):
        said.at = AT + day * DAY
        for room in (1, 2):
            for sender in (1, 12):
                said.say(room, f"x day{day}", sender)
    said.index()
    assert len(looked.find("x")) == 16
    assert looked.find("x", sender=12, room=2) == [(2, 8), (2, 6), (2, 4), (2, 2)]
    assert looked.find("day1", sender=12, room=2) == [(2, 4)]
    assert looked.find("x after:2026-01-01 before:2026-01-03", room=1) == [(1, 4), (1, 3)]
    assert looked.find("after:2026-01-03", sender=1) == [(2, 7), (1, 7)]
    assert looked.find("from:a -day3", sender=1, room=1) == [(1, 5), (1, 3), (1, 1)]
    assert looked.find("x -day3 -day2", sender=1, room=1) == [(1, 3), (1, 1)]
    assert looked.find("x before:2026-01-01") == []
    assert looked.find("x after:2026-01-04") == []
    assert looked.find("s12") == []  # how the index names them is no word


def test_days_are_exact_also_when_the_clock_was_set_back(looked: Looked) -> None:
    """“`before:DATE` means before that day began, `after:DATE` after that day was over.”"""
    said = looked.said
    for hours in (0, 23, 24, 71, 25, 47, 48):  # one clock was two days ahead for a moment
        said.at = AT + hours * DAY // 24
        said.say(1, f"x h{hours}")
    said.index()
    for asked in ("", "x "):
        assert sorted(looked.find(f"{asked}before:2026-01-02")) == [(1, 1), (1, 2)]
        second = looked.find(f"{asked}after:2026-01-01 before:2026-01-03")
        assert sorted(second) == [(1, 3), (1, 5), (1, 6)]
        assert sorted(looked.find(f"{asked}after:2026-01-02")) == [(1, 4), (1, 7)]


def test_the_best_come_first(looked: Looked) -> None:
    """“Ranked”: more often, in less text, more recently."""
    said = looked.said
    said.at = AT - 90 * DAY
    said.say(1, "deploy deploy")
    said.at = AT
    said.say(1, "deploy " + "and much else " * 20)
    said.say(1, "deploy deploy")
    said.say(1, "deploy and much else, deploy and much else")
    said.say(1, "deploy and something else")
    said.say(1, "nothing of it")
    said.index()
    assert looked.find("deploy") == [(1, 3), (1, 4), (1, 5), (1, 1), (1, 2)]
    assert looked.find("“deploy deploy”")[0] == (1, 3)
    assert looked.find("dep*") == looked.find("deploy")


def test_what_is_not_indexed_yet_is_found_a_moment_later(looked: Looked) -> None:
    """“FTS is then filled by step()”: and an answer is true at one moment."""
    looked.said.say(1, "x")
    assert looked.find("x") == looked.find("after:2025-01-01") == []
    looked.said.index()
    assert looked.find("x") == looked.find("after:2025-01-01") == [(1, 1)]


# --- pages ---------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_paging_comes_to_everything_once(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """“`more`/`next` continue it, so that everything can be found by paging.”"""
    looked = Looked(tmp_path_factory.mktemp("pages") / "hubbub.db")
    said = looked.said
    said.room(1)
    said.room(2, RoomKind.PRIVATE)
    length = data.draw(st.sampled_from([0, 1, 20, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 7]))
    shape = data.draw(st.randoms(use_true_random=False))
    wanted = set()
    rows = []
    for _ in range(length):
        room, text = shape.choice((1, 1, 2)), " ".join(shape.choices("xyz", k=3))
        rows.append(said.row(room, text))
        if "x" in text and room == 1:
            wanted.add((room, rows[-1].seq))
    said.turn(rows)
    said.index()
    # How often the clock cuts a block short.
    looked.clock.tick = data.draw(st.sampled_from([0.0, 0.0001, 0.0006, 0.001, 0.02, 1.0]))
    limit = data.draw(st.integers(1, frames.MAX_HITS))
    found = looked.all("x", limit=limit)
    assert len(found) == len(set(found))
    assert set(found) == wanted
    days = looked.all("after:2025-01-01", limit=limit)
    assert days == [(1, n) for n in range(said.heads.get(1, 0), 0, -1)]
    looked.close()


def test_pages_are_ranked_over_many_messages_not_over_one_page(looked: Looked) -> None:
    """“Best first”: the best of the newest, however far back in them."""
    said = looked.said
    said.turn([said.row(1, "x x x"), *(said.row(1, "x and other words") for _ in range(200))])
    said.index()
    assert looked.find("x", limit=1) == [(1, 1)]
    assert looked.all("x", limit=10)[0] == (1, 1)


def test_what_changes_between_two_pages_hides_nothing_else(looked: Looked) -> None:
    """“Everything can be found by paging”: a block that changed is given again from its start."""
    said = looked.said
    said.turn(said.row(1, "x") for _ in range(BLOCK + 5))
    said.index()
    first = looked.page("x", limit=20)
    gone = place(first.hits[0].body, 1)
    said.rewrite(*gone, "")
    said.say(1, "x")  # newer than where it began: not among its pages
    said.index()
    found = set()
    page = first
    while page.more:
        page = looked.page("x", limit=20, below=page.next)
        found |= {place(hit.body, 1) for hit in page.hits}
    assert found == {(1, n) for n in range(1, BLOCK + 6)} - {gone}


def test_a_page_that_cannot_be_made_again_in_time_is_tried_again(looked: Looked) -> None:
    """A block of which a part was shown must not be cut elsewhere: that would lose some."""
    said = looked.said
    said.turn(said.row(1, "x") for _ in range(100))
    said.index()
    first = looked.page("x", limit=30)
    looked.clock.tick = 0.01
    assert looked.page("x", limit=30, below=first.next) == Result([], True, first.next)
    looked.clock.tick = 0.0
    second = looked.page("x", limit=30, below=first.next)
    both = {place(hit.body, 1) for hit in (*first.hits, *second.hits)}
    assert len(both) == 60


def test_an_answer_ends_in_time_and_goes_on(looked: Looked) -> None:
    """“Work is bounded per answer”: here all is in a room that may not be read."""
    said = looked.said
    said.room(2, RoomKind.PRIVATE)
    said.turn([said.row(1, "x"), *(said.row(2, "x") for _ in range(500))])
    said.index()
    looked.clock.tick = searching.WITHIN / 100
    page = looked.page("x")
    assert (page.hits, page.more) == ([], True)
    assert looked.all("x") == [(1, 1)]


def test_an_answer_fits_into_a_message_of_the_bus(looked: Looked) -> None:
    """“One answer to a search” has a bound in bytes too, and paging still comes to everything."""
    said = looked.said
    text = "x " + "\u4e00" * 15_000  # 45 kB
    said.turn(said.row(1, text) for _ in range(12))
    said.index()
    page = looked.page("x", limit=50, context=5)
    assert len(page.hits) == 1
    assert sum(map(len, (*page.hits[0].before, *page.hits[0].after))) < 1024 * 1024
    assert len(looked.page("x", limit=50).hits) == 5
    assert sorted(looked.all("x", limit=50)) == [(1, n) for n in range(1, 13)]


@given(below=st.integers(-(2**70), 2**70))
@settings(max_examples=200, deadline=None)
def test_any_number_may_be_where_to_go_on(thirty: Looked, below: int) -> None:
    """The client says it: whatever it says, it only searches."""
    page = thirty.page("x", below=below)
    assert {place(hit.body, 1) for hit in page.hits} <= {(1, n) for n in range(1, 31)}
    if below > 0:
        assert Cursor.unpack(below).pack() == below
    assert not page.more or 0 < page.next < 2**53


# --- the connection and the thread ---------------------------------------------------------------


def test_a_search_neither_writes_nor_waits_for_who_does(looked: Looked) -> None:
    """“On a read-only connection”: nobody's turn waits for a search, nor it for a turn."""
    looked.said.say(1, "x")
    looked.said.index()
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        looked.searcher._raw.execute("DELETE FROM messages")
    looked.said.raw.execute("BEGIN IMMEDIATE")
    looked.said.raw.execute("UPDATE indexed SET upto = 0")
    assert looked.find("x") == [(1, 1)]
    looked.said.raw.execute("ROLLBACK")
    # Nothing is held open, or the log could never be folded into the database.
    assert looked.said.raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0


async def test_answers_come_in_the_loop_and_in_order(looked: Looked) -> None:
    """“Calls done in the loop.”"""
    for n in range(5):
        looked.said.say(1, f"w{n}")
    looked.said.index()
    searches = Searches(looked.said.path, logging.getLogger())
    answers: list[tuple[list[str], threading.Thread]] = []
    finished = asyncio.Event()

    def done(answer: Result | Refused) -> None:
        assert isinstance(answer, Result)
        answers.append((texts([hit.body for hit in answer.hits]), threading.current_thread()))
        if len(answers) == 5:
            finished.set()

    assert all(searches.submit(Search(parse(f"w{n}")), done) for n in range(5))
    async with asyncio.timeout(10):
        await finished.wait()
    assert answers == [([f"w{n}"], threading.main_thread()) for n in range(5)]
    searches.close()


async def test_too_many_searches_are_turned_away(looked: Looked) -> None:
    """“A bounded queue”; “False: too many waiting”: until answers have been told."""
    searches = Searches(looked.said.path, logging.getLogger())
    answered = asyncio.Semaphore(0)

    def done(answer: Result | Refused) -> None:
        answered.release()

    assert all(searches.submit(Search(parse("x")), done) for _ in range(WAITING))
    assert not searches.submit(Search(parse("x")), done)
    async with asyncio.timeout(10):
        for _ in range(WAITING):
            await answered.acquire()
    assert searches.submit(Search(parse("x")), done)
    searches.close()


async def test_who_is_closed_answers_nobody(
    looked: Looked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """“No `done` after `close`”: also of a search that the thread had answered already."""
    third, runs, real = threading.Event(), itertools.count(1), Searcher.run

    def run(searcher: Searcher, search: Search) -> Result:
        if next(runs) == 3:
            third.set()  # so the answers to the first two are on their way
        return real(searcher, search)

    monkeypatch.setattr(Searcher, "run", run)
    searches = Searches(looked.said.path, logging.getLogger())
    answers: list[object] = []
    assert all(searches.submit(Search(parse("x")), answers.append) for _ in range(4))
    assert third.wait(10)
    searches.close()
    assert "search" not in {thread.name for thread in threading.enumerate()}
    assert not searches.submit(Search(parse("x")), answers.append)
    await asyncio.sleep(0)
    assert answers == []


async def test_a_failure_refuses_one_search_and_the_next_is_answered(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """“The peer gets a code and a sentence; the traceback stays in our log.”"""
    searches = Searches(tmp_path / "hubbub.db", logging.getLogger())

    async def ask() -> Result | Refused:
        answer: asyncio.Future[Result | Refused] = asyncio.get_running_loop().create_future()
        assert searches.submit(Search(parse("secretword")), answer.set_result)
        async with asyncio.timeout(10):
            return await answer

    refused = await ask()
    assert isinstance(refused, Refused)
    assert refused.code is Code.UNAVAILABLE
    with Said(tmp_path / "hubbub.db") as said:
        said.index()
    assert await ask() == Result([])
    monkeypatch.setattr(Searcher, "run", lambda self, search: 1 // 0)
    refused = await ask()
    assert isinstance(refused, Refused)
    assert refused.code is Code.INTERNAL
    assert "what=search_failed" in caplog.text
    assert "what=search_crashed" in caplog.text
    assert "secretword" not in caplog.text
    searches.close()


def test_no_day_is_lost_between_before_and_after() -> None:
    """“Milliseconds since 1970, UTC”: the two meet at midnight."""
    midnight = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC).timestamp() * 1000
    assert parse("after:2026-01-01").after == parse("before:2026-01-02").before == midnight
