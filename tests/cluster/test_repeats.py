"""“Exactly once. A retried message is stored and shown once.”"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets

import pytest

from hubbub import settings, wire
from hubbub.bus import Bus, broker_addresses
from hubbub.frames import Hello, Join, Ok, Roster, Say, Welcome
from tests.fixtures import ClusterFactory
from tests.native import AnsweredError, ClosedError, RawClient
from tests.support import Cluster, clean_environment, eventually, slack


async def test_a_message_said_again_on_another_gateway_has_the_same_number(
    cluster: Cluster,
) -> None:
    """“The same `id` sent through two gateways at once, 1,000 times: stored once each”

    A session is on one gateway at a time, so the second `say` follows a `resume` that does not
    wait for the first one's answer: the owner decides which of the two it takes first.
    """
    people, times = 10, 100

    async def move_and_repeat(number: int) -> dict[str, int]:
        client = await RawClient.open(cluster.address(number % 2), f"p{number}")
        await client.join("lobby")
        numbers: dict[str, int] = {}
        for turn in range(times):
            text, ident = f"p{number} {turn}", os.urandom(16)
            first = client.send("say", room="lobby", text=text, id=ident)
            following = await client.resume(cluster.address((number + turn + 1) % 2))
            numbers[text] = await following.say("lobby", text, ident)
            try:
                async with asyncio.timeout(slack(5)):
                    answer = await first
            except ClosedError:
                answer = {"t": "closed"}
            if answer["t"] == "ok":
                assert answer["seq"] == numbers[text]
            else:
                assert answer.get("code", "replaced") in ("replaced", "unknown"), answer
            client.abort()
            client = following
        client.abort()
        return numbers

    numbers: dict[str, int] = {}
    for found in await asyncio.gather(*(move_and_repeat(number) for number in range(people))):
        numbers |= found
    reader = await RawClient.open(cluster.address(0), visible=False)
    log = {event["text"]: event["seq"] for event in await reader.log("lobby")}
    assert log == numbers
    assert len(await reader.log("lobby")) == people * times
    reader.abort()


class FakeGateway:
    """Speaks to the owner as a gateway would; keeps the answers by ask number."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.id = f"{name}.{secrets.token_hex(3)}"
        chosen = settings.from_environment(clean_environment(**cluster.settings))
        inbox = wire.gateway_topic(self.id)
        log = logging.getLogger(self.id)
        self.bus = Bus(
            broker_addresses(chosen), identity=self.id, inbox=inbox, settings=chosen, log=log
        )
        self.bus.subscribe(inbox, self._answered)
        self.answers: dict[int, wire.Answer] = {}
        self.term = 0
        self._number = 0
        self._no = 0

    def _answered(self, kind: int, data: bytes, offset: int) -> None:
        if kind != wire.MESSAGE[0]:
            return
        match wire.decode_to_gateway(data[offset:]):
            case wire.Answers() as answers:
                self.answers.update({answer.no: answer for answer in answers.answers})
            case wire.Synced() as synced:
                self.term = synced.term

    def publish(self, frame: wire.ToOwner) -> None:
        payload = wire.encoder.encode(frame)
        self.bus.publish(wire.shard_topic(0), wire.MESSAGE, payload, everywhere=True)

    async def start(self) -> None:
        await self.bus.start()
        await self.bus.ready(slack(5))

        def synced() -> int:
            self.publish(wire.Sync(self.id, 0, 1))
            return self.term

        await eventually(synced, 10)

    def ask(self, session: int, generation: int, *frames: wire.OwnerFrame) -> list[int]:
        """One batch with these requests; their numbers."""
        self._number += 1
        asks = []
        for frame in frames:
            self._no += 1
            asks.append(wire.Ask(self._no, session, generation, frame, "127.0.0.1", True))
        self.publish(wire.Batch(self.id, self.term, self._number, 1, False, asks))
        return [ask.no for ask in asks]

    async def answer(self, no: int) -> wire.Answer:
        await eventually(lambda: no in self.answers, 5, what=f"the answer to {no}")
        return self.answers[no]


async def test_the_same_id_from_two_gateways_at_once_is_stored_once_and_answered_alike(
    make_cluster: ClusterFactory,
) -> None:
    """“The same `id` sent through two gateways at once, 1,000 times: stored once each, both
    answered with the same number.”"""
    cluster = await make_cluster(gateways=1)
    one, other = FakeGateway(cluster, "one"), FakeGateway(cluster, "other")
    await one.start()
    await other.start()
    (hello,) = one.ask(0, 0, Hello(0, os.urandom(16), "twice"))
    opened = await one.answer(hello)
    assert isinstance(opened.reply, Welcome)
    (join,) = one.ask(opened.session, opened.generation, Join(0, os.urandom(16), "lobby"))
    assert isinstance((await one.answer(join)).reply, Roster)
    for turn in range(100):
        says = [Say(0, os.urandom(16), "lobby", f"{turn} {line}") for line in range(10)]
        first = one.ask(opened.session, opened.generation, *says)
        second = other.ask(opened.session, opened.generation, *says)
        for line, (here, there) in enumerate(zip(first, second, strict=True)):
            replies = (await one.answer(here)).reply, (await other.answer(there)).reply
            assert replies[0] == replies[1]
            assert isinstance(replies[0], Ok)
            assert replies[0].seq == turn * 10 + line + 1
    one.bus.close()
    other.bus.close()
    reader = await RawClient.open(cluster.address(0), visible=False)
    texts = [event["text"] for event in await reader.log("lobby")]
    assert texts == [f"{turn} {line}" for turn in range(100) for line in range(10)]
    reader.abort()


async def test_the_same_id_with_another_text_is_a_conflict(cluster: Cluster) -> None:
    """“The same id with another body is `conflict`.”"""
    client = await RawClient.open(cluster.address(0), "p")
    await client.join("lobby")
    ident = os.urandom(16)
    assert await client.say("lobby", "hello", ident) == 1
    with pytest.raises(AnsweredError) as refused:
        await client.say("lobby", "goodbye", ident)
    assert refused.value.code == "conflict"
    assert await client.say("lobby", "hello", ident) == 1
    client.abort()
