"""Positions in order, whatever the bus does to them."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings, strategies as st

from gateway.stream import HELD_BYTES, RECENT_SECONDS, Stream
from hubbub.errors import RemoteProtocolError
from hubbub.wire import Item, Kind, pack_stream


def batch(position: int, term: int = 1, items: int = 1, body: bytes = b"x") -> bytes:
    """One batch whose items tell its position."""
    made = [Item(Kind.MESSAGE, 5, position, 9, body)] * items
    return pack_stream(term, position, 7, made)


def begun(position: int) -> Stream:
    """A stream in step, of term 1."""
    stream = Stream()
    stream.see_term(1)
    stream.begin(position)
    return stream


@settings(max_examples=100)
@given(st.integers(0, 2**32), st.floats(0, 0.8), st.integers(0, 30))
def test_every_position_comes_once_and_in_order_over_a_bus_that_loses(
    seed: int, loss: float, begin: int
) -> None:
    """“The next one: deliver. An old one: drop. A gap: hold, ask.”"""
    stream, end, now = begun(begin), 60, 0.0
    came: list[int] = []
    chance = random.Random(seed)
    wire = list(range(1, end + 1)) * 2
    wire.sort(key=lambda position: position + chance.random() * 9)
    while stream.position < end:
        now += 0.1
        for position in [*wire, *([end] if chance.random() < 0.5 else [])]:
            if chance.random() >= loss:
                data = batch(position, items=position != end or chance.randint(0, 1))
                came += [one.position for one in stream.offer(b"all/S" + data, 5)]
        missing = stream.refill(now)
        wire = list(range(missing[0], missing[1] + 1)) if missing else []
        if not missing and stream.gap() is None:
            wire = list(range(1, end + 1))
        assert now < 1e4, "it never ends"
    assert came == list(range(begin + 1, end + 1))


def test_before_it_has_begun_all_is_held_and_then_given() -> None:
    stream = Stream()
    for position in (4, 6, 5, 3):
        assert stream.offer(batch(position), 0) == []
    assert [one.position for one in stream.begin(4)] == [5, 6]


def test_a_higher_term_puts_it_out_of_step_and_a_lower_one_is_dropped() -> None:
    stream = Stream()
    stream.offer(batch(1, term=2), 0)
    stream.begin(0)
    assert stream.offer(batch(2, term=1), 0) == []
    assert (stream.in_step, stream.gap()) == (True, None)
    assert stream.offer(batch(1, term=3), 0) == []
    assert (stream.in_step, stream.gap()) == (False, None)
    assert [one.term for one in stream.begin(0)] == [3]


def test_what_was_held_of_an_older_term_is_forgotten() -> None:
    stream = begun(0)
    stream.offer(batch(2), 0)
    stream.see_term(2)
    assert stream.begin(1) == []


def test_what_an_older_term_spoke_of_is_not_missed_in_a_new_one() -> None:
    """Or it would be asked for, ten times a second, until the new owner has said as much."""
    stream = begun(0)
    stream.see_position(500)
    stream.see_term(2)
    stream.begin(3)
    assert stream.gap() is None


def test_a_batch_that_is_held_twice_counts_once() -> None:
    stream = begun(0)
    body = b"x" * (HELD_BYTES // 3)
    for _ in range(9):
        stream.offer(batch(2, body=body), 0)
    stream.offer(batch(3, body=body), 0)
    assert [one.position for one in stream.offer(batch(1), 0)] == [1, 2, 3]


def test_a_repeated_position_shows_that_a_last_batch_was_lost() -> None:
    stream = begun(3)
    stream.offer(batch(5, items=0), 0)
    assert stream.refill(0.0) is None, "it may be on its way"
    assert stream.refill(0.1) is None
    assert stream.refill(0.2) == (4, 5, False)
    stream.offer(batch(4), 0)
    assert stream.refill(0.5) is None
    assert stream.refill(0.7) == (5, 5, True)


def test_a_later_batch_shows_at_once_that_one_before_it_was_lost() -> None:
    stream = begun(3)
    stream.offer(batch(7), 0)
    assert stream.refill(0.0) == (4, 6, False)


def test_what_is_on_its_way_is_not_asked_for_with_each_arrival() -> None:
    stream = begun(0)
    stream.offer(batch(10), 0)
    asked = [stream.refill(0.0)]
    for position in range(1, 9):
        stream.offer(batch(position), 0)
        asked.append(stream.refill(0.1))
    assert asked == [(1, 9, False)] + [None] * 8
    stream.offer(batch(9), 0)
    stream.offer(batch(13), 0)
    assert stream.refill(0.1) == (11, 12, False)


def test_what_is_held_is_bounded_in_bytes_and_asked_for_again() -> None:
    stream = begun(0)
    body, count = b"x" * 60_000, 2 * HELD_BYTES // 60_000
    for position in range(2, count):
        stream.offer(batch(position, body=body), 0)
    got = stream.offer(batch(1), 0)
    assert HELD_BYTES // 2 < sum(len(one.items[0].body) for one in got) <= HELD_BYTES
    assert stream.gap() == (got[-1].position + 1, count - 1)


@given(st.integers(0, 40), st.integers(0, 40))
def test_a_replay_gives_all_of_a_room_above_a_position_or_says_that_it_cannot(
    begin: int, after: int
) -> None:
    stream = begun(begin)
    for position in range(begin + 1, 42):
        stream.offer(batch(position), 0)
    replay = stream.replay(5, after)
    if replay is None:
        assert after < begin
    else:
        assert [item.seq for item in replay] == list(range(after + 1, 42))
        assert list(stream.replay(6, after) or ()) == []


def test_what_was_delivered_long_ago_is_let_go_of_however_little_comes() -> None:
    """A crowd that has left would fill the gateway for as long as nothing else happens."""
    stream = begun(0)
    for position in range(1, 11):
        stream.offer(batch(position), 0)
    for _ in range(RECENT_SECONDS):
        stream.second()
        assert [item.seq for item in stream.replay(5, 7) or ()] == [8, 9, 10]
    stream.offer(batch(11), 0)
    stream.second()
    assert stream.replay(5, 9) is None
    assert [item.seq for item in stream.replay(5, 10) or ()] == [11]
    assert list(stream.replay(5, 11) or ()) == []
    stream.begin(3)  # of another term: its positions may be lower
    stream.offer(batch(4), 0)
    stream.second()
    assert [item.seq for item in stream.replay(5, 3) or ()] == [4]


def test_what_concerns_one_person_is_found_again_with_its_place() -> None:
    stream = begun(0)
    items = [
        Item(Kind.MESSAGE, 5, 1, 7, b"said by them"),
        Item(Kind.MEMBER_IN, 5, 3, 7, b"in"),
        Item(Kind.SESSION_OVER, 0, 2, 7, b"of a session with that number"),
        Item(Kind.ANNOUNCEMENT, 0, 0, 9, b"for all"),
        Item(Kind.MEMBER_OUT, 5, 3, 8, b"somebody else"),
        Item(Kind.SESSION_RENAMED, 0, 0, 3, b"theirs"),
        Item(Kind.PERSONAL, 0, 0, 7, b"personal"),
    ]
    for position in (1, 2):
        stream.offer(pack_stream(1, position, 7, items), 0)
    found = stream.personal(7, 3, 1)
    assert found is not None
    assert [(place, item.body) for place, item in found] == [
        ((2, 1), b"in"),
        ((2, 3), b"for all"),
        ((2, 5), b"theirs"),
        ((2, 6), b"personal"),
    ]
    assert len(stream.personal(7, 3, 0) or ()) == 8
    assert stream.personal(7, 3, 2) == []
    # What is replayed of a room is its log and presence, from any place on.
    assert [item.body for item in stream.replay(5, 0) or ()] == [b"said by them"] * 2
    assert [item.seq for item in stream.replay(5, 0, skip=1) or ()] == [1]
    stream.begin(5)
    assert stream.personal(7, 3, 4) is None


def test_a_broken_batch_that_comes_too_early_is_refused_when_it_comes() -> None:
    """Not when its turn is: then nobody expects an error."""
    stream = begun(0)
    with pytest.raises(RemoteProtocolError):
        stream.offer(batch(2)[:-1], 0)
    assert [each.position for each in stream.offer(batch(1), 0)] == [1]
