"""Who is typing: what is told of it, what is shown, and what is dropped."""

from __future__ import annotations

import contextlib
from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from gateway.typing import AGAIN_AFTER, BATCH_EVERY, BATCH_MOST, ROOM_MOST, Typing, decode
from hubbub import wire
from hubbub.errors import RemoteProtocolError
from tests.native import AnsweredError, RawClient
from tests.unit.gateway.stage import Stage, login

steps = st.lists(
    st.tuples(st.integers(1, 2), st.integers(1, 3), st.floats(0, 1.5)), min_size=1, max_size=60
)


@given(steps)
def test_one_person_is_told_of_at_most_every_three_seconds_in_one_room(
    said: list[tuple[int, int, float]],
) -> None:
    """“One bus message per 0.3 s at most, each (room, sender) at most every 3 s.”"""
    typing, now = Typing(), 100.0
    timer: float | None = None
    sent: list[tuple[float, tuple[int, int]]] = []
    batches: list[float] = []
    noted: set[tuple[int, int]] = set()

    def pass_to(now: float) -> float | None:
        if timer is None or timer > now:
            return timer
        batches.append(timer)
        sent.extend((timer, one[:2]) for one in typing.take(timer))
        return None

    for room, sender, passed in said:
        now += passed
        timer = pass_to(now)
        noted.add((room, sender))
        if typing.note((room, sender, "Ada"), now) and timer is None:
            timer = max(now, typing.due)
    pass_to(now + BATCH_EVERY)
    assert all(later - earlier > BATCH_EVERY - 1e-6 for earlier, later in pairwise(batches))
    for key in noted:
        times = [at for at, one in sent if one == key]
        assert times, "everybody is told of once"
        # What is told may have waited for its batch.
        least = AGAIN_AFTER - BATCH_EVERY - 1e-6
        assert all(later - earlier > least for earlier, later in pairwise(times))


def test_the_same_again_is_told_after_three_seconds_and_not_before() -> None:
    typing = Typing()
    ada = (1, 7, "Ada")
    assert typing.note(ada, 0.0)
    assert typing.take(0.0) == [ada]
    assert not typing.note(ada, 2.9)
    assert typing.note((2, 7, "Ada"), 2.9)
    assert typing.note(ada, 3.0)
    assert typing.take(3.0) == [(2, 7, "Ada"), ada]


def test_a_crowd_is_told_of_in_part_and_kept_in_bounded_memory() -> None:
    """“May be lost”: nobody reads a thousand names."""
    typing = Typing()
    for sender in range(20_000):
        typing.note((1, sender, "X"), 0.0)
    assert len(typing.take(0.0)) == BATCH_MOST
    assert sum(typing.is_shown((1, sender, "X"), 0.0) for sender in range(100)) == ROOM_MOST
    assert typing.is_shown((2, 1, "X"), 0.0)
    assert typing.is_shown((1, 99, "X"), 1.0)


def test_what_came_by_two_ways_is_shown_once() -> None:
    """While no broker is known to be good, it is sent through all."""
    typing = Typing()
    shown = [typing.is_shown((1, 7, "Ada"), at) for at in (0.0, 0.1, 0.9, 3.0)]
    assert shown == [True, False, False, True]


@given(st.binary(max_size=40))
def test_garbage_is_a_remote_protocol_error(garbage: bytes) -> None:
    with contextlib.suppress(RemoteProtocolError):
        decode(garbage)
    body = wire.encoder.encode(wire.TypingBatch("g", [(1, 2, "Ada")]))
    assert decode(body) == [(1, 2, "Ada")]


def typists(client: RawClient) -> list[tuple[str, str]]:
    """Who was shown to type where."""
    return [(one["room"], one["name"]) for one in client.seen if one["t"] == "typists"]


async def test_who_types_is_shown_to_the_others_in_the_room_once_and_not_to_themselves(
    stage: Stage,
) -> None:
    """“Others put `typists` to live connections of that room other than the typist's own.”"""
    phone, laptop = await login(stage, "Ann"), await login(stage, "Ann")
    (rita,) = await stage.people("Rita")
    outsider = await RawClient.open(stage.address, "Outsider")
    await phone.join("lobby")
    for _ in range(5):
        assert (await phone.ask("typing", room="lobby"))["t"] == "ok"
    await laptop.ask("typing", room="lobby")
    await rita.until(lambda: typists(rita))
    await rita.ask("typing", room="LOBBY")
    await phone.until(lambda: typists(phone))
    await laptop.until(lambda: typists(laptop))
    assert typists(rita) == [("lobby", "Ann")]
    assert typists(phone) == typists(laptop) == [("lobby", "Rita")]
    assert typists(outsider) == []
    owner = stage.owner
    batch = wire.TypingBatch("another", [(1, 99, "Zoe"), (5, 98, "Nobody's room")])
    data = wire.encoder.encode(batch)
    for _ in range(2):
        owner.bus.publish(wire.STREAM_TOPIC, wire.TYPING, data)
    owner.publish([owner.message("lobby", "end")])
    await rita.until_text("end")
    assert typists(rita) == [("lobby", "Ann"), ("lobby", "Zoe")]


async def test_only_who_is_in_a_room_types_in_it(stage: Stage) -> None:
    """“Only someone in the room may (else `not_member`).”"""
    (rita,) = await stage.people("Rita")
    ann = await login(stage, "Ann")
    for room in ("lobby", "nowhere", "@Rita"):
        with pytest.raises(AnsweredError) as refused:
            await ann.ask("typing", room=room)
        assert refused.value.code == "not_member"
    await ann.ping()
    await rita.ping()
    assert typists(rita) == []


async def test_in_a_conversation_of_two_one_types_to_a_name(stage: Stage) -> None:
    owner = stage.owner
    ann, bob = await login(stage, "Ann"), await login(stage, "Bob")
    await ann.join("@Bob")
    owner.publish([owner.member_in("@1:2", 2)])
    await bob.until(lambda: bob.seen)
    assert (await ann.ask("typing", room="@bob"))["room"] == "@1:2"
    await bob.until(lambda: typists(bob) == [("@1:2", "Ann")])


async def test_nobody_who_is_not_to_be_seen_is_seen_typing(stage: Stage) -> None:
    """“visible: False: nobody sees this session enter, leave or be there.”"""
    owner = stage.owner
    (rita,) = await stage.people("Rita")
    ghost = await login(stage, "Ghost", visible=False)
    await ghost.join("lobby")
    owner._presence(owner.rooms["lobby"], 2, "left")
    owner.rooms["lobby"].people[2] = owner.person(2)
    await ghost.ping()
    await ghost.ask("typing", room="lobby")
    await rita.ask("typing", room="lobby")
    await ghost.until(lambda: typists(ghost))
    assert typists(rita) == []
