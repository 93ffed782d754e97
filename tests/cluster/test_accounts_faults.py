"""Accounts on several devices do what they can do, while processes die, freeze and lose frames."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from random import Random

import pytest

from tests import lossy
from tests.accounts_swarm import Town
from tests.cluster.test_long import hurt
from tests.fixtures import ClusterFactory
from tests.support import Cluster, slack

SECONDS = float(os.environ.get("CHAOS_SECONDS", "60"))
SEED = int(os.environ.get("CHAOS_SEED", "1"))


async def go_through(
    cluster: Cluster, seed: int, seconds: float, brokers: list[lossy.LossyBroker] | None = None
) -> None:
    """Live while one thing after the other happens; then all must have been exact and agree."""
    numbers = Random(seed)
    done: list[str] = []
    async with Town(cluster, seed) as town:
        town.begin()
        for number, broker in enumerate(brokers or []):
            broker.loses = lossy.at_random(0.05, seed * 10 + number)
        end = time.monotonic() + slack(seconds)
        while time.monotonic() < end:
            if numbers.random() < 0.2:
                person, frozen = numbers.choice(town.people), numbers.choice([None, 0, 1, 2])
                done.append(f"{person.name} suspended while gateway {frozen} is frozen")
                await town.shut_out(person, frozen)
            else:
                done.append(await hurt(cluster, numbers))
            await town.goes_on(50)
        for broker in brokers or []:
            broker.loses = lossy.nothing
        await town.finish()
        assert await town.verdict() == [], done


async def lossy_run(make_cluster: ClusterFactory, seed: int, seconds: float) -> None:
    """As `go_through`, on a bus that loses one frame in 20, canaries aside."""
    with ExitStack() as stack:
        brokers = [stack.enter_context(lossy.LossyBroker().running()) for _ in range(2)]
        bus = ",".join(broker.address for broker in brokers)
        cluster = await make_cluster(gateways=3, workers=2, brokers=0, bus=bus)
        await go_through(cluster, seed, seconds, brokers)
        await cluster.stop()


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_devices_agree_and_nobody_sees_too_much_whatever_dies_or_freezes(
    make_cluster: ClusterFactory,
) -> None:
    """“same rooms, same unread, read marks monotonic”; “applied before the next event is
    delivered”; “a suspension ends every live session on every gateway within 2 s”"""
    await lossy_run(make_cluster, 1, 15)


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", range(SEED, SEED + 3))
async def test_accounts_stay_exact_through_minutes_of_faults(
    make_cluster: ClusterFactory, seed: int
) -> None:
    """“Anyone may die.” CHAOS_SECONDS and CHAOS_SEED choose other runs."""
    await go_through(await make_cluster(gateways=3, workers=2), seed, SECONDS)


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", range(SEED, SEED + 3))
async def test_accounts_stay_exact_through_minutes_of_faults_on_a_bus_that_loses(
    make_cluster: ClusterFactory, seed: int
) -> None:
    """“Pub/sub may lose anything at any time.”"""
    await lossy_run(make_cluster, seed, SECONDS)
