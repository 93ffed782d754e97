"""What each fault of a link does to bare connections."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from hubbub import wire
from tests.faults import links
from tests.faults.carrying import BUFFER, Side
from tests.faults.gauges import memory_of
from tests.faults.links import CHOICES, Faults, Link as CarriedLink, Of
from tests.faults.ports import Ports
from tests.faults.proxy import Link, Proxy
from tests.support import eventually, passing

SILENCE = 0.3  # seconds after which what is not held would have come


class Peer(asyncio.Protocol):
    """One end of a connection: what came, and how it ended."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.received = bytearray()
        self.at: list[float] = []  # when something came, time.monotonic()
        self.half_closed = False
        self.closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        self.at.append(time.monotonic())

    def eof_received(self) -> bool:
        self.half_closed = True
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True

    def has_ended(self) -> bool:
        """Whether nothing more will come."""
        return self.closed or self.half_closed

    def send(self, data: bytes) -> None:
        """Send it."""
        self.transport.write(data)

    async def gets(self, data: bytes) -> None:
        """Wait until exactly this has come, ever."""
        await eventually(lambda: len(self.received) >= len(data), 10, what=f"{data[:50]!r} comes")
        assert bytes(self.received) == data


class Carried:
    """A server behind a link of its own proxy."""

    def __init__(self, proxy: Proxy, port: int) -> None:
        self.proxy = proxy
        self.link = Link(proxy, ["link"])
        self.accepted: list[Peer] = []
        self.port = port
        self._ends: list[Peer] = []

    def accept(self) -> Peer:
        """What serves the next connection."""
        self.accepted.append(Peer())
        return self.accepted[-1]

    async def connect(self) -> Peer:
        """A connection to the link, nothing more."""
        _, peer = await asyncio.get_running_loop().create_connection(Peer, "127.0.0.1", self.port)
        self._ends.append(peer)
        return peer

    async def connected(self) -> tuple[Peer, Peer]:
        """A connection through the link: (client's end, server's end)."""
        known = len(self.accepted)
        peer = await self.connect()
        # The loop makes the peer a turn before it has its transport.
        await eventually(
            lambda: len(self.accepted) > known and hasattr(self.accepted[-1], "transport"),
            what="the server is connected to",
        )
        return peer, self.accepted[-1]

    async def is_over(self, count: int = 0) -> None:
        """Wait until the link carries so many connections."""

        async def is_so() -> bool:
            return (await self.link.count())["open"] == count

        await eventually(is_so, what=f"{count} connections")

    def close(self) -> None:
        """End all connections from this side."""
        for peer in [*self.accepted, *self._ends]:
            peer.transport.abort()


@pytest_asyncio.fixture
async def carried(tmp_path: Path) -> AsyncIterator[Carried]:
    ports, proxy = Ports(), Proxy(tmp_path / "links.log")
    here = Carried(proxy, ports.take(1))
    server = await asyncio.get_running_loop().create_server(here.accept, "127.0.0.1", 0)
    try:
        await proxy.start()
        to = server.sockets[0].getsockname()[1]
        await proxy.ask(do="open", link="link", port=here.port, to=to, bus=False, seed=0)
        yield here
    finally:
        server.close()
        here.close()
        await proxy.end()
        ports.close()
    assert proxy.troubles() == ""


async def test_bytes_go_both_ways_and_are_counted(carried: Carried) -> None:
    client, server = await carried.connected()
    client.send(b"question")
    await server.gets(b"question")
    server.send(b"answered")
    server.send(b"!")
    await client.gets(b"answered!")
    assert await carried.link.count() == {
        "connections": 1,
        "open": 1,
        "bytes_in": 8,
        "bytes_out": 9,
        "lost": 0,
    }


async def test_an_end_of_writing_is_passed_on_and_the_other_way_goes_on(carried: Carried) -> None:
    client, server = await carried.connected()
    client.send(b"last words")
    client.transport.write_eof()
    await eventually(lambda: server.half_closed)
    assert server.received == b"last words"
    server.send(b"and the answer")
    await client.gets(b"and the answer")
    server.transport.write_eof()
    await eventually(lambda: client.half_closed)
    await carried.is_over()


async def test_a_connection_that_breaks_on_one_side_breaks_on_the_other(carried: Carried) -> None:
    for at in (0, 1):
        ends = await carried.connected()
        ends[at].transport.abort()
        other = ends[1 - at]
        await eventually(other.has_ended)
        other.transport.abort()
        await carried.is_over()


async def test_a_server_that_is_not_there_ends_the_connection(carried: Carried) -> None:
    ports = Ports()
    try:
        port, to = ports.take(1), ports.take(1)
        await carried.proxy.ask(do="open", link="nobody", port=port, to=to, bus=False, seed=0)
        with contextlib.suppress(ConnectionResetError):  # or later
            _, peer = await asyncio.get_running_loop().create_connection(Peer, "127.0.0.1", port)
            await eventually(lambda: peer.closed)
        assert (await Link(carried.proxy, ["nobody"]).count())["open"] == 0
    finally:
        ports.close()


async def test_a_cut_link_ends_connections_and_refuses_new_ones_until_it_is_healed(
    carried: Carried,
) -> None:
    client, server = await carried.connected()
    await carried.link.cut()
    await eventually(lambda: client.closed and server.closed)
    for _ in range(3):
        with pytest.raises(ConnectionRefusedError):
            await carried.connect()
    await carried.link.heal()
    client, server = await carried.connected()
    client.send(b"again")
    await server.gets(b"again")


async def test_the_port_of_a_cut_link_is_given_to_nobody_else(carried: Carried) -> None:
    await carried.link.cut()
    with socket.socket() as stranger, pytest.raises(OSError, match="in use"):
        stranger.bind(("127.0.0.1", carried.port))


@pytest.mark.parametrize(("way", "silent"), [("in", 0), ("out", 1)])
async def test_a_link_that_is_silent_one_way_carries_the_other(
    carried: Carried, way: str, silent: int
) -> None:
    ends = await carried.connected()
    await carried.link.hold(way)
    for end in ends:
        end.send(b"word")
    await ends[silent].gets(b"word")
    await passing(0, SILENCE)
    assert ends[1 - silent].received == b""
    await carried.link.heal()
    await ends[1 - silent].gets(b"word")


async def test_a_silent_link_accepts_connections_that_the_server_hears_of_when_it_heals(
    carried: Carried,
) -> None:
    old, old_server = await carried.connected()
    await carried.link.hold()
    new = await carried.connect()
    for end in (old, old_server, new):
        end.send(b"word")
    await passing(0, SILENCE)
    assert len(carried.accepted) == 1
    assert old.received + old_server.received == b""
    assert not any(end.has_ended() for end in (old, old_server, new))
    await carried.link.heal()
    for end in (old, old_server):
        await end.gets(b"word")
    await eventually(lambda: len(carried.accepted) == 2)
    await carried.accepted[1].gets(b"word")


async def test_a_silent_link_is_as_silent_about_the_end_of_a_connection(carried: Carried) -> None:
    client, server = await carried.connected()
    await carried.link.hold("out")
    server.transport.abort()
    for _ in range(3):  # carried to where nobody is any more, whose reset is on its way
        client.send(b"word")
        await passing(0, SILENCE / 3)
    assert not client.has_ended()
    await carried.link.heal()
    await eventually(client.has_ended)
    client.transport.abort()
    await carried.is_over()


@pytest.mark.parametrize("connects", ["before", "meanwhile"])
async def test_a_silent_link_keeps_no_more_than_a_buffer_and_loses_nothing(
    carried: Carried, connects: str
) -> None:
    """Whoever sends is stopped by TCP, as on a network that carries nothing."""
    if connects == "before":
        client, _ = await carried.connected()
        await carried.link.hold()
    else:
        await carried.link.hold()
        client = await carried.connect()
    data = bytes(range(256)) * 2**17  # 32 MiB
    before = carried_memory(carried)
    client.send(data)
    await passing(0, SILENCE)
    assert client.transport.get_write_buffer_size() > len(data) // 2
    assert carried_memory(carried) - before < 16 * BUFFER
    await carried.link.heal()
    await eventually(lambda: len(carried.accepted) == 1)
    server = carried.accepted[0]
    await eventually(lambda: len(server.received) == len(data), 20, what="all of it comes")
    assert server.received == data
    assert carried_memory(carried) - before < 16 * BUFFER


async def test_a_reader_that_stops_stops_the_sender_and_not_the_proxys_memory(
    carried: Carried,
) -> None:
    client, server = await carried.connected()
    client.transport.pause_reading()
    data = bytes(range(256)) * 2**17
    before = carried_memory(carried)
    server.send(data)
    await passing(0, SILENCE)
    assert server.transport.get_write_buffer_size() > len(data) // 2
    assert carried_memory(carried) - before < 16 * BUFFER
    client.transport.resume_reading()
    await eventually(lambda: len(client.received) == len(data), 20, what="all of it comes")
    assert client.received == data


def carried_memory(carried: Carried) -> int:
    """The proxy's memory, in bytes."""
    return memory_of(carried.proxy.pid)


async def test_delay_is_added_each_way_and_order_is_kept(carried: Carried) -> None:
    client, server = await carried.connected()
    await carried.link.delay(0.1, 0.1)
    words = [b"%03d " % number for number in range(100)]
    sent = []
    for word in words:
        sent.append(time.monotonic())
        client.send(word)
        await passing(0.002)
    await server.gets(b"".join(words))
    assert all(at - sent[0] > 0.1 for at in server.at)
    assert len(server.at) > 10  # not all at the end of the delay
    begin = time.monotonic()
    server.send(b"back")
    await client.gets(b"back")
    assert time.monotonic() - begin > 0.1


async def test_the_end_of_a_connection_is_delayed_like_its_bytes(carried: Carried) -> None:
    client, server = await carried.connected()
    await carried.link.delay(0.2)
    client.send(b"last")
    await server.gets(b"last")
    begin = time.monotonic()
    client.transport.write_eof()
    await eventually(lambda: server.half_closed)
    assert time.monotonic() - begin > 0.2


async def test_more_than_a_buffer_is_never_on_its_way_and_yet_all_of_it_comes(
    carried: Carried,
) -> None:
    client, server = await carried.connected()
    await carried.link.delay(0.2)
    data = bytes(range(256)) * 2**13  # 2 MiB, eight buffers
    begin = time.monotonic()
    client.send(data)
    await eventually(lambda: len(server.received) == len(data), 20, what="all of it comes")
    assert server.received == data
    assert time.monotonic() - begin > 0.2 * len(data) / BUFFER / 2


async def test_a_fault_that_does_not_exist_is_an_error_and_changes_nothing(
    carried: Carried,
) -> None:
    for wrong in ({"cuts": True}, {"hold": "sideways"}, {"lose": 1.5}, {"delay": -1}):
        with pytest.raises(RuntimeError, match="ValidationError"):
            await carried.proxy.ask(do="set", link="link", **wrong)
    with pytest.raises(RuntimeError, match="KeyError"):
        await carried.proxy.ask(do="heal", link="another")
    with pytest.raises(RuntimeError, match="no such command"):
        await carried.proxy.ask(do="harm", link="link")
    await carried.connected()


async def test_who_asks_is_not_given_the_answer_of_one_who_was_cancelled(carried: Carried) -> None:
    for _ in range(10):
        asked = asyncio.create_task(carried.link.count())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        asked.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asked
        assert await carried.proxy.ask(do="heal", link="link") == {}


def test_a_link_carries_a_bounded_number_of_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "MOST", 2)
    link = CarriedLink("link", 0, 0, bus=False, seed=0)
    assert [isinstance(link._accept(), Side) for _ in range(3)] == [True, True, False]


# --- which messages are lost ------------------------------------------------------------------

ITEM = wire.Item(wire.Kind.MESSAGE, 1, 1, 1, b"body")
BATCH = wire.pack_stream(1, 1, 1, [ITEM])
MESSAGES = {
    "a batch": b"all/S" + BATCH,
    "a repeated position": b"all/S" + wire.pack_stream(1, 1, 1, []),
    "who is typing": b"all/T...",
    "a request": b"w/3/M...",
    "an answer": b"g/one/M...",
    "a repair": b"g/one/S" + BATCH,
    "a gateway's canary": b"g/one/C...",
    "a worker's canary": b"o/one/C...",
}


def lost_of(of: Of, *subscriptions: bytes) -> set[str]:
    """What a link loses that loses all of these."""
    link = CarriedLink("link", 0, 0, bus=True, seed=0)
    link.faults = Faults(lose=1.0, of=of)
    return {name for name, message in MESSAGES.items() if link._loses(message)}


def test_of_bus_messages_those_are_lost_that_were_named() -> None:
    canaries = {"a gateway's canary", "a worker's canary"}
    assert {of: lost_of(of) for of in CHOICES} == {
        "any": MESSAGES.keys() - canaries,
        "events": {"a batch"},
        "stream": {"a batch", "a repeated position"},
        "requests": {"a request"},
        "answers": {"an answer"},
        "repairs": {"a repair"},
        "canaries": canaries,
        "everything": set(MESSAGES),
    }


def test_a_subscription_is_never_lost() -> None:
    """ZMTP 3.0 sends it as a message: a byte 1 or 0, then the topic."""
    link = CarriedLink("link", 0, 0, bus=True, seed=0)
    link.faults = Faults(lose=1.0, of="everything")
    assert not any(link._loses(byte + topic) for byte in (b"\0", b"\1") for topic in (b"all/", b""))
    assert link._loses(b"all/T")


def losses(seed: int, share: float) -> list[bool]:
    """Which of a thousand messages are lost."""
    link = CarriedLink("link", 0, 0, bus=True, seed=seed)
    link.faults = Faults(lose=share)
    return [link._loses(b"all/T") for _ in range(1000)]


def test_the_same_seed_loses_the_same_messages_about_as_many_as_it_should() -> None:
    assert losses(1, 0.3) == losses(1, 0.3) != losses(2, 0.3)
    assert 230 < sum(losses(1, 0.3)) < 370


def test_the_next_messages_are_lost_and_no_more() -> None:
    link = CarriedLink("link", 0, 0, bus=True, seed=0)
    link.faults = Faults(lose_next=2, of="requests")
    sent = [b"w/1/M", b"all/T", b"w/1/M", b"w/1/M", b"w/1/M"]
    assert [link._loses(message) for message in sent] == [True, False, True, False, False]
    assert link.counts()["lost"] == 2
