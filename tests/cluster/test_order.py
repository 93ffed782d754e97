"""One order for all, and the barrier."""

from __future__ import annotations

import asyncio

from tests.exact import faults
from tests.fixtures import ClusterFactory
from tests.native import RawClient
from tests.support import Cluster


async def test_a_hundred_clients_on_four_gateways_see_the_same_five_thousand_messages(
    make_cluster: ClusterFactory,
) -> None:
    """“every client has the same 5,000 in the same order”"""
    people, lines = 100, 50
    cluster = await make_cluster(gateways=4)
    clients = [
        await RawClient.open(cluster.address(number % 4), f"p{number}") for number in range(people)
    ]
    for client in clients:
        await client.join("lobby")
    acked: dict[str, int] = {}

    async def talk(number: int, client: RawClient) -> None:
        for line in range(lines):
            text = f"p{number} {line}"
            acked[text] = await client.say("lobby", text)

    await asyncio.gather(*(talk(number, client) for number, client in enumerate(clients)))
    await asyncio.gather(*(client.ping() for client in clients))
    log = [(e["seq"], e["text"]) for e in await clients[0].log("lobby")]
    shown = {
        f"p{number}": [(m["seq"], m["text"]) for m in client.messages("lobby")]
        for number, client in enumerate(clients)
    }
    assert faults(acked, shown, log) == []
    assert len(log) == people * lines
    for client in clients:
        client.abort()


async def test_what_was_answered_before_a_ping_is_delivered_before_its_pong(
    cluster: Cluster,
) -> None:
    """“1,000 times, A says something and has its answer, then B, on another gateway, pings:
    B's message came before B's pong”"""
    pairs, times = 4, 250

    async def check(pair: int) -> None:
        room = f"room{pair}"
        a = await RawClient.open(cluster.address(0), f"a{pair}")
        b = await RawClient.open(cluster.address(1), f"b{pair}")
        await a.join(room)
        await b.join(room)
        for number in range(times):
            seq = await a.say(room, f"line {number}")
            pong = await b.ask("ping")
            before = b.seen[: pong["seen_before"]]
            assert any(frame.get("seq") == seq for frame in before[-4:]), (room, number)
        a.abort()
        b.abort()

    await asyncio.gather(*(check(pair) for pair in range(pairs)))
