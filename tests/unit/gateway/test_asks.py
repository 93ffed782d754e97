"""What a gateway asks, over a bus that loses, doubles and reorders."""

from __future__ import annotations

import random

from hypothesis import given, settings, strategies as st

from gateway.asks import Asks
from hubbub import frames
from hubbub.wire import BATCH_BYTES, Batch

PING = frames.Ping(0)


class Owner:
    """Takes the batches of one gateway as the contract says."""

    def __init__(self) -> None:
        self.taken = 0
        self.early: dict[int, Batch] = {}
        self.done: list[int] = []

    def take(self, batch: Batch) -> tuple[list[int], tuple[int, int] | None]:
        """The asks that are answered now, and the stretch that is missing."""
        self.taken = max(self.taken, batch.first - 1)
        answered: list[int] = []
        if batch.number <= self.taken:
            answered += [ask.no for ask in batch.asks if ask.no in self.done]
        else:
            self.early[batch.number] = batch
        while (ready := self.early.pop(self.taken + 1, None)) is not None:
            self.taken += 1
            self.done += [ask.no for ask in ready.asks]
            answered += [ask.no for ask in ready.asks]
        if self.early and min(self.early) > self.taken + 1:
            return answered, (self.taken + 1, min(self.early) - 1)
        return answered, None


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.floats(0, 0.7))
def test_everything_is_done_once_and_in_order_over_a_bus_that_loses(seed: int, loss: float) -> None:
    """“What one connection says is numbered in the order it was said.”"""
    chance = random.Random(seed)
    asks: Asks[int] = Asks("g", within=1e9)
    asks.begin(1, 0.0)
    owner, wire, answers, now, asked = Owner(), list[Batch](), list[int](), 0.0, 0
    while asked < 60 or len(asks):
        now += 0.05
        for _ in range(chance.randint(0, 3) if asked < 60 else 0):
            asked += 1
            asks.add(PING, asked, now)
        wire += asks.flush(now) + asks.due(now)
        chance.shuffle(wire)
        while wire:
            batch = wire.pop()
            if chance.random() < loss:
                continue
            answered, missing = owner.take(batch)
            answers += answered * chance.randint(1, 2)
            if missing and chance.random() > loss:
                wire += asks.missing(*missing)
        for no in answers:
            if chance.random() > loss:
                asks.answered(no)
        answers.clear()
        assert now < 1e4, "it never ends"
    assert owner.done == list(range(1, asked + 1))


@given(st.lists(st.booleans(), max_size=40), st.integers(1, 6))
def test_a_new_term_is_sent_all_that_is_open_in_order(answered: list[bool], at_once: int) -> None:
    """“All its unanswered requests go out again, in order, as batches 1, 2, 3 ...”"""
    asks: Asks[int] = Asks("g", within=1e9)
    asks.begin(1, 0.0)
    for number, _ in enumerate(answered, 1):
        asks.add(PING, number, 0.0)
        if number % at_once == 0:
            asks.flush(0.0)
    for number, is_answered in enumerate(answered, 1):
        if is_answered:
            asks.answered(number)
    asks.suspend()
    assert asks.flush(1.0) == [] == asks.due(9.0) == asks.missing(1, 9)
    asks.begin(2, 1.0)
    batches = asks.flush(1.0)
    expected = [number for number, is_answered in enumerate(answered, 1) if not is_answered]
    assert [ask.no for batch in batches for ask in batch.asks] == expected
    assert [(batch.term, batch.number) for batch in batches] == [(2, 1)][: len(batches)]


def test_the_same_term_goes_on_with_its_numbers() -> None:
    asks: Asks[int] = Asks("g", within=1e9)
    asks.begin(4, 0.0)
    asks.add(PING, 1, 0.0)
    assert asks.flush(0.0)[0].number == 1
    asks.suspend()
    asks.begin(4, 1.0)
    asks.add(PING, 2, 1.0)
    (batch,) = asks.flush(1.0)
    assert (batch.number, batch.first) == (2, 1)
    assert [batch.number for batch in asks.due(1.3)] == [1, 2]


def test_what_is_given_up_no_longer_counts() -> None:
    """“`first` in each later batch names the lowest number that still counts.”"""
    asks: Asks[str] = Asks("g", within=20)
    asks.begin(1, 0.0)
    asks.add(PING, "old", 0.0)
    asks.flush(0.0)
    asks.add(PING, "young", 15.0)
    asks.flush(15.0)
    assert asks.expire(19.0) == []
    assert asks.expire(20.0) == ["old"]
    assert [batch.number for batch in asks.missing(1, 1)] == [2]
    assert asks.missing(1, 1)[0].first == 2


def test_a_batch_is_repeated_after_a_fifth_of_a_second_then_less_and_less_often() -> None:
    asks: Asks[int] = Asks("g", within=1e9)
    asks.begin(1, 0.0)
    asks.add(PING, 1, 0.0)
    asks.flush(0.0)
    times = [round(tick / 100, 1) for tick in range(400) if asks.due(tick / 100)]
    assert times == [0.2, 0.6, 1.4, 2.4, 3.4]
    assert [batch.repeat for batch in asks.due(9.0)] == [True]


def test_a_batch_is_no_larger_than_one_bus_message_should_be() -> None:
    asks: Asks[int] = Asks("g", within=1e9)
    asks.begin(1, 0.0)
    for number in range(100):
        asks.add(PING, number, 0.0, size=4000)
    batches = asks.flush(0.0)
    assert max(len(batch.asks) for batch in batches) <= BATCH_BYTES // 4000
    assert sum(len(batch.asks) for batch in batches) == 100
