"""Minutes of everything at once. The full machine of faults and links is yet to come."""

from __future__ import annotations

import os
import random
import time
from contextlib import ExitStack

import pytest

import hubbub
from hubbub.frames import Person
from tests import lossy
from tests.cluster.test_kills import said
from tests.fixtures import ClusterFactory
from tests.support import Cluster, Process, passing, slack
from tests.swarm import Swarm

SECONDS = float(os.environ.get("CHAOS_SECONDS", "90"))
SEED = int(os.environ.get("CHAOS_SEED", "1"))


async def hurt(cluster: Cluster, numbers: random.Random) -> str:
    """Kill, stop or freeze one process, and bring it back; what was done."""
    kinds = [kind for kind in (cluster.gateways, cluster.brokers, cluster.workers) if kind]
    process: Process = numbers.choice(numbers.choice(kinds))
    how = numbers.choice(["killed", "stopped", "frozen"])
    seconds = numbers.choice([0.0, 0.5, 2.0, 6.0])
    if how == "frozen":
        process.freeze()
        await passing(seconds)
        if process.alive:
            process.thaw()
    elif how == "killed":
        process.kill()
        await passing(seconds)
    else:
        await process.stop()
        await passing(seconds)
    if not process.alive:  # a worker that hangs is ended by the standby
        await cluster.restart(process)
    return f"{process.name} {how} for {seconds} s"


async def roster(cluster: Cluster, gateway: int) -> list[Person]:
    """Who is in the lobby, as one gateway has it."""
    async with hubbub.connect(cluster.server(gateway), visible=False) as watcher:
        return (await watcher.join("lobby")).members


async def go_through(cluster: Cluster) -> None:
    """Talk while one thing after the other happens; then all must have been exact."""
    numbers = random.Random(SEED)
    done: list[str] = []
    async with Swarm([cluster.server(number) for number in range(3)], 20) as swarm:
        swarm.talk(rate=60)
        end = time.monotonic() + slack(SECONDS)
        while time.monotonic() < end:
            done.append(await hurt(cluster, numbers))
            await said(swarm, 30)
        await swarm.finish(within=60)
        assert await swarm.faults() == [], done
        assert [t.client.name for t in swarm.talkers if t.restarted] == [], done
        names = sorted(talker.client.name for talker in swarm.talkers)
        for number in range(3):
            here = [
                person.name for person in await roster(cluster, number) if person.state == "here"
            ]
            assert sorted(here) == names, (number, done)


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_whatever_dies_or_freezes_the_conversation_stays_exact(
    make_cluster: ClusterFactory,
) -> None:
    """“Anyone may die.” CHAOS_SECONDS and CHAOS_SEED choose another run."""
    await go_through(await make_cluster(gateways=3, workers=2))


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_whatever_dies_while_the_bus_loses_frames_the_conversation_stays_exact(
    make_cluster: ClusterFactory,
) -> None:
    """“Pub/sub may lose anything at any time.” One frame in 20, canaries aside."""
    with ExitStack() as stack:
        brokers = [stack.enter_context(lossy.LossyBroker().running()) for _ in range(2)]
        for number, broker in enumerate(brokers):
            broker.loses = lossy.at_random(0.05, SEED * 10 + number)
        bus = ",".join(broker.address for broker in brokers)
        cluster = await make_cluster(gateways=3, workers=2, brokers=0, bus=bus)
        await go_through(cluster)
        await cluster.stop()
