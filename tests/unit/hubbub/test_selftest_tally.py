"""The books of `hubbub selftest`, without any cluster."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from hubbub.cli.tally import Ledger, Line, Report, Tally, Times
from hubbub.frames import Message


def books(sessions: int = 2, lines: int = 2) -> Tally:
    """Everything said, acknowledged as 1, 2, ... and shown to everybody."""
    tally = Tally("0", sessions, lines)
    tally.senders = {1}
    for seq, line in enumerate(tally.texts, 1):
        tally.ask(line, 0.0)
        tally.acknowledge(line, seq, 0.5)
        for ledger in tally.ledgers:
            show(tally, ledger, line, seq)
    for ledger in tally.ledgers:
        ledger.barrier(tally.answers, len(tally.texts))
    return tally


def show(tally: Tally, ledger: Ledger, line: Line, seq: int) -> None:
    message = Message("selftest", seq, 1, "guest-1", tally.texts[line], 0)
    tally.show(ledger, message, 0.25 if line.session == ledger.session else 1.0)


def log(tally: Tally) -> list[Message]:
    return [
        Message("selftest", seq, 1, "guest-1", text, 0)
        for seq, text in enumerate(tally.texts.values(), 1)
    ]


def judged(tally: Tally) -> Report:
    return tally.report("selftest", 1.0)


def test_books_in_order_have_no_fault() -> None:
    tally = books()
    assert tally.is_settled
    tally.compare_history(log(tally))
    assert judged(tally).ok
    assert judged(tally).ack == Times(500, 500, 500)
    assert judged(tally).shown == Times(1000, 1000, 1000)  # at the other session


def test_it_waits_for_answers_deliveries_and_barriers() -> None:
    line = Line(1, 1)
    tally = Tally("0", 2, 1)
    tally.senders = {1}
    tally.unanswered[Line(2, 1)] = "no answer in time"
    tally.ask(line, 0.0)
    assert not tally.is_settled
    tally.acknowledge(line, 1, 0.0)
    assert not tally.is_settled
    for ledger in tally.ledgers:
        show(tally, ledger, line, 1)
        assert not tally.is_settled
    for ledger in tally.ledgers:
        assert not tally.is_settled
        ledger.barrier(tally.answers, 1)
    assert tally.is_settled


def test_a_line_stored_twice_is_told() -> None:
    tally = books()
    show(tally, tally.ledgers[0], Line(2, 1), 5)
    assert (judged(tally).ok, judged(tally).doubled) == (False, 1)


def test_lines_shown_in_another_order_are_told() -> None:
    tally = Tally("0", 2, 1)
    tally.senders = {1}
    for seq, line in enumerate(tally.texts, 1):
        tally.ask(line, 0.0)
        tally.acknowledge(line, seq, 0.0)
    for line, seq in ((Line(2, 1), 2), (Line(1, 1), 1)):
        show(tally, tally.ledgers[0], line, seq)
    for line, seq in ((Line(2, 1), 1), (Line(1, 1), 2)):
        show(tally, tally.ledgers[1], line, seq)
    report = judged(tally)
    assert report.out_of_order == 1
    assert any("out of order at session 1" in fault for fault in report.faults)
    assert any("another number at session 2" in fault for fault in report.faults)


def test_a_line_is_late_not_missed_when_the_client_knew_of_its_number() -> None:
    """It was told `behind`, or has a new connection, and reads it from the history."""
    ledger = Ledger(1)
    ledger.barrier([(Line(1, 1), 7)], 7)
    assert (ledger.late, ledger.missed) == ({Line(1, 1)}, set())
    ledger.barrier([(Line(1, 2), 8)], 7)
    assert ledger.missed == {Line(1, 2)}


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda found: found[1:], "lacks line 1 of 1"),
        (lambda found: [*found[:2], *found[3:]], "has a hole"),
        (lambda found: [*found, _moved(found[0], 5)], "has twice line 1 of 1"),
        (lambda found: [_moved(found[1], 1), _moved(found[0], 2), *found[2:]], "other numbers"),
    ],
)
def test_a_history_that_is_not_what_was_shown_is_told(change: Any, fault: str) -> None:
    tally = books()
    tally.compare_history(change(log(tally)))
    assert not judged(tally).ok
    assert any(fault in one for one in judged(tally).faults), judged(tally).faults


def _moved(message: Message, seq: int) -> Message:
    return Message(message.room, seq, message.sender, message.name, message.text, 0)


def test_very_many_faults_are_told_in_a_short_line() -> None:
    tally = Tally("0", 32, 10)
    for seq, line in enumerate(tally.texts, 1):
        tally.ask(line, 0.0)
        tally.acknowledge(line, seq, 0.0)
    report = judged(tally)
    assert len(report.faults) == 32
    assert "and 29 more faults" in report.line()
    assert len(report.line()) < 600


def test_percentiles_are_by_nearest_rank() -> None:
    assert Times.of(number / 1000 for number in range(1, 101)) == Times(50, 99, 100)
    assert Times.of([0.003, 0.001, 0.004, 0.002]) == Times(2, 4, 4)
    assert Times.of([]) == Times(0, 0, 0)


@given(st.lists(st.floats(0, 100), min_size=1))
def test_percentiles_are_times_that_were_measured(seconds: list[float]) -> None:
    times = Times.of(seconds)
    assert times.p50 <= times.p99 <= times.max
    measured = {round(1000 * one, 1) for one in seconds}
    assert {times.p50, times.p99, times.max} <= measured
    assert sum(1000 * one <= times.p50 + 0.1 for one in seconds) * 2 >= len(seconds)
