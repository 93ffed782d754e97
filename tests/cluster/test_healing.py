"""What the bus loses is made good."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack

import pytest_asyncio

from tests import lossy
from tests.exact import faults
from tests.fixtures import ClusterFactory
from tests.native import RawClient
from tests.support import Cluster, passing, slack
from tests.swarm import Swarm


class LossyCluster:
    """Two gateways and a worker whose only brokers are two that lose what they are told to."""

    def __init__(self, cluster: Cluster, brokers: list[lossy.LossyBroker]) -> None:
        self.cluster = cluster
        self.brokers = brokers

    def lose(self, *loses: lossy.Loses) -> None:
        """What each broker is to lose from now on."""
        for broker, each in zip(self.brokers, loses, strict=True):
            broker.loses = each

    @property
    def lost(self) -> int:
        """How many messages were lost so far."""
        return sum(broker.lost for broker in self.brokers)


@pytest_asyncio.fixture
async def lossy_cluster(make_cluster: ClusterFactory) -> AsyncIterator[LossyCluster]:
    with ExitStack() as stack:
        brokers = [stack.enter_context(lossy.LossyBroker().running()) for _ in range(2)]
        bus = ",".join(broker.address for broker in brokers)
        cluster = await make_cluster(gateways=2, brokers=0, bus=bus)
        yield LossyCluster(cluster, brokers)
        await cluster.stop()


async def test_the_last_message_of_a_burst_is_healed_without_further_traffic(
    lossy_cluster: LossyCluster,
) -> None:
    """“The last message of a burst lost on the bus is healed within 2 s without further traffic”"""
    a = await RawClient.open(lossy_cluster.cluster.address(0), "a")
    b = await RawClient.open(lossy_cluster.cluster.address(1), "b")
    await a.join("lobby")
    await b.join("lobby")
    for burst in range(5):
        for line in range(20):
            await a.say("lobby", f"{burst} {line}")
        await b.ping()
        lost = lossy_cluster.lost
        lossy_cluster.lose(lossy.events_once(), lossy.events_once())
        await a.say("lobby", f"{burst} last")
        await b.until_text(f"{burst} last", within=2)
        assert lossy_cluster.lost == lost + 1
        lossy_cluster.lose(lossy.nothing, lossy.nothing)
    assert [m["seq"] for m in b.messages()] == list(range(1, 106))
    a.abort()
    b.abort()


async def test_a_pong_waits_for_what_the_bus_has_lost(lossy_cluster: LossyCluster) -> None:
    """“"A reply is a barrier": … B's message came before B's pong”, also when it was lost first"""
    a = await RawClient.open(lossy_cluster.cluster.address(0), "a")
    b = await RawClient.open(lossy_cluster.cluster.address(1), "b")
    await a.join("lobby")
    await b.join("lobby")
    for number in range(15):
        lossy_cluster.lose(lossy.events_once(), lossy.events_once())
        seq = await a.say("lobby", f"line {number}")
        pong = await b.ask("ping")
        assert [f["seq"] for f in b.seen[: pong["seen_before"]] if "seq" in f][-1] == seq
    assert lossy_cluster.lost >= 15
    a.abort()
    b.abort()


async def test_who_came_and_went_is_shown_once_though_the_bus_lost_it(
    lossy_cluster: LossyCluster,
) -> None:
    """“its changes travel on the stream, so they are exact”: presence has no number in any log"""
    watcher = await RawClient.open(lossy_cluster.cluster.address(1), "watcher")
    await watcher.join("lobby")
    for turn in range(10):
        lossy_cluster.lose(lossy.events_once(), lossy.events_once())
        guest = await RawClient.open(lossy_cluster.cluster.address(0), "guest")
        await guest.join("lobby")
        await guest.say("lobby", f"line {turn}")  # makes the gap plain
        await watcher.until_text(f"line {turn}")
        assert watcher.presences("guest") == ["entered", "left"] * turn + ["entered"]
        lossy_cluster.lose(lossy.events_once(), lossy.events_once())
        await guest.close()
        await watcher.ping()
        assert watcher.presences("guest") == ["entered", "left"] * (turn + 1)
    watcher.abort()


async def test_pipelined_lines_are_numbered_as_said_while_frames_are_lost_at_random(
    lossy_cluster: LossyCluster,
) -> None:
    """“One client pipelines 1,000 numbered lines while bus frames are dropped at random: they are
    numbered in the order they were said.”"""
    a = await RawClient.open(lossy_cluster.cluster.address(0), "a")
    b = await RawClient.open(lossy_cluster.cluster.address(1), "b")
    await a.join("lobby")
    await b.join("lobby")
    lossy_cluster.lose(*(lossy.at_random(0.15, seed) for seed in (1, 2)))
    answers = []
    for line in range(1000):
        answers.append(a.send("say", id=os.urandom(16), room="lobby", text=f"line {line}"))
        if line % 10 == 9:  # ten a batch, or all would travel in a handful of bus frames
            async with asyncio.timeout(slack(20)):
                await answers[max(line - 20, 0)]
    async with asyncio.timeout(slack(60)):
        numbers = [answer["seq"] for answer in await asyncio.gather(*answers)]
    lossy_cluster.lose(lossy.nothing, lossy.nothing)
    assert lossy_cluster.lost > 20
    assert numbers == list(range(1, 1001))
    await b.ping()
    shown = {
        name: [(m["seq"], m["text"]) for m in c.messages()] for name, c in (("a", a), ("b", b))
    }
    log = [(e["seq"], e["text"]) for e in await b.log("lobby")]
    assert faults({f"line {n}": n + 1 for n in range(1000)}, shown, log) == []
    a.abort()
    b.abort()


async def test_everything_arrives_within_five_seconds_after_both_brokers_were_away(
    make_cluster: ClusterFactory,
) -> None:
    """“both brokers away for 10 s: everything arrives within 5 s of their return”"""
    cluster = await make_cluster(gateways=2)
    async with Swarm([cluster.server(0), cluster.server(1)], 10) as swarm:
        swarm.talk(rate=20)
        for broker in cluster.brokers:
            broker.kill()
        await passing(10)
        await asyncio.gather(*(cluster.restart(broker) for broker in cluster.brokers))
        back = time.monotonic()
        await swarm.finish(within=5)
        assert time.monotonic() - back < slack(5)
        assert await swarm.faults() == []
