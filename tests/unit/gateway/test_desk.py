"""What is done with a connection's requests around one that could not be stored."""

from __future__ import annotations

import os
from typing import cast

from gateway.asks import Asks
from gateway.connection import Connection
from gateway.desk import Context, Desk
from gateway.entrance import Entrance
from gateway.native import NativeProtocol
from gateway.people import People
from gateway.rooms import Rooms
from gateway.session import Session
from gateway.stream import Stream
from hubbub import frames
from hubbub.frames import Error, Frame, Ok
from hubbub.limits import PAUSE, Limits
from hubbub.settings import Settings
from hubbub.wire import Answer, Batch
from worker.overtaking import NOTHING_STORED


class Client:
    """As much of somebody's connection as is needed, and what they are answered."""

    is_closing = parted = False
    buckets = None
    shut_until = 0.0
    asked = 0  # weight of requests without an answer

    def __init__(self, number: int) -> None:
        self.session = Session(number, 1, number, f"person-{number}")
        self.core = NativeProtocol()
        self.changes: list[object] = []
        self.answers: dict[int, str] = {}  # by ref: the code, or "ok"

    def answer(self, frame: Frame) -> None:
        assert isinstance(frame, Ok | Error)
        assert isinstance(frame.ref, int)
        self.answers[frame.ref] = frame.code if isinstance(frame, Error) else "ok"

    def answered(self, weight: int) -> None:
        self.asked -= weight


class Stage:
    """A desk in step with an owner, which the test is."""

    def __init__(self) -> None:
        self.now = 10.0
        self.asks: Asks[Context] = Asks("g", within=20.0)
        self.asks.begin(1, self.now)
        stream = Stream()
        rooms = Rooms(stream, lambda room, after: None)
        people = People(rooms)
        self.desk = Desk(
            self.asks,
            people,
            rooms,
            Entrance(people, rooms, stream, lambda connection: None),
            Limits.of(Settings()),
            now=lambda: self.now,
            wake=lambda: None,
            typed=lambda session, room: None,
        )

    def say(self, client: Client, ref: int) -> None:
        say = frames.Say(ref, os.urandom(16), "lobby", f"line {ref}")
        self.ask(client, say)

    def ask(self, client: Client, frame: frames.ClientFrame) -> None:
        client.asked += 1
        self.desk.request(cast(Connection, client), frame, 1)

    def sent(self) -> list[Batch]:
        return self.asks.flush(self.now)

    def answer(self, batch: Batch, reply: frames.Reply) -> None:
        for ask in batch.asks:
            self.desk.act(Answer(ask.no, reply), 0)


def test_what_waits_behind_a_line_that_could_not_be_stored_is_refused_too() -> None:
    """“What one connection says in one room stands in the order it said it.”"""
    stage, ann, bob = Stage(), Client(1), Client(2)
    stage.say(ann, 1)
    (first,) = stage.sent()
    stage.say(ann, 2)
    stage.ask(ann, frames.Leave(3, os.urandom(16), "den"))
    stage.ask(ann, frames.Members(4, "lobby"))
    stage.say(bob, 1)
    stage.answer(first, NOTHING_STORED)
    assert ann.answers == dict.fromkeys((1, 2, 3), "unavailable")
    assert ann.changes == []
    (second,) = stage.sent()
    assert [(ask.session, type(ask.frame)) for ask in second.asks] == [
        (1, frames.Members),
        (2, frames.Say),
    ]


def test_what_was_sent_before_its_client_knew_is_refused_for_half_a_second() -> None:
    stage, ann, bob = Stage(), Client(1), Client(2)
    stage.say(ann, 1)
    (first,) = stage.sent()
    stage.answer(first, NOTHING_STORED)
    stage.now += 0.9 * PAUSE
    stage.say(ann, 2)
    stage.say(bob, 1)
    assert ann.answers == {1: "unavailable", 2: "unavailable"}
    assert [ask.session for batch in stage.sent() for ask in batch.asks] == [2]
    stage.now += 0.1 * PAUSE
    stage.say(ann, 1)
    (last,) = stage.sent()
    stage.answer(last, Ok(0))
    assert ann.answers[1] == "ok"


def test_what_an_owner_may_have_done_already_is_not_refused() -> None:
    """A new one is asked everything that is open; the older one may have stored it."""
    stage, ann = Stage(), Client(1)
    stage.say(ann, 1)
    stage.say(ann, 2)
    stage.sent()
    stage.asks.begin(2, stage.now)
    assert stage.asks.withdraw(lambda ask: True) == []
    assert [len(batch.asks) for batch in stage.sent()] == [2]
