"""SIGTERM to a gateway in the middle of a conversation: its people move on, and nobody notices."""

from __future__ import annotations

import asyncio
import time

from tests.fixtures import ClusterFactory
from tests.native import RawClient
from tests.support import slack
from tests.swarm import Swarm


async def test_people_of_a_drained_gateway_move_on_and_nothing_is_lost(
    make_cluster: ClusterFactory,
) -> None:
    """“drain on SIGTERM (`moving`, finish what is in flight, exit 0 within 10 s)”"""
    cluster = await make_cluster(gateways=2)
    servers = [cluster.server(number) for number in range(2)]
    async with Swarm(servers, 30) as swarm:
        swarm.talk(100)
        for gateway in reversed(cluster.gateways):
            began = time.monotonic()
            assert await gateway.stop() == 0
            assert time.monotonic() - began < slack(10)
            await cluster.restart(gateway)
        await swarm.finish()
        assert await swarm.faults() == []
        assert not [talker for talker in swarm.talkers if talker.restarted]
        # They may be gone for a moment; nobody was told that they left.
        assert not [each for talker in swarm.talkers for each in talker.presences if "left" in each]


async def test_a_restart_of_the_only_gateway_ends_no_session(make_cluster: ClusterFactory) -> None:
    """A clean restart must not end sessions: they are resumed where they were."""
    cluster = await make_cluster(gateways=1)
    rita, idle = [await RawClient.open(cluster.address(0), name) for name in ("Rita", "Idle")]
    await rita.join("lobby")
    await rita.say("lobby", "before")
    stopping = asyncio.create_task(cluster.gateways[0].stop())
    await rita.until(lambda: [frame for frame in rita.seen if frame["t"] == "moving"])
    assert await rita.say("lobby", "served to the end") == 2
    await rita.closed()
    await idle.closed()
    assert await stopping == 0
    await cluster.restart(cluster.gateways[0])
    again = await rita.resume(cluster.address(0), lobby=2)
    assert again.welcome["name"] == "Rita"
    assert await again.say("lobby", "after") == 3
    again.abort()
