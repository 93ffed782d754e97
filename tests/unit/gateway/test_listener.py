"""The port, the doors and the limits, with real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgpack
import pytest
import pytest_asyncio

from gateway.claim import Claim, claim
from gateway.doors import door_for
from hubbub.errors import ConfigError
from tests.native import RawClient
from tests.support import clean_environment, eventually, free_ports, slack
from tests.unit.gateway.stage import Stage, staged

HOST = "127.0.0.1"
HELLO = msgpack.packb({"t": "hello", "ref": 1, "id": bytes(16)})


@pytest.fixture
def port() -> int:
    """One that is free."""
    return free_ports()[0]


@pytest_asyncio.fixture
async def stage() -> AsyncIterator[Stage]:
    """A gateway that gives strangers little time and room."""
    settings = {"handshake_within": 2, "max_connections": 6, "max_per_address": 3}
    async with staged(**settings, limit_loopback=True) as one:
        yield one


async def dial(
    stage: Stage, data: bytes = b""
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A socket that says `data`."""
    reader, writer = await asyncio.open_connection(*stage.address)
    writer.write(data)
    return reader, writer


async def told(stage: Stage, data: bytes, within: float = 5.0) -> bytes:
    """All that a stranger who says `data` is told before the connection ends."""
    reader, writer = await dial(stage, data)
    async with asyncio.timeout(slack(within)):
        answer = await reader.read()
    writer.close()
    return answer


# --- whose port it is -------------------------------------------------------------------------


def test_gateways_of_one_cluster_share_a_port(tmp_path: Path, port: int) -> None:
    first, second = claim(HOST, port, tmp_path), claim(HOST, port, tmp_path)
    assert first.address == second.address == f"{HOST}:{port}"
    first.socket.listen()
    third = claim(HOST, port, tmp_path)
    for one in (first, second, third):
        one.close()


def test_a_port_that_another_cluster_listens_on_is_refused(tmp_path: Path, port: int) -> None:
    """SO_REUSEPORT would let it in without an error, and take half of the connections."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    ours = claim(HOST, port, tmp_path / "a")
    with pytest.raises(ConfigError, match=f"{port} is in use by another program"):
        claim(HOST, port, tmp_path / "b")
    ours.close()
    claim(HOST, port, tmp_path / "b").close()


def test_who_forgets_the_address_of_the_cluster_is_told_where_it_listens(
    tmp_path: Path, port: int
) -> None:
    """Only those addresses that somebody holds, whatever else stands in the directory."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    theirs, gone = claim(HOST, port, tmp_path / "a"), claim(HOST, 0, tmp_path / "b")
    gone.close()
    with pytest.raises(
        ConfigError, match=r"another program; set HUBBUB_LISTEN to a free HOST:PORT$"
    ):
        claim(HOST, port, tmp_path / "b")
    ours = [claim(HOST, 0, tmp_path / "b"), claim("127.0.0.2", 0, tmp_path / "b")]
    (tmp_path / "b" / "run" / "listen-odd.lock").write_bytes(b"\xff")
    with pytest.raises(ConfigError) as refusal:
        claim(HOST, port, tmp_path / "b")
    assert str(refusal.value) == (
        f"{HOST}:{port} is in use by another program; the cluster of this data directory listens on"
        f" {ours[0].address},{ours[1].address}: set HUBBUB_LISTEN to that, or to a free HOST:PORT"
    )
    for one in (theirs, *ours):
        one.close()


@pytest.mark.parametrize("option", [0, socket.SO_REUSEADDR, socket.SO_REUSEPORT])
def test_a_port_that_a_stranger_listens_on_is_refused(
    tmp_path: Path, port: int, option: int
) -> None:
    with socket.socket() as stranger:
        if option:
            stranger.setsockopt(socket.SOL_SOCKET, option, 1)
        stranger.bind((HOST, port))
        stranger.listen()
        with pytest.raises(ConfigError, match="in use"):
            claim(HOST, port, tmp_path)


def test_the_claim_of_a_process_that_is_gone_counts_no_more(tmp_path: Path, port: int) -> None:
    code = "import os, sys; from pathlib import Path; from gateway.claim import claim;"
    code += f"claim('127.0.0.1', {port}, Path(sys.argv[1])); os._exit(0)"
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, env=clean_environment())
    with socket.socket() as stranger:
        stranger.bind((HOST, port))
        stranger.listen()
        with pytest.raises(ConfigError):
            claim(HOST, port, tmp_path)


def test_a_port_of_the_kernels_choice_is_joined_by_its_number(tmp_path: Path) -> None:
    first = claim(HOST, 0, tmp_path)
    real = int(first.address.rpartition(":")[2])
    first.socket.listen()
    second = claim(HOST, real, tmp_path)
    for one in (first, second):
        one.close()


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
def test_an_address_that_is_not_here_is_refused_in_one_sentence(tmp_path: Path, host: str) -> None:
    with pytest.raises(ConfigError, match=host):
        claim(host, 0, tmp_path)


def test_an_ipv6_address_is_claimed_for_itself_alone(tmp_path: Path) -> None:
    claims: list[Claim] = []
    try:
        claims.append(claim("::1", 0, tmp_path))
    except ConfigError:
        pytest.skip("this machine has no IPv6")
    real = int(claims[0].address.removeprefix("[::1]:"))
    claims.append(claim(HOST, real, tmp_path))
    for one in claims:
        one.close()


def test_a_gateway_whose_port_is_taken_says_so_and_exits_78(tmp_path: Path, port: int) -> None:
    with socket.socket() as stranger:
        stranger.bind((HOST, port))
        stranger.listen()
        ended = subprocess.run(
            [sys.executable, "-m", "gateway"],
            env=clean_environment(listen=f"{HOST}:{port}", data=tmp_path),
            capture_output=True,
            text=True,
            check=False,
            timeout=slack(20),
        )
    assert (ended.returncode, ended.stdout) == (78, "")
    assert ended.stderr == (
        f"gateway: {HOST}:{port} is in use by another program;"
        " set HUBBUB_LISTEN to a free HOST:PORT\n"
    )


# --- doors ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("peeked", "begin"),
    [
        (b"GET / HTTP/1.1\r\n", b"HTTP/1.1 400 "),
        (b"P", b"HTTP/1.1 400 "),
        (b"PASS secret\r\n", b"ERROR :"),
        (b"NICK rita\r\n", b"ERROR :"),
        (b":rita NICK x\r\n", b"ERROR :"),
        (b"\x16\x03\x01", b""),
        (b"\x92\x01\x02", b"\x83"),
        (b"\xff", b"\x83"),
    ],
)
def test_a_stranger_is_answered_in_the_language_it_spoke(peeked: bytes, begin: bytes) -> None:
    guess = door_for(peeked)
    assert guess.door == ""
    assert guess.answer.startswith(begin)
    assert bool(guess.answer) == bool(begin)


def test_a_map_is_for_the_native_door_whatever_its_size() -> None:
    for first in [*range(0x80, 0x90), 0xDE, 0xDF]:
        assert door_for(bytes((first,))).door == "native"


async def test_who_speaks_another_language_is_told_and_closed(stage: Stage) -> None:
    assert (await told(stage, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")).startswith(b"HTTP/1.1 400 ")
    assert (await told(stage, b"NICK rita\r\nUSER r 0 * r\r\n")).startswith(b"ERROR :")
    assert msgpack.unpackb(await told(stage, b"\x00" * 100))["code"] == "bad_frame"


# --- limits -----------------------------------------------------------------------------------


async def test_who_does_not_say_hello_in_time_is_closed(stage: Stage) -> None:
    """“Handshake deadline from accept until welcomed.”"""
    began = time.monotonic()
    silent, half, dripping = await asyncio.gather(
        told(stage, b""), told(stage, HELLO[:-1]), drip(stage, HELLO)
    )
    took = time.monotonic() - began
    assert silent == b""
    assert [msgpack.unpackb(one)["code"] for one in (half, dripping)] == ["timeout"] * 2
    assert 1.5 < took < slack(5)


async def drip(stage: Stage, data: bytes) -> bytes:
    """All that one is told who says a byte now and then."""
    reader, writer = await dial(stage, data[:1])
    rest = iter(data[1:-1])
    answer = asyncio.create_task(reader.read())
    while not answer.done():
        with contextlib.suppress(StopIteration):
            writer.write(bytes((next(rest),)))
        await asyncio.wait([answer], timeout=0.2)
    writer.close()
    return answer.result()


async def test_too_many_connections_of_one_address_are_refused_and_room_is_given_back(
    stage: Stage,
) -> None:
    people = [await RawClient.open(stage.address) for _ in range(3)]
    answer = msgpack.unpackb(await told(stage, b""))
    assert (answer["code"], answer["retry_after"]) == ("limit", 5)
    people[0].abort()

    async def is_let_in() -> bool:
        client = await RawClient.connect(stage.address)
        client.send_bytes(HELLO)
        with contextlib.suppress(Exception):
            await client.until(lambda: "welcome" in [frame["t"] for frame in client.seen])
            return True
        return False

    assert await eventually(is_let_in)


async def test_the_soft_limit_of_descriptors_is_raised_to_the_hard_one() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        async with staged() as stage:
            pid = stage.cluster.gateways[0].pid
            assert resource.prlimit(pid, resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_out_of_descriptors_it_rests_and_then_goes_on(stage: Stage) -> None:
    pid = stage.cluster.gateways[0].pid
    used = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (used, hard))
    client = await RawClient.connect(stage.address)
    client.send_bytes(HELLO)
    lines = await stage.cluster.gateways[0].line(
        r"(?s)T(\S+)Z \S+ \S+ what=no_descriptors.*?T(\S+)Z \S+ \S+ what=no_descriptors"
    )
    first, second = (float(clock.rpartition(":")[2]) for clock in lines.groups())
    assert (second - first) % 60 > 0.3, "it does not spin"
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (hard, hard))
    await client.until(lambda: "welcome" in [frame["t"] for frame in client.seen])
