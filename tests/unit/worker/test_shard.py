"""The loop: when it takes a turn, and what it does when one fails in the middle."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sqlite3
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import pytest
import pytest_asyncio

from hubbub import wire
from hubbub.bus import Bus
from hubbub.frames import (
    Error,
    Found,
    Hello,
    Invite,
    Join,
    Leave,
    Ok,
    PeerList,
    Peers,
    Ping,
    Register,
    Say,
    Search,
    Welcome,
)
from hubbub.settings import Settings
from hubbub.wire import Answer, Answers, Ask, Batch, OwnerFrame
from tests.support import eventually
from worker import rules
from worker.case import Case
from worker.migrate import migrate
from worker.searching import Searches
from worker.shard import Shard
from worker.store import Store

GATHER_ASKS = Settings().gather_asks
LOG = logging.getLogger("test")


class Line:
    """Stands where the bus is: one drain of the sockets for each batch that is handed in."""

    good = 2
    subscribers: frozenset[bytes] = frozenset()

    def __init__(self) -> None:
        self.handlers: dict[bytes, Callable[[int, bytes, int], None]] = {}
        self.turns: list[Callable[[], None]] = []
        self.published: list[tuple[bytes, int]] = []  # topic and position, in order
        self.answers: dict[int, Answer] = {}
        self.first = 1  # the batches below it are answered, and the answers are here
        self.term = 0  # of the stream
        self._no = 0
        self._number = 0

    def subscribe(self, topic: bytes, handler: Callable[[int, bytes, int], None]) -> None:
        self.handlers[topic] = handler

    def on_turn(self, callback: Callable[[], None]) -> None:
        self.turns.append(callback)

    def on_vanished(self, callback: Callable[[bytes], None]) -> None:
        pass

    def publish(
        self, topic: bytes, kind: bytes, payload: bytes, *, everywhere: bool = False
    ) -> bool:
        if topic == wire.STREAM_TOPIC:
            self.term, position, items = wire.peek_stream(payload)
            if items:  # else an old position is repeated
                self.published.append((topic, position))
            return True
        frame = wire.decode_to_gateway(payload)
        if isinstance(frame, Answers):
            self.published.append((topic, frame.position))
            self.answers.update((answer.no, answer) for answer in frame.answers)
        return True

    def send(self, *asks: tuple[OwnerFrame, int, int]) -> list[int]:
        """Hand in one batch; the numbers of its asks."""
        self._number += 1
        made = []
        for frame, session, generation in asks:
            self._no += 1
            made.append(Ask(self._no, session, generation, frame))
        self.hand_in(Batch("g1", 1, self._number, self.first, False, made))
        return [ask.no for ask in made]

    def hand_in(self, frame: wire.ToOwner) -> None:
        """One frame of a gateway."""
        self.handlers[wire.shard_topic(0)](wire.MESSAGE[0], wire.encoder.encode(frame), 0)
        for callback in self.turns:
            callback()

    async def ask(self, *asks: tuple[OwnerFrame, int, int], within: float = 5.0) -> list[Answer]:
        """Hand in one batch and wait for its answers."""
        nos = self.send(*asks)
        await eventually(lambda: all(no in self.answers for no in nos), within)
        return [self.answers[no] for no in nos]

    def confirm(self) -> None:
        """With the next batch the owner hears that all answers so far are here."""
        self.first = self._number + 1


class Running:
    """A shard at work, with one person in the lobby."""

    def __init__(self, line: Line, session: int) -> None:
        self.line = line
        self.session = session

    def say(self, text: str) -> tuple[OwnerFrame, int, int]:
        """An ask."""
        return Say(0, os.urandom(16), "lobby", text), self.session, 1


@pytest_asyncio.fixture
async def running(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Running]:
    """A shard over a real database; the parameter is its `gather`."""
    migrate(tmp_path / "hubbub.db")
    settings = Settings(data=str(tmp_path), gather=request.param)
    line, thread = Line(), ThreadPoolExecutor(max_workers=1)
    loop = asyncio.get_running_loop()
    store = await loop.run_in_executor(thread, Store, tmp_path / "hubbub.db", tmp_path / "epoch")
    searches = Searches(tmp_path / "hubbub.db", LOG)
    shard = Shard(settings, "worker-1.0", cast(Bus, line), thread, LOG, searches=searches)
    await shard.begin(store)
    task = asyncio.create_task(shard.run(), name="shard")
    (answer,) = await line.ask((Hello(0, os.urandom(16), "alice"), 0, 0))
    assert isinstance(answer.reply, Welcome)
    # So many at once are never gathered any longer.
    await line.ask(*[(Join(0, os.urandom(16), "lobby"), answer.session, 1)] * GATHER_ASKS)
    line.published.clear()
    yield Running(line, answer.session)
    shard.stop()
    await task
    searches.close()
    await loop.run_in_executor(thread, store.close)
    thread.shutdown()


@pytest.mark.parametrize("running", [2.0], indirect=True)
async def test_what_comes_soon_after_a_commit_shares_the_next(running: Running) -> None:
    """“A quiet room waits for nothing; a busy one shares its trips.”"""
    line = running.line
    nos = []
    for n in range(30):
        nos += line.send(running.say(str(n)))
        await asyncio.sleep(0)  # a turn could begin here
    await eventually(lambda: all(no in line.answers for no in nos))
    replies = [line.answers[no].reply for no in nos]
    assert [reply.seq for reply in replies if isinstance(reply, Ok)] == list(range(1, 31))
    positions = [position for topic, position in line.published if topic == wire.STREAM_TOPIC]
    assert len(set(positions)) == 1


@pytest.mark.parametrize("running", [30.0], indirect=True)
async def test_when_enough_waits_it_is_not_gathered_any_longer(running: Running) -> None:
    """“Or when `gather_asks` wait.”"""
    await running.line.ask(*(running.say(str(n)) for n in range(GATHER_ASKS)))


@pytest.mark.parametrize("running", [0.0], indirect=True)
async def test_the_stream_goes_out_before_the_answers_that_stand_at_its_position(
    running: Running,
) -> None:
    """“First the stream, then the answers.”"""
    for n in range(5):
        await running.line.ask(running.say(str(n)))
    topics = [topic for topic, _ in running.line.published]
    assert topics == [wire.STREAM_TOPIC, wire.gateway_topic("g1")] * 5
    positions = [position for _, position in running.line.published]
    assert positions == sorted(positions)
    assert positions[0::2] == positions[1::2]


@pytest.mark.parametrize("running", [0.0], indirect=True)
async def test_a_bug_of_ours_in_one_ask_is_answered_and_spares_the_others(
    running: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """“Nothing that a client sends” stops the owner, and the log has the traceback."""
    real = rules.HANDLERS[Say]

    def bad(case: Case, frame: Say) -> None:
        real(case, frame)
        if frame.text == "trigger":
            raise ZeroDivisionError

    monkeypatch.setitem(rules.HANDLERS, Say, bad)
    texts = ["one", "trigger", "two"]
    answers = await running.line.ask(*(running.say(text) for text in texts))
    first, broken, last = (answer.reply for answer in answers)
    assert isinstance(broken, Error)
    assert broken.code == "internal"
    assert isinstance(first, Ok)
    assert isinstance(last, Ok)
    assert (first.seq, last.seq) == (1, 2)
    assert "what=broken_input" in caplog.text


@pytest.mark.parametrize("running", [0.0], indirect=True)
async def test_what_was_sent_behind_a_line_that_could_not_be_stored_does_not_overtake_it(
    running: Running, tmp_path: Path
) -> None:
    """“What their sessions had sent behind that is told so, too”, until the refusal is there."""
    line, first, behind = running.line, running.say("first"), running.say("behind")
    with contextlib.closing(sqlite3.connect(tmp_path / "hubbub.db", timeout=5.0)) as outside:
        outside.execute(
            "CREATE TRIGGER full BEFORE INSERT ON done BEGIN SELECT RAISE(FAIL, 'full'); END"
        )
        refused = await line.ask(first)
        outside.execute("DROP TRIGGER full")
        refused += await line.ask(behind)
        codes = [getattr(answer.reply, "code", "done") for answer in refused]
        assert codes == ["unavailable", "unavailable"]
        line.confirm()
        again = [answer.reply for answer in await line.ask(first, behind)]
        assert [reply.seq for reply in again if isinstance(reply, Ok)] == [1, 2]
        # Nor may a next owner do then what was refused before that: it counts as refused.
        noted = outside.execute("SELECT session FROM decided").fetchall()
        assert noted == [(running.session,)]


@pytest.mark.parametrize("running", [0.0], indirect=True)
async def test_the_next_term_is_above_what_a_gateway_has_seen(running: Running) -> None:
    """“A gateway ignores lower terms”; an old copy of the database was put back, say."""
    running.line.hand_in(wire.Sync("g1", 41, 1))
    await eventually(lambda: running.line.term > 1)
    assert running.line.term == 42


@pytest.mark.parametrize("running", [0.0], indirect=True)
async def test_who_has_left_when_a_search_is_answered_is_shown_nothing_of_the_room(
    running: Running,
) -> None:
    """“All that one may read”: now, not when it was asked for."""
    line, ann = running.line, running.session
    (welcome,) = await line.ask((Hello(0, os.urandom(16), "bob"), 0, 0))
    bob, search = welcome.session, Search(0, "secret")
    await line.ask((Register(0, os.urandom(16), "open sesame"), ann, 1))
    await line.ask(
        (Join(0, os.urandom(16), "den", private=True), ann, 1),
        (Invite(0, os.urandom(16), "den", "bob"), ann, 1),
        (Join(0, os.urandom(16), "den"), bob, 1),
        (Say(0, os.urandom(16), "den", "a secret"), ann, 1),
    )

    async def found(session: int, *behind: tuple[OwnerFrame, int, int]) -> int:
        """How much, with what is asked in the same turn."""
        reply = (await line.ask((search, session, 1), *behind))[0].reply
        assert isinstance(reply, Found), reply
        return len(reply.hits)

    await eventually(lambda: found(ann), what="indexed")
    assert await found(ann, (Leave(0, os.urandom(16), "den"), ann, 1)) == 0
    assert await found(bob) == 1


@pytest.mark.parametrize("running", [0.0], indirect=True)
async def test_a_gateway_that_begins_anew_loses_nobody_who_was_welcomed_meanwhile(
    running: Running, tmp_path: Path
) -> None:
    """“Sessions just opened there, which it may not have heard of yet”, also after it asked."""
    line = running.line
    with contextlib.closing(sqlite3.connect(tmp_path / "hubbub.db", timeout=5.0)) as outside:
        outside.execute("BEGIN IMMEDIATE")  # the turn that welcomes him takes until this is over
        (no,) = line.send((Hello(0, os.urandom(16), "bob"), 0, 0))
        await asyncio.sleep(0)
        line.hand_in(wire.Sync("g1", 1, 1, [(running.session, 1)]))
        outside.rollback()
    await eventually(lambda: no in line.answers)
    await line.ask((Ping(0), running.session, 1))  # may share a turn with the gateway's question
    (answer,) = await line.ask((Peers(0), running.session, 1))
    assert isinstance(answer.reply, PeerList)
    states = {peer.name: peer.state for peer in answer.reply.peers}
    assert states == {"alice": "here", "bob": "here"}
