"""What goes out to gateways is bounded."""

from __future__ import annotations

import logging

import pytest

from hubbub import wire
from hubbub.frames import AuditEntry, AuditLog, Error, Ok, Person, RoomState, Roster, States
from hubbub.wire import BATCH_BYTES, MAX_BUS_BYTES, Answer, Answers, Snapshot, Synced
from worker.mail import Mail


class Post:
    """Keeps what is published."""

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, bytes, bool]] = []
        self.mail = Mail(self.publish, 3, logging.getLogger("test"))

    def publish(self, topic: bytes, kind: bytes, payload: bytes, *, everywhere: bool) -> bool:
        self.sent.append((topic, payload, everywhere))
        return True

    def frames(self) -> list[Answers]:
        """What was sent, decoded."""
        decoded = [wire.decode_to_gateway(payload) for _, payload, _ in self.sent]
        return [frame for frame in decoded if isinstance(frame, Answers)]


def crowd(size: int) -> list[Person]:
    """Many people."""
    return [Person(number, f"somebody called {number}") for number in range(size)]


def test_answers_go_in_order_in_messages_of_bounded_size() -> None:
    """“What one turn has for one destination goes as one message of at most 64 KiB.”"""
    post = Post()
    for no in range(3000):
        members = crowd(100) if no % 7 == 0 else []
        reply = Roster(0, "lobby", 1, members=members) if members else Ok(0, "lobby", no, no)
        post.mail.add("g", Answer(no, reply), everywhere=False)
    post.mail.flush(9, lambda gateway: 5)
    assert max(len(payload) for _, payload, _ in post.sent) <= BATCH_BYTES
    assert len(post.sent) < 80
    frames = post.frames()
    assert [answer.no for frame in frames for answer in frame.answers] == list(range(3000))
    assert {(frame.term, frame.position, frame.taken) for frame in frames} == {(3, 9, 5)}


def test_answers_to_what_was_asked_again_go_through_every_broker() -> None:
    """“Repeated requests and answers to repeats go through all.”"""
    post = Post()
    post.mail.add("g", Answer(1, Ok(0)), everywhere=False)
    post.mail.add("g", Answer(2, Ok(0)), everywhere=True)
    post.mail.add("h", Answer(3, Ok(0)), everywhere=False)
    post.mail.flush(1, lambda gateway: 0)
    sent = [(topic, everywhere) for topic, _, everywhere in post.sent]
    assert sent == [(b"g/g/", False), (b"g/g/", True), (b"g/h/", False)]


def test_nobody_goes_without_an_answer_because_anothers_is_large() -> None:
    """“No one can hurt the others”: what is asked in one turn shares messages."""
    post = Post()
    titled = [RoomState(f"room {number}", title="t" * 300) for number in range(1500)]
    entries = [AuditEntry(number, 1, "root", "announce", text="x" * 9000) for number in range(500)]
    for no in range(40):
        post.mail.add("g", Answer(no, Ok(0, "lobby", no, no)), everywhere=False)
        post.mail.add("g", Answer(100 + no, States(0, titled)), everywhere=False)
    post.mail.add("g", Answer(200, AuditLog(0, entries)), everywhere=False)
    post.mail.flush(1, lambda gateway: 0)
    assert max(len(payload) for _, payload, _ in post.sent) <= MAX_BUS_BYTES
    answers = {answer.no: answer.reply for frame in post.frames() for answer in frame.answers}
    assert set(answers) == {*range(40), *range(100, 140), 200}
    assert {no for no, reply in answers.items() if isinstance(reply, Error)} == {200}


def test_what_no_gateway_can_receive_is_refused_and_not_sent(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A message over the limit costs its receiver the connection to the broker."""
    post = Post()
    people = crowd(MAX_BUS_BYTES // 30)
    post.mail.add("g", Answer(1, Roster(0, "lobby", 1, members=people)), everywhere=False)
    post.mail.flush(1, lambda gateway: 0)
    (answer,) = post.frames()[0].answers
    assert isinstance(answer.reply, Error)
    assert (answer.no, answer.reply.code) == (1, "too_large")
    snapshot = Snapshot(1, "lobby", 1, 1, 1, people)
    post.mail.send("g", Synced(3, 1, 7, 1, [], [snapshot]))
    assert len(post.sent) == 1
    assert caplog.text.count("what=too_large") == 2
