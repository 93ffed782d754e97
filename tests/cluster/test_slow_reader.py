"""A client that never reads costs its gateway a bounded outbox, and the others nothing."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from pathlib import Path

from tests.fixtures import ClusterFactory
from tests.native import RawClient
from tests.support import Address, Process, slack

MIB = 2**20
TEXT = "ਅ" * 3900  # three bytes each: a frame of 12 KiB


def resident(pid: int) -> int:
    """Bytes of memory that a process has."""
    status = Path(f"/proc/{pid}/statm").read_text().split()
    return int(status[1]) * os.sysconf("SC_PAGESIZE")


async def open_deaf(address: Address, name: str) -> RawClient:
    """A client with the smallest receive buffer that the kernel gives."""
    own = socket.socket()
    own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    own.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(own, address)
    _, client = await loop.create_connection(RawClient, sock=own)
    await client.hello(name)
    return client


class Room:
    """A busy room: somebody talks on one gateway, somebody listens on the other."""

    def __init__(self, talker: RawClient, listener: RawClient, gateway: Process) -> None:
        self.talker = talker
        self.listener = listener
        self.gateway = gateway
        self.said = 0
        self.slowest = 0.0  # seconds that the listener's pings took

    async def talk(self, lines: int) -> int:
        """Say so many lines; the most memory that the listener's gateway had meanwhile."""
        peak = 0
        answers = []
        for number in range(lines):
            text = f"{self.said} {TEXT}"
            self.said += 1
            answers.append(self.talker.send("say", id=os.urandom(16), room="busy", text=text))
            if number % 50 == 49:
                asked = time.monotonic()
                await self.listener.ping()
                self.slowest = max(self.slowest, time.monotonic() - asked)
                async with asyncio.timeout(slack(10)):
                    await answers[number - 49]
                peak = max(peak, resident(self.gateway.pid))
        await asyncio.gather(*answers)
        await self.listener.ping()
        return peak


async def test_a_client_that_never_reads_is_bounded_unnoticed_and_catches_up(
    make_cluster: ClusterFactory,
) -> None:
    """“A client that never reads in a busy room: its gateway holds at most 1 MiB for it and others
    notice nothing; when it reads again it catches up completely.”"""
    cluster = await make_cluster(gateways=2)
    deaf = await open_deaf(cluster.address(1), "deaf")
    listener = await RawClient.open(cluster.address(1), "listener")
    talker = await RawClient.open(cluster.address(0), "talker")
    for client in (deaf, listener, talker):
        await client.join("busy")
    room = Room(talker, listener, cluster.gateways[1])
    usual = await room.talk(1000)  # 12 MiB: what is kept for repairs and joins is kept by now
    await deaf.ping()
    heard = len(deaf.messages())
    deaf.transport.pause_reading()
    peak = await room.talk(2000)
    assert [m["seq"] for m in listener.messages()] == list(range(1, room.said + 1))
    assert room.slowest < slack(1)
    assert peak - usual < 4 * MIB, f"{(peak - usual) / MIB:.1f} MiB"

    deaf.transport.resume_reading()
    await deaf.until(lambda: any(f["t"] == "behind" for f in deaf.seen), within=10)
    live = [m["seq"] for m in deaf.messages()]
    assert live == list(range(1, len(live) + 1))
    assert heard <= len(live) < room.said
    paged = [event["seq"] for event in await deaf.log("busy", after=len(live))]
    assert live + paged == list(range(1, room.said + 1))
    await talker.say("busy", "live again")
    await deaf.until_text("live again")
    assert deaf.messages()[-1]["seq"] == room.said + 1
    assert len(deaf.messages()) == len(live) + 1
    for client in (deaf, listener, talker):
        client.abort()


async def test_a_client_that_takes_nothing_at_all_is_closed_with_a_reason(
    make_cluster: ClusterFactory,
) -> None:
    """“A connection that takes nothing for 60 s is closed with a reason.”"""
    cluster = await make_cluster(gateways=1, stalled_after=2)
    deaf = await open_deaf(cluster.address(0), "deaf")
    talker = await RawClient.open(cluster.address(0), "talker")
    for client in (deaf, talker):
        await client.join("busy")
    deaf.transport.pause_reading()
    for number in range(600):
        await talker.say("busy", f"{number} {TEXT}")
        if "left" in talker.presences("deaf") or "state" in talker.presences("deaf"):
            break
    await talker.until(lambda: talker.presences("deaf") != ["entered"], within=10)
    deaf.transport.resume_reading()
    await deaf.closed()
    talker.abort()
