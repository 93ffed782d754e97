"""Garbage on the client socket: a clear error or a closed connection, never a traceback or growth.

That no process wrote a traceback is looked at by the fixture when each test ends.
"""

from __future__ import annotations

import asyncio
import os
import random
import resource
import struct
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
import pytest_asyncio

from tests.fixtures import ClusterFactory
from tests.native import AnsweredError, ClosedError, RawClient
from tests.support import Cluster, slack

ID = bytes(16)


@pytest_asyncio.fixture
async def door(make_cluster: ClusterFactory) -> AsyncIterator[Cluster]:
    """One gateway; afterwards it still serves an honest client."""
    cluster = await make_cluster(gateways=1, handshake_within=3)
    yield cluster
    honest = await RawClient.open(cluster.address(0), "honest")
    await honest.join("lobby")
    assert await honest.say("lobby", "still here") > 0
    honest.abort()


async def told(client: RawClient) -> list[str]:
    """The codes of what the connection is told before it closes."""
    await client.closed()
    return [frame["code"] for frame in client.seen if frame["t"] == "error"]


def hello(**fields: Any) -> bytes:
    packed: bytes = msgpack.packb({"t": "hello", "ref": 1, "id": ID} | fields)
    return packed


# By the first byte nobody knows which language to answer in: they may just be closed.
NO_DOOR = ("nil", "no chat protocol at all")
BAD_BYTES = {
    "announced: length of 4 GiB (text)": b"\x81\xa1t\xdb\xff\xff\xff\xff",
    "announced: length of 4 GiB (bytes)": b"\x81\xa1t\xc6\xff\xff\xff\xff",
    "announced: 4 billion elements": b"\x81\xa1t\xdd\xff\xff\xff\xff",
    "announced: map of 4 billion": b"\xdf\xff\xff\xff\xff",
    "depth 10,000": b"\x81\xa1t" + b"\x91" * 10_000,
    "depth 10,000 of maps": b"\x81\xa1t" * 10_000,
    "a byte that msgpack never uses": b"\x81\xa1t\xc1",
    "a list": msgpack.packb(["hello", 1]),
    "a map without t": msgpack.packb({"ref": 1}),
    "an unknown frame": msgpack.packb({"t": "helo", "ref": 1, "id": ID}),
    "a frame of the server": msgpack.packb({"t": "welcome", "ref": 1}),
    "t is a number": msgpack.packb({"t": 5, "ref": 1, "id": ID}),
    "ref is text": hello(ref="1"),
    "ref is negative": hello(ref=-1),
    "ref is huge": hello(ref=2**63),
    "ref is missing": msgpack.packb({"t": "hello", "id": ID}),
    "id is short": hello(id=b"short"),
    "id is text": hello(id="0123456789abcdef"),
    "name is bytes": hello(name=b"bob"),
    "name is a list": hello(name=["bob"]),
    "name is not UTF-8": b"\x82\xa1t\xa5hello\xa4name\xa2\xff\xfe",
    "visible is a number": hello(visible=7),
    "an extension type": hello(name=msgpack.ExtType(5, b"x" * 50)),
    "a key that is no text": msgpack.packb({"t": "hello", 5: 6, "ref": 1, "id": ID}),
    "a frame over 64 KiB": hello(agent="x" * 100_000),
    "nil": b"\xc0",
    "no chat protocol at all": b"\x16\x03garbage" * 10,
}


async def test_what_is_no_frame_is_answered_with_a_code_and_closed(door: Cluster) -> None:
    """“4 GiB lengths, depth 10,000, wrong types …: a clear error or a closed connection”"""

    async def check(bad: bytes) -> set[str]:
        client = await RawClient.connect(door.address(0))
        client.send_bytes(bad)
        return set(await told(client))

    found = await asyncio.gather(*(check(bad) for bad in BAD_BYTES.values()))
    for name, codes in zip(BAD_BYTES, found, strict=True):
        if name in NO_DOOR:
            assert codes <= {"bad_frame"}, name
        elif name.startswith("announced"):
            assert codes == {"too_large"}, name
        else:
            assert codes & {"bad_frame", "too_large", "wrong_time", "bad_name"}, name


WRONG_TIME: dict[str, dict[str, Any]] = {
    "say before hello": {"t": "say", "id": ID, "room": "lobby", "text": "hi"},
    "join before hello": {"t": "join", "id": ID, "room": "lobby"},
    "peers before hello": {"t": "peers"},
    "status before hello": {"t": "status"},
    "history before hello": {"t": "history", "room": "lobby"},
}


async def test_a_frame_at_the_wrong_time_is_refused(door: Cluster) -> None:
    for name, frame in WRONG_TIME.items():
        client = await RawClient.connect(door.address(0))
        client.send_bytes(msgpack.packb({"ref": 1} | frame))
        assert await told(client) == ["wrong_time"], name


async def test_a_second_hello_is_refused(door: Cluster) -> None:
    client = await RawClient.open(door.address(0), "once")
    try:
        with pytest.raises(AnsweredError) as refused:
            await client.hello("twice")
        assert refused.value.code == "wrong_time"
    except ClosedError:
        assert await told(client) == ["wrong_time"]
    client.abort()


BAD_NAMES = [
    "lobby\n",
    "\nlobby",
    "lob by",
    "lob\u00a0by",
    "lob\u202eby",
    "lob\u2066by",
    "lob\u200bby",
    "lob\ufeffby",
    "\x1b[31mred",
    "a\x00b",
    "a\x7fb",
    "a\x9bb",
    "#lobby",
    "a,b",
    "a:b",
    "a@b",
    "a|b",
    "a/b",
    "a!b",
    "a*b",
    "a?b",
    "x" * 33,
    "x" * 65,
    "\u0301",
    "\ud7fc\ue000",
    "",
]


async def refusal(door: Cluster, t: str, **fields: Any) -> str:
    """The code with which a request is refused, in a session or (`hello`) before it."""
    if t == "hello":
        client = await RawClient.connect(door.address(0))
    else:
        client = await RawClient.open(door.address(0))
    try:
        answer = await client.send(t, id=os.urandom(16), **fields)
        return str(answer.get("code"))
    except ClosedError:
        return (await told(client))[0]
    finally:
        client.abort()


async def test_a_name_that_may_not_be_is_refused_wherever_it_stands(door: Cluster) -> None:
    """“names like `lobby\\n`, right-to-left overrides, ANSI escapes”"""
    for name in BAD_NAMES:
        for t, field in (("hello", "name"), ("join", "room"), ("nick", "name")):
            code = await refusal(door, t, **{field: name})
            assert code in ("bad_name", "bad_frame"), (t, name)


async def test_random_bytes_never_hurt(door: Cluster) -> None:
    """“random bytes, frames cut anywhere … never a traceback, never growth”"""
    numbers = random.Random(1)
    good = hello(name="cut") + msgpack.packb(
        {"t": "join", "ref": 2, "id": bytes(range(16)), "room": "lobby"}
    )
    before = memory(door.gateways[0].pid)
    for _ in range(100):
        batch = []
        for _ in range(10):
            client = await RawClient.connect(door.address(0))
            match numbers.randrange(4):
                case 0:
                    data = numbers.randbytes(numbers.randrange(1, 3000))
                case 1:  # a map to begin with, or it would never reach the frames
                    data = b"\x84" + numbers.randbytes(numbers.randrange(1, 3000))
                case 2:
                    data = good[: numbers.randrange(len(good))]
                case _:
                    at = numbers.randrange(len(good))
                    data = good[:at] + numbers.randbytes(1) + good[at + 1 :]
            client.send_bytes(data)
            batch.append(client)
        prober = await RawClient.open(door.address(0), visible=False)
        await prober.ping()
        for client in (*batch, prober):
            client.abort()
    assert memory(door.gateways[0].pid) - before < 8 * 2**20


async def test_a_frame_may_be_cut_anywhere(door: Cluster) -> None:
    client = await RawClient.connect(door.address(0))
    whole = hello(name="slowly")
    for at in range(len(whole)):
        client.send_bytes(whole[at : at + 1])
        await asyncio.sleep(0)  # one write each
    await client.until(lambda: [f for f in client.seen if f["t"] == "welcome"])
    client.abort()


async def test_memory_does_not_grow_before_a_frame_is_whole(door: Cluster) -> None:
    """Two hundred strangers send 30 KiB of a frame of 60 KiB, then what makes it too large."""
    before = memory(door.gateways[0].pid)
    strangers = []
    for _ in range(200):
        client = await RawClient.connect(door.address(0))
        client.send_bytes(b"\x81\xa1t\xdb" + struct.pack("!I", 2**30) + b"x" * 30_000)
        strangers.append(client)
    prober = await RawClient.open(door.address(0), visible=False)
    await prober.ping()
    # The bytes, and as many for finding the end of the frame.
    assert memory(door.gateways[0].pid) - before < 200 * 2 * 64 * 1024 + 4 * 2**20
    for client in strangers:
        client.send_bytes(b"\x91" * 40_000)
    for client in strangers:
        assert await told(client) == ["too_large"]
    await prober.ping()
    prober.abort()


@pytest.mark.timeout(180)
async def test_two_thousand_slow_connections_are_closed_at_the_handshake_deadline(
    make_cluster: ClusterFactory,
) -> None:
    """“2,000 connections that send one byte a second are closed at the handshake deadline while
    honest ones stay under 500 ms at p99.”"""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    crowd, deadline = min(2000, hard - 500), 10.0
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    cluster = await make_cluster(gateways=1, handshake_within=deadline)
    opened: dict[RawClient, float] = {}
    for _ in range(crowd):
        client = await RawClient.connect(cluster.address(0))
        opened[client] = time.monotonic()
    last = time.monotonic()
    took: list[float] = []
    sent = 0
    whole = hello(name="x" * 30, agent="y" * 60)
    while not all(client.is_closed for client in opened):
        assert time.monotonic() < last + slack(deadline + 5), "some were not closed"
        if time.monotonic() >= last + sent:
            for client in opened:
                if not client.is_closed:
                    client.send_bytes(whole[sent : sent + 1])
            sent += 1
        began = time.monotonic()
        honest = await RawClient.open(cluster.address(0), visible=False)
        await honest.ping()
        took.append(time.monotonic() - began)
        honest.abort()
    took.sort()
    assert took[int(len(took) * 0.99)] < slack(0.5)
    for client in opened:
        codes = [frame["code"] for frame in client.seen if frame["t"] == "error"]
        assert codes == ["timeout"]
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def memory(pid: int) -> int:
    """Bytes of memory that a process has."""
    status = Path(f"/proc/{pid}/statm").read_text().split()
    return int(status[1]) * os.sysconf("SC_PAGESIZE")
