"""How much one connection may ask: the gateway refuses before the owner is asked."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import cast

import pytest

from gateway.connection import Connection, Owner
from gateway.keeper import SLICES, Keeper
from hubbub import frames
from hubbub.limits import Buckets, Kind, Limits
from hubbub.settings import Settings
from tests.native import AnsweredError
from tests.support import slack
from tests.unit.gateway.stage import login, staged


async def test_whoever_asks_too_much_is_told_how_long_to_wait_and_nobody_else_is() -> None:
    """“Token buckets per connection by kind of frame; refusal says how long to wait.”"""
    async with staged(say_rate=0.01, say_burst=3) as stage:
        phone, laptop = await login(stage, "Ann"), await login(stage, "Ann")
        await phone.join("lobby")
        said = [phone.send("say", room="lobby", text=str(n), id=os.urandom(16)) for n in range(5)]
        answers = [await answer for answer in said]
        assert [answer["t"] for answer in answers] == ["ok"] * 3 + ["error"] * 2
        assert answers[4]["code"] == "limit"
        assert 90 < answers[4]["retry_after"] <= 100
        assert answers[4]["text"].startswith("too many messages")
        assert len(stage.owner.asks(frames.Say)) == 3
        await phone.ask("history", room="lobby")  # another kind
        assert await laptop.say("lobby", "another connection") == 4


async def test_a_greeting_and_a_goodbye_are_never_refused() -> None:
    async with staged(say_burst=1, change_rate=0.01, change_burst=1, read_burst=1) as stage:
        (rita,) = await stage.people("Rita")
        with pytest.raises(AnsweredError) as refused:
            await rita.join("den")
        assert refused.value.code == "limit"
        for _ in range(20):
            await rita.ping()
        await rita.close()


async def test_a_flood_is_answered_to_the_last_and_the_others_are_served_meanwhile() -> None:
    """“No one can hurt the others.” Each of thousands of refused frames has its answer."""
    async with staged(say_rate=0.01, say_burst=1) as stage:
        flood, rita = await stage.people("Flood", "Rita")
        said = [
            flood.send("say", room="lobby", text="spam", id=os.urandom(16)) for _ in range(20_000)
        ]
        await rita.ping()
        async with asyncio.timeout(slack(10)):  # it is held back from turn to turn, no longer
            answers = [await answer for answer in said]
        assert [answer["t"] for answer in answers] == ["ok"] + ["error"] * 19_999
        await flood.ping()
        assert await rita.say("lobby", "still here") == 2


class Hub:
    """As much of the hub as a connection that does nothing needs."""

    clock = 0.0


async def test_who_idles_keeps_no_buckets_once_they_are_full_again() -> None:
    """“Memory per idle connection”: a join long ago leaves nothing behind."""
    settings = Settings(change_rate=0.1)
    keeper = Keeper(settings, lambda: None, logging.getLogger("test"))
    connection = Connection(cast(Owner, Hub()), 1, "127.0.0.1", 0.0)
    connection.transport = asyncio.Transport()
    keeper.opened(connection)
    keeper.welcomed(connection)
    buckets = connection.buckets = Buckets()
    buckets.take(Kind.CHANGE, Limits.of(settings), 0.0)
    for second in range(1, SLICES + 1):
        keeper.second(second)
    assert connection.buckets is buckets
    for second in range(10, 10 + SLICES):
        keeper.second(second)
    assert connection.buckets is None
