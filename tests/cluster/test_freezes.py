"""SIGSTOP: a process that is there and does nothing."""

from __future__ import annotations

import asyncio
import time

import pytest

import hubbub
from tests.cluster.test_kills import said
from tests.fixtures import ClusterFactory
from tests.native import RawClient
from tests.support import eventually, passing, slack
from tests.swarm import Swarm


@pytest.mark.parametrize("longer", [0, pytest.param(20, marks=pytest.mark.long)])
async def test_with_a_frozen_gateway_the_others_serve_on_and_newcomers_are_served(
    make_cluster: ClusterFactory, longer: float
) -> None:
    """“the others' delivery goes on …, new clients are served within 5 s (the kernel keeps handing
    it connections: the client dials again), its people are gone within the lease …; after SIGCONT
    nothing is wrong”"""
    cluster = await make_cluster(gateways=3, one_port=True)
    server = cluster.server(0)
    async with Swarm([server], 12) as swarm:
        silent = [await RawClient.open(cluster.address(0), f"silent{n}") for n in range(12)]
        for client in silent:
            await client.join("lobby")
        swarm.talk(rate=40)
        await said(swarm, 40)
        frozen = cluster.gateways[2]
        there = {c.welcome["name"] for c in silent if c.welcome["gateway"].startswith("gateway-3")}
        frozen.freeze()
        since = time.monotonic()

        async def newcomer() -> float:
            before = time.monotonic()
            async with hubbub.connect(server, visible=False):
                return time.monotonic() - before

        served = sorted(await asyncio.gather(*(newcomer() for _ in range(20))))
        # Eight dials fit into five seconds, and each has one chance in three to be handed to the
        # frozen one: of 20 people 0.003 wait longer. Two would be a fault of ours.
        assert served[-2] < slack(5)
        async with hubbub.connect(server, visible=False) as watcher:

            async def gone() -> bool:
                here = {peer.name for peer in await watcher.peers() if peer.state == "here"}
                return not here & there

            await eventually(gone, 12 - (time.monotonic() - since))
        await passing(longer)
        frozen.thaw()
        await said(swarm, 80)
        await swarm.finish()
        assert await swarm.faults() == []
        lines = swarm.talkers[0].lines
        for client in silent:
            if not client.is_closed:
                await client.ping()
                assert [(m["seq"], m["text"]) for m in client.messages()] == lines
            client.abort()


async def test_with_a_frozen_worker_the_standby_serves_and_the_thawed_one_does_no_harm(
    make_cluster: ClusterFactory,
) -> None:
    """“with a frozen worker the standby serves within 8 s; … after SIGCONT nothing is wrong”"""
    cluster = await make_cluster(gateways=2, workers=2)
    async with Swarm([cluster.server(0), cluster.server(1)], 10) as swarm:
        swarm.talk(rate=40)
        await said(swarm, 40)
        active = cluster.active_worker
        active.freeze()
        since = time.monotonic()
        async with hubbub.connect(cluster.server(0), visible=False) as client:
            await client.join("other")
            await client.say("other", "served")
        assert time.monotonic() - since < slack(8)
        if active.alive:
            active.thaw()
        await said(swarm, 80)
        await swarm.finish()
        assert await swarm.faults() == []


async def test_with_a_frozen_broker_nothing_waits_longer_than_two_seconds(
    make_cluster: ClusterFactory,
) -> None:
    """“with a frozen broker nothing waits longer than 2 s; after SIGCONT nothing is wrong”"""
    cluster = await make_cluster(gateways=2)
    async with Swarm([cluster.server(0), cluster.server(1)], 10) as swarm:
        swarm.talk(rate=40)
        await said(swarm, 40)
        for broker in cluster.brokers:
            broker.freeze()
            await said(swarm, 120)
            broker.thaw()
            await said(swarm, 120)
        await swarm.finish()
        assert swarm.slowest < slack(2)
        assert await swarm.faults() == []
