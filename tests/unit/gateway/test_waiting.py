"""Answers wait for their position, once each, and no longer than their owner."""

from __future__ import annotations

from hypothesis import given, strategies as st

from gateway.waiting import Waiting
from hubbub.errors import Code
from hubbub.frames import Error, Pong
from hubbub.wire import Answer, Fetched

numbers = st.integers(1, 30)
steps = st.lists(st.tuples(st.lists(numbers, max_size=5), st.integers(0, 9), st.booleans()))


def answer(no: int) -> Answer:
    """An answer; every third brings a stretch of a log."""
    return Answer(no, Fetched(1, [], 0) if no % 3 == 0 else Pong(0))


@given(steps)
def test_each_answer_is_given_once_in_order_and_not_before_its_position(
    bundles: list[tuple[list[int], int, bool]],
) -> None:
    """“Every answer waits until the stream has been delivered up to the answer's position.”"""
    waiting, delivered, open_nos = Waiting(), 0, dict[int, int]()
    for nos, position, only_logs in bundles:
        waiting.add(1, position, [answer(no) for no in nos])
        for no in nos:
            open_nos.setdefault(no, position)
        delivered = max(delivered, position - 3)
        due = [
            no
            for no, needed in open_nos.items()
            if needed <= delivered and (not only_logs or no % 3 == 0)
        ]
        taken = waiting.take(1, delivered, only_logs=only_logs)
        assert list(dict.fromkeys(given.no for given, _ in taken)) == due
        assert all(needed <= delivered for _, needed in taken)
        for no in due:
            del open_nos[no]
        assert len(waiting) == len(open_nos)


def test_what_is_repeated_meanwhile_is_kept_once() -> None:
    waiting = Waiting()
    for position in range(100):
        waiting.add(1, position, [answer(1), answer(2)])
    assert len(waiting) == 2
    assert [(one.no, at) for one, at in waiting.take(1, 0, only_logs=False)] == [(1, 0), (2, 0)]


def test_answers_of_an_owner_that_is_no_more_are_dropped() -> None:
    waiting = Waiting()
    waiting.add(1, 5, [answer(1)])
    assert waiting.take(2, 9, only_logs=False) == []
    assert len(waiting) == 0


def test_a_question_for_a_log_that_is_refused_does_not_wait_for_that_log() -> None:
    """Or the gateway would stand still until the question is given up."""
    waiting = Waiting()
    waiting.add(1, 0, [answer(1), Answer(2, Error(Code.UNAVAILABLE, "not now"))])
    taken = waiting.take(1, 0, only_logs=True, logs={2})
    assert [one.no for one, _ in taken] == [2]
    assert [one.no for one, _ in waiting.take(1, 0, only_logs=False)] == [1]
