"""The numbered batches of a gateway, whatever the bus does to them."""

from __future__ import annotations

import random

from hypothesis import given, settings, strategies as st

from hubbub.frames import Ok, Ping, Pong
from hubbub.wire import Answer, Ask, Batch
from worker.inbox import MOST_HELD, Inbox


def batch(number: int, *nos: int, first: int = 1, repeat: bool = False) -> Batch:
    """A batch with asks of these numbers."""
    return Batch("g", 1, number, first, repeat, [Ask(no, 1, 1, Ping(0)) for no in nos])


def nos(inbox: Inbox, *batches: Batch, now: float = 0.0) -> list[int]:
    """The asks that are to be decided."""
    return [task.ask.no for each in batches for task in inbox.receive(each, 100, now).tasks]


def test_batches_are_taken_in_the_order_of_their_numbers() -> None:
    """“The owner takes batches in the order of their numbers.”"""
    inbox = Inbox("g")
    assert nos(inbox, batch(1, 1)) == [1]
    assert nos(inbox, batch(3, 3), batch(4, 4)) == []
    assert nos(inbox, batch(2, 2)) == [2, 3, 4]
    assert inbox.taken == 4


def test_what_is_missing_is_asked_for() -> None:
    """“What is missing it asks for.”"""
    inbox = Inbox("g")
    inbox.receive(batch(1, 1), 100, 0.0)
    assert inbox.receive(batch(4, 4), 100, 1.0).missing == (2, 3)
    assert inbox.receive(batch(5, 5), 100, 1.01).missing is None  # not at every batch
    assert inbox.receive(batch(3, 3), 100, 2.0).missing == (2, 2)


def test_a_repeated_batch_has_its_answers_again_and_is_not_taken_twice() -> None:
    """“From a cache for requests that change something, by reading anew for the rest.”"""
    inbox = Inbox("g")
    nos(inbox, batch(1, 1, 2, 3))
    kept = Answer(1, Ok(0, "lobby", 5))
    inbox.answered(1, kept, kept=True)
    inbox.answered(2, Answer(2, Pong(0)), kept=False)
    received = inbox.receive(batch(1, 1, 2, 3, repeat=True), 100, 0.0)
    assert received.again == [(1, kept)]
    assert [(task.ask.no, task.again, task.everywhere) for task in received.tasks] == [
        (2, True, True)  # read anew; 3 has no answer yet and is not begun twice
    ]


def test_of_what_is_repeated_it_is_not_known_which_answers_came_before_it() -> None:
    """`first` of a repeated batch is of now: what it asks may be older than those answers."""
    inbox = Inbox("g")
    (made,) = inbox.receive(batch(3, 3, first=3), 100, 0.0).tasks
    (repeated,) = inbox.receive(batch(4, 4, first=4, repeat=True), 100, 0.0).tasks
    inbox.answered(4, Answer(4, Pong(0)), kept=False)
    (again,) = inbox.receive(batch(4, 4, first=4), 100, 0.0).tasks
    assert (made.first, repeated.first, again.first) == (3, 0, 0)


def test_what_the_gateway_waits_for_no_more_is_skipped_and_forgotten() -> None:
    """“`first` in each later batch names the lowest number that still counts.”"""
    inbox = Inbox("g")
    nos(inbox, batch(1, 1))
    inbox.answered(1, Answer(1, Ok(0)), kept=True)
    assert inbox.keeps(1)
    assert nos(inbox, batch(3, 3)) == []
    assert nos(inbox, batch(4, 4, first=3)) == [3, 4]  # 2 was given up
    assert not inbox.keeps(1)
    assert nos(inbox, batch(2, 2, first=2)) == []  # too late: nobody waits for it


def test_an_owner_that_forgot_the_gateway_goes_on_where_it_waits() -> None:
    """Batches below `first` are done with, whoever took them."""
    inbox = Inbox("g")
    assert inbox.receive(batch(9, 9, first=8), 100, 0.0).missing == (8, 8)
    assert nos(inbox, batch(8, 8, first=8)) == [8, 9]


def test_what_is_held_is_bounded() -> None:
    """“No queue anywhere is unbounded.”"""
    inbox = Inbox("g")
    for number in range(2, 2 * MOST_HELD):
        assert nos(inbox, batch(number, number)) == []
    assert nos(inbox, batch(1, 1)) == list(range(1, MOST_HELD + 2))
    assert nos(inbox, batch(MOST_HELD + 2, MOST_HELD + 2)) == [MOST_HELD + 2]


@settings(max_examples=200)
@given(st.integers(0, 2**32), st.integers(1, 20), st.floats(0, 0.7))
def test_whatever_the_bus_loses_doubles_and_swaps_asks_are_decided_once_and_in_order(
    seed: int, many: int, loss: float
) -> None:
    """“What one connection says is numbered in the order it was said.”"""
    chance = random.Random(seed)
    inbox = Inbox("g")
    asked = {number: [2 * number, 2 * number + 1] for number in range(1, many + 1)}
    done: list[int] = []
    waiting = dict(asked)
    for _ in range(2000):
        if not waiting:
            break
        first = min(waiting)
        sent = [
            batch(number, *waiting[number], first=first, repeat=True)
            for number in waiting
            if chance.random() >= loss
        ]
        sent += chance.choices(sent, k=2) if sent else []
        chance.shuffle(sent)
        for each in sent:
            received = inbox.receive(each, 100, 0.0)
            answers = list(received.again)
            for task in received.tasks:
                done.append(task.ask.no)
                answer = Answer(task.ask.no, Ok(0))
                inbox.answered(task.ask.no, answer, kept=True)
                answers.append((task.ask.no, answer))
            for no, _ in answers:
                if chance.random() >= loss:  # else the answer is lost, and the batch comes again
                    left = [other for other in waiting.get(no // 2, []) if other != no]
                    if left:
                        waiting[no // 2] = left
                    else:
                        waiting.pop(no // 2, None)
    assert not waiting
    assert done == [no for number in asked for no in asked[number]]
