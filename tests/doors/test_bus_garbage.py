"""Garbage on the bus: whoever may speak there may be broken, and nobody else then is."""

from __future__ import annotations

import asyncio
import logging
import random
import re

from hubbub import settings, wire
from hubbub.bus import Bus, broker_addresses
from tests.fixtures import ClusterFactory
from tests.native import RawClient
from tests.support import Cluster, clean_environment, free_ports, slack


async def serves(cluster: Cluster) -> None:
    """Two honest people still talk, each on a gateway of their own."""
    a = await RawClient.open(cluster.address(0))
    b = await RawClient.open(cluster.address(1))
    await a.join("lobby")
    await b.join("lobby")
    await a.say("lobby", "still here")
    await b.ping()
    assert "still here" in b.texts()
    for client in (a, b):
        await client.close()


def no_tracebacks(cluster: Cluster) -> None:
    for process in cluster.processes:
        assert "Traceback" not in process.output(), process.name
        process.forgiven = True  # an ERROR may well say that somebody publishes garbage


def cut_and_changed(numbers: random.Random, good: bytes) -> bytes:
    """A frame that was good, or never was one."""
    at = numbers.randrange(len(good))
    return numbers.choice(
        [
            numbers.randbytes(numbers.randrange(200)),
            good[:at],
            good[:at] + numbers.randbytes(1) + good[at + 1 :],
            good + numbers.randbytes(3),
        ]
    )


async def test_broken_bus_frames_are_dropped(make_cluster: ClusterFactory) -> None:
    """“random bytes, frames cut anywhere … wrong types”, on the topics of owner and gateways"""
    cluster = await make_cluster(gateways=2)
    chosen = settings.from_environment(clean_environment(**cluster.settings))
    log = logging.getLogger("vandal")
    inbox = wire.gateway_topic("vandal")
    bus = Bus(broker_addresses(chosen), identity="vandal", inbox=inbox, settings=chosen, log=log)
    await bus.start()
    await bus.ready(slack(5))
    numbers = random.Random(3)
    found = [re.search(r"gateway-\d\.\w+", gateway.output()) for gateway in cluster.gateways]
    inboxes = [wire.gateway_topic(each[0]) for each in found if each]
    assert len(inboxes) == 2
    item = wire.Item(wire.Kind.MESSAGE, 1, 1, 1, b"\x81\xa1t\xa7message")
    stream = wire.pack_stream(1, 1, 1, [item, item])
    answers = wire.encoder.encode(wire.Answers(1, 1, 1, []))
    alive = wire.encoder.encode(wire.Alive("gateway-1.x", 1))
    for turn in range(2000):
        bus.publish(wire.shard_topic(0), wire.MESSAGE, cut_and_changed(numbers, alive))
        for topic in inboxes:
            bus.publish(topic, wire.MESSAGE, cut_and_changed(numbers, answers))
        # No changed byte: another term or position would be a lie, not garbage.
        cut = stream[: numbers.randrange(1, len(stream))]
        bus.publish(wire.STREAM_TOPIC, wire.STREAM, b"\x07" + cut[1:])
        bus.publish(wire.STREAM_TOPIC, numbers.randbytes(1), b"")
        if turn % 100 == 99:
            await serves(cluster)
    bus.close()
    no_tracebacks(cluster)


async def test_garbage_on_the_brokers_tcp_ports_is_cut_off(make_cluster: ClusterFactory) -> None:
    """“Garbage on every socket: random bytes … 4 GiB lengths”"""
    ports = free_ports(4)
    bus_listen = f"tcp://127.0.0.1:{ports[0]},tcp://127.0.0.1:{ports[2]}"
    cluster = await make_cluster(gateways=2, bus_listen=bus_listen)
    numbers = random.Random(4)
    greeting = b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(48)
    endless = greeting + b"\x02" + (2**40).to_bytes(8, "big") + b"x" * 1000
    writers = []
    for turn in range(40):
        for port in ports:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            data = (numbers.randbytes(500), endless, greeting[: numbers.randrange(60)])[turn % 3]
            writer.write(data)
            writers.append(writer)
    await serves(cluster)
    for writer in writers:
        writer.close()
    no_tracebacks(cluster)
