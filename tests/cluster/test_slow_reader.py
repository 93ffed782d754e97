"""A client that never reads costs its gateway a bounded outbox, and the others nothing."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from pathlib import Path

from tests.fixtures import ClusterFactory
from tests.native import RawClient
from tests.support import Address, slack

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


async def test_a_client_that_never_reads_is_bounded_unnoticed_and_catches_up(
    make_cluster: ClusterFactory,
) -> None:
    """“A client that never reads in a busy room: its gateway holds at most 1 MiB for it and others
    notice nothing; when it reads again it catches up completely.”"""
    lines = 3000  # 36 MiB in all
    # What is kept for repairs and joins is not what this is about.
    cluster = await make_cluster(gateways=2)
    gateway = cluster.gateways[1]
    deaf = await open_deaf(cluster.address(1), "deaf")
    healthy = await RawClient.open(cluster.address(1), "healthy")
    talker = await RawClient.open(cluster.address(0), "talker")
    for client in (deaf, healthy, talker):
        await client.join("busy")
    await healthy.ping()
    before = resident(gateway.pid)
    deaf.transport.pause_reading()
    slowest, peak = 0.0, before
    answers: list[asyncio.Future[dict[str, object]]] = []
    for number in range(lines):
        text = f"{number} {TEXT}"
        answers.append(talker.send("say", id=os.urandom(16), room="busy", text=text))
        if number % 50 == 49:
            asked = time.monotonic()
            await healthy.ping()
            slowest = max(slowest, time.monotonic() - asked)
            async with asyncio.timeout(slack(10)):
                await answers[number - 49]
            peak = max(peak, resident(gateway.pid))
    await asyncio.gather(*answers)
    await healthy.ping()
    assert [m["seq"] for m in healthy.messages()] == list(range(1, lines + 1))
    assert slowest < slack(1)
    # The outbox, what uvloop and msgspec take meanwhile, and the last seconds of the stream.
    assert peak - before < 16 * MIB, f"{(peak - before) / MIB:.1f} MiB"

    deaf.transport.resume_reading()
    await deaf.until(lambda: any(f["t"] == "behind" for f in deaf.seen), within=10)
    live = [m["seq"] for m in deaf.messages()]
    assert live == list(range(1, len(live) + 1))
    assert len(live) < lines
    paged = [event["seq"] for event in await deaf.log("busy", after=len(live))]
    assert live + paged == list(range(1, lines + 1))
    await talker.say("busy", "live again")
    await deaf.until_text("live again")
    assert deaf.messages()[-1]["seq"] == lines + 1
    assert len(deaf.messages()) == len(live) + 1
    for client in (deaf, healthy, talker):
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
