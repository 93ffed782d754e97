"""What each fault of a link does to a real cluster."""

from __future__ import annotations

import asyncio
import time

import pytest
import pytest_asyncio

import hubbub
from tests.faults.cluster import FaultyCluster
from tests.native import RawClient
from tests.support import Cluster, passing, slack


@pytest_asyncio.fixture
async def faulty(clusters: list[Cluster]) -> FaultyCluster:
    """Two gateways, two brokers, one worker; processes as they are."""
    cluster = FaultyCluster(gateways=2, workers=1, launcher=("-m",))
    clusters.append(cluster)
    await cluster.start()
    return cluster


async def two(cluster: FaultyCluster) -> tuple[RawClient, RawClient]:
    """People at the two gateways, in the lobby."""
    people = [await RawClient.open(cluster.address(n), name) for n, name in enumerate("ab")]
    for one in people:
        await one.join("lobby")
    return people[0], people[1]


async def test_a_message_said_while_a_gateway_reaches_no_broker_is_shown_once_after_healing(
    faulty: FaultyCluster,
) -> None:
    """“Exactly once. A retried message is stored and shown once.”"""
    bus = faulty.link("gateway-1")
    async with (
        hubbub.connect(faulty.server(0), name="alice") as alice,
        hubbub.connect(faulty.server(1), name="bob") as bob,
    ):
        await alice.join("lobby")
        await bob.join("lobby")
        before = await bus.count()
        await bus.cut()
        saying = asyncio.create_task(alice.say("lobby", "hello"))
        await passing(1)  # an outage
        assert not saying.done()
        assert (await bus.count())["open"] == 0
        await bus.heal()
        async with asyncio.timeout(slack(10)):
            await saying
        await bob.say("lobby", "end")  # a second "hello" would come before it
        for person in (alice, bob):
            texts = []
            async with asyncio.timeout(slack(10)):
                async for message in person.messages("lobby"):
                    texts.append(message.text)
                    if message.text == "end":
                        break
            assert texts == ["hello", "end"]
        assert (await bus.count())["connections"] >= before["connections"] + 4


async def test_a_batch_that_is_lost_on_its_way_to_one_gateway_is_shown_there_once(
    faulty: FaultyCluster,
) -> None:
    """“The last message of a burst lost on the bus is healed within 2 s without further traffic”"""
    a, b = await two(faulty)
    lossy = faulty.link("gateway-2", "broker-1", "subscribe")
    for number in range(3):
        await lossy.lose_next(1, of="events")
        await a.say("lobby", f"line {number}")
        await b.until_text(f"line {number}", within=2)
        assert (await lossy.count())["lost"] == number + 1
    assert [m["seq"] for m in b.messages()] == [1, 2, 3]
    others = [name for name in faulty.links if name != "bus gateway-2 broker-1"]
    assert [(await faulty.link(name).count())["lost"] for name in others] == [0] * len(others)
    a.abort()
    b.abort()


@pytest.mark.long
async def test_lines_are_shown_once_in_order_while_every_link_to_the_brokers_loses_messages(
    faulty: FaultyCluster,
) -> None:
    a, b = await two(faulty)
    for number in range(40):
        if number == 10:
            await faulty.link("bus").lose(0.2)
        if number == 30:
            await faulty.link("bus").heal()
        assert await a.say("lobby", f"line {number}") == number + 1
    await b.ping()
    assert b.texts("lobby") == [f"line {number}" for number in range(40)]
    assert (await faulty.link("bus").count())["lost"] > 10
    a.abort()
    b.abort()


@pytest.mark.long
async def test_a_slow_link_to_a_gateway_makes_it_late_and_loses_nothing(
    faulty: FaultyCluster,
) -> None:
    a, b = await two(faulty)
    await faulty.link("gateway-2").delay(0.2, 0.1)
    for number in range(10):
        said = time.monotonic()
        await a.say("lobby", f"line {number}")
        await b.until_text(f"line {number}", within=2)
        assert b.at[-1] - said > 0.2
    await b.ping()
    assert b.texts("lobby") == [f"line {number}" for number in range(10)]
    a.abort()
    b.abort()


@pytest.mark.long
async def test_a_client_whose_gateway_falls_silent_goes_to_another_and_lacks_nothing(
    faulty: FaultyCluster,
) -> None:
    async with (
        hubbub.connect(faulty.server(0), faulty.server(1), name="alice") as alice,
        hubbub.connect(faulty.server(1), name="bob") as bob,
    ):
        await alice.join("lobby")
        await bob.join("lobby")
        await alice.say("lobby", "one")
        before = (await faulty.link("clients gateway-2").count())["connections"]
        await faulty.link("clients", "gateway-1").hold()
        await bob.say("lobby", "two")
        async with asyncio.timeout(slack(20)):
            await alice.say("lobby", "three")
            texts = []
            async for message in alice.messages("lobby"):
                texts.append(message.text)
                if message.text == "three":
                    break
        assert texts == ["one", "two", "three"]
        assert (await faulty.link("clients gateway-2").count())["connections"] == before + 1


@pytest.mark.long
async def test_a_silent_broker_is_left_for_the_other_and_found_again(
    faulty: FaultyCluster,
) -> None:
    a, b = await two(faulty)
    silent = [faulty.link(each, "broker-1") for each in ("gateway-1", "gateway-2", "worker-1")]
    for link in silent:
        await link.hold()
    for number in range(5):
        await a.say("lobby", f"line {number}")
    await b.until_text("line 4")
    for link in silent:
        await link.heal()
    for process in (*faulty.gateways, *faulty.workers):
        await process.line("what=broker_answers broker=1")
    await a.say("lobby", "end")
    await b.ping()
    assert b.texts("lobby") == [*(f"line {number}" for number in range(5)), "end"]
    a.abort()
    b.abort()


@pytest.mark.long
async def test_people_find_a_gateway_that_was_killed_at_its_address_again(
    faulty: FaultyCluster,
) -> None:
    address = faulty.address(0)
    before = await RawClient.open(address, "before")
    faulty.gateways[0].kill()
    await before.closed()
    await faulty.restart(faulty.gateways[0])
    assert faulty.address(0) == address
    after = await RawClient.open(address, "after")
    assert (await faulty.link("clients gateway-1").count())["connections"] == 2
    after.abort()


@pytest.mark.long
async def test_a_gateway_that_is_added_has_links_of_its_own(faulty: FaultyCluster) -> None:
    await faulty.add_gateway()
    assert [name for name in faulty.links if "gateway-3" in name] == [
        "bus gateway-3 broker-1",
        "bus gateway-3 broker-2",
        "clients gateway-3",
    ]
    c = await RawClient.open(faulty.address(2), "c")
    assert (await faulty.link("clients gateway-3").count())["open"] == 1
    assert (await faulty.link("gateway-3").count())["open"] == 4
    c.abort()


async def test_no_link_goes_round_the_proxy(faulty: FaultyCluster) -> None:
    """With all of them cut nobody hears anybody, and nobody is reached."""
    for name in faulty.links:
        await faulty.link(name).cut()
    for process in (*faulty.gateways, *faulty.workers):
        for number in (1, 2):
            await process.line(f"what=broker_silent broker={number}")
    with pytest.raises(hubbub.Unreachable):
        async with hubbub.connect(faulty.server(0), connect_within=1):
            pass
    for name in faulty.links:
        await faulty.link(name).heal()
    a, b = await two(faulty)
    await a.say("lobby", "again")
    await b.until_text("again")
    a.abort()
    b.abort()
