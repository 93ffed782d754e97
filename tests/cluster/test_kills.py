"""kill -9 of each kind of process while 50 people say 200 lines a second."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from tests.fixtures import ClusterFactory
from tests.native import RawClient
from tests.support import Cluster, eventually, passing, slack
from tests.swarm import Swarm

PEOPLE, RATE = 50, 200


@asynccontextmanager
async def busy(cluster: Cluster) -> AsyncIterator[Swarm]:
    """50 people over all gateways who talk; at the end all of it must have been exact."""
    servers = [cluster.server(number) for number in range(len(cluster.gateways))]
    async with Swarm(servers, PEOPLE) as swarm:
        swarm.talk(RATE)
        await said(swarm, RATE)
        yield swarm
        await said(swarm, RATE)
        await swarm.finish()
        assert await swarm.faults() == []
        assert [t.client.name for t in swarm.talkers if t.restarted] == []


async def said(swarm: Swarm, lines: int) -> None:
    """Wait until so many more lines were acknowledged."""

    def acked() -> int:
        return sum(len(talker.acked) for talker in swarm.talkers)

    goal = acked() + lines
    await eventually(lambda: acked() >= goal, 20, what=f"{lines} more lines are acknowledged")


async def test_clients_of_a_killed_gateway_resume_elsewhere_and_nothing_is_lost(
    make_cluster: ClusterFactory,
) -> None:
    """“clients of a killed gateway are resumed within 3 s”; “the line "left" comes after 5 s …
    never for those who do [come back]”"""
    cluster = await make_cluster(gateways=3)
    async with busy(cluster) as swarm:
        there = [
            talker
            for number, talker in enumerate(swarm.talkers)
            if number % len(cluster.gateways) == 1
        ]
        cluster.gateways[1].kill()
        killed = time.monotonic()
        await eventually(lambda: all(talker.resumed_at for talker in there), 3.5)
        slowest = max(talker.resumed_at[0] for talker in there) - killed
        assert slowest < slack(3)
        names = {talker.client.name for talker in there}
        await passing(5, 1)  # "left" would be shown after five, were it to come
        for talker in swarm.talkers:
            assert not [each for each in talker.presences if each in {(n, "left") for n in names}]


async def test_people_of_a_killed_gateway_are_gone_at_once_and_left_after_five_seconds(
    make_cluster: ClusterFactory,
) -> None:
    """“`peers` shows its people as gone within 1 s, and the line "left" comes after 5 s for those
    who don't come back”"""
    cluster = await make_cluster(gateways=2)
    watcher = await RawClient.open(cluster.address(0), "watcher")
    lost = await RawClient.open(cluster.address(1), "lost")
    back = await RawClient.open(cluster.address(1), "back")
    for client in (watcher, lost, back):
        await client.join("lobby")

    async def states() -> dict[str, str]:
        answer = await watcher.ask("peers")
        return {peer["name"]: peer.get("state", "here") for peer in answer["peers"]}

    cluster.gateways[1].kill()
    killed = time.monotonic()

    async def both_gone() -> bool:
        now = await states()
        return now["lost"] == now["back"] == "gone"

    await eventually(both_gone, 1)
    resumed = await back.resume(cluster.address(0))
    assert (await states())["back"] == "here"
    await watcher.until(lambda: "left" in watcher.presences("lost"), within=8)
    assert time.monotonic() - killed > 4.5
    assert watcher.presences("lost") == ["entered", "state", "left"]
    assert watcher.presences("back") == ["entered", "state", "state"]
    watcher.abort()
    resumed.abort()


def one_broker(cluster: Cluster) -> list[int]:
    return [0]


def both_brokers(cluster: Cluster) -> list[int]:
    return [0, 1]


@pytest.mark.parametrize("which", [one_broker, both_brokers])
async def test_nothing_is_lost_when_brokers_are_killed(
    make_cluster: ClusterFactory, which: Callable[[Cluster], list[int]]
) -> None:
    """“kill -9 of … a broker, both brokers …: nothing acknowledged is lost, nothing doubled, no
    order differs”"""
    cluster = await make_cluster(gateways=3)
    async with busy(cluster) as swarm:
        brokers = [cluster.brokers[number] for number in which(cluster)]
        for broker in brokers:
            broker.kill()
        if len(brokers) < len(cluster.brokers):
            await said(swarm, RATE)  # the other one carries on alone
        await asyncio.gather(*(cluster.restart(broker) for broker in brokers))


async def test_the_standby_takes_over_when_the_active_worker_is_killed(
    make_cluster: ClusterFactory,
) -> None:
    """“a standby that takes over within 3 s of a `kill -9` … without a number given twice”"""
    cluster = await make_cluster(gateways=3, workers=2)
    async with busy(cluster) as swarm:
        active = cluster.active_worker
        active.kill()
        killed = time.monotonic()
        standby = next(worker for worker in cluster.workers if worker is not active)
        await standby.line(r"what=ready role=active\b", 3)
        await said(swarm, 1)
        assert time.monotonic() - killed < slack(4)
        await cluster.restart(active)
