"""Answers wait for their position, once each, and no longer than their owner."""

from __future__ import annotations

from hypothesis import given, strategies as st

from gateway.waiting import Waiting
from hubbub.frames import Pong
from hubbub.wire import Answer

numbers = st.integers(1, 30)
steps = st.lists(st.tuples(st.lists(numbers, max_size=5), st.integers(0, 9), st.booleans()))


def answer(no: int) -> Answer:
    """An answer."""
    return Answer(no, Pong(0))


def is_of_log(answer: Answer) -> bool:
    """Every third is one to a question for a log."""
    return answer.no % 3 == 0


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
        taken = waiting.take(1, delivered, only=is_of_log if only_logs else None)
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
    assert [(one.no, at) for one, at in waiting.take(1, 0)] == [(1, 0), (2, 0)]


def test_answers_of_an_owner_that_is_no_more_are_dropped() -> None:
    waiting = Waiting()
    waiting.add(1, 5, [answer(1)])
    assert waiting.take(2, 9) == []
    assert len(waiting) == 0
