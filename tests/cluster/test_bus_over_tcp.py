"""A gateway that shares nothing with the cluster but bus addresses and its key."""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import zmq
import zmq.auth

from hubbub import wire
from tests.fixtures import ClusterFactory
from tests.native import RawClient
from tests.support import Cluster, clean_environment, eventually, free_ports


class Place(NamedTuple):
    """Where the other machine is."""

    here: str  # this machine's address, as seen from there
    there: str  # its own address
    prefix: tuple[str, ...]  # what runs a command on it


@contextlib.contextmanager
def other_machine() -> Iterator[Place]:
    """A network namespace with a cable to ours; 127.0.0.2 where making one is not allowed."""
    name = f"hub{secrets.token_hex(3)}"
    net = f"10.{secrets.randbelow(255)}.{secrets.randbelow(255)}"
    commands = [
        f"netns add {name}",
        f"link add {name} type veth peer name far netns {name}",
        f"addr add {net}.1/30 dev {name}",
        f"link set {name} up",
        f"-n {name} addr add {net}.2/30 dev far",
        f"-n {name} link set far up",
        f"-n {name} link set lo up",
    ]
    try:
        made = os.getuid() == 0 and all(ip(command) for command in commands)
        if made:
            yield Place(f"{net}.1", f"{net}.2", ("ip", "netns", "exec", name))
        else:
            yield Place("127.0.0.2", "127.0.0.2", ())
    finally:
        ip(f"link del {name}")
        ip(f"netns del {name}")


def ip(arguments: str) -> bool:
    """Whether an `ip` command could be done."""
    try:
        done = subprocess.run(["ip", *arguments.split()], capture_output=True, check=False)
    except FileNotFoundError:
        return False
    return done.returncode == 0


class Wired(NamedTuple):
    """A cluster whose bus is open to one other machine, and that machine's gateway."""

    cluster: Cluster
    brokers: list[tuple[str, str]]  # (publish, subscribe) endpoints
    keys: Path
    far_keys: Path


@pytest.fixture
def place() -> Iterator[Place]:
    with other_machine() as found:
        yield found


async def wire_up(make_cluster: ClusterFactory, place: Place, tmp_path: Path) -> Wired:
    ports = free_ports(4)
    bus = f"tcp://{place.here}:{ports[0]},tcp://{place.here}:{ports[2]}"
    keys, far_keys = tmp_path / "keys", tmp_path / "far"
    environ = clean_environment()
    for arguments in ([keys], [keys, "--client", "far", "--out", far_keys]):
        command = [sys.executable, "-m", "hubbub", "keys", *map(str, arguments)]
        subprocess.run(command, env=environ, check=True, capture_output=True)
    cluster = await make_cluster(gateways=1, bus_listen=bus, bus_keys=keys)
    await cluster.add_gateway(
        prefix=place.prefix,
        data=tmp_path / "far-data",
        listen=f"{place.there}:0",
        bus=bus,
        bus_listen="",
        bus_keys=far_keys,
    )
    brokers = [
        (f"tcp://{place.here}:{port}", f"tcp://{place.here}:{port + 1}")
        for port in (ports[0], ports[2])
    ]
    return Wired(cluster, brokers, keys, far_keys)


async def test_people_on_both_sides_see_one_chat_and_a_stranger_sees_and_says_nothing(
    make_cluster: ClusterFactory, place: Place, tmp_path: Path
) -> None:
    """“joins over TCP: people on both sides see one chat; an unknown key receives nothing and can
    publish nothing”"""
    wired = await wire_up(make_cluster, place, tmp_path)
    cluster = wired.cluster
    near = await RawClient.open(cluster.address(0), "near")
    far = await RawClient.open(cluster.address(1), "far")
    await near.join("lobby")
    await far.join("lobby")
    with contextlib.ExitStack() as stack:
        known = stack.enter_context(Tap(wired, wired.far_keys))
        unknown = stack.enter_context(Tap(wired, new_keys(tmp_path / "unknown", wired.keys)))
        plain = stack.enter_context(Tap(wired, None))
        taps = {"known": known, "unknown": unknown, "plain": plain}

        # The known one hears itself: now whatever a stranger sent just as often would be there.
        def heard_itself() -> bool:
            for name, tap in taps.items():
                tap.publish(b"x/test/" + name.encode())
            return b"x/test/known" in known.heard()

        await eventually(heard_itself, 10)
        for number in range(20):
            speaker = (near, far)[number % 2]
            assert await speaker.say("lobby", f"line {number}") == number + 1
        for client in (near, far):
            await client.ping()
            assert client.texts("lobby") == [f"line {number}" for number in range(20)]
        await eventually(lambda: b"line 19" in b"".join(known.heard()), 5)
        heard = known.heard()
        assert not [message for message in heard if message.endswith((b"/unknown", b"/plain"))]
        assert unknown.heard() == []
        assert plain.heard() == []
    near.abort()
    far.abort()
    await cluster.stop()  # while there is still a cable


def new_keys(directory: Path, cluster_keys: Path) -> Path:
    """Keys of somebody who knows the broker's public key, and whom nobody knows."""
    directory.mkdir()
    zmq.auth.create_certificates(directory, "client")
    (directory / "broker.key").write_bytes((cluster_keys / "broker.key").read_bytes())
    return directory


class Tap:
    """Bare sockets on both brokers that subscribe to everything."""

    def __init__(self, wired: Wired, keys: Path | None) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._in, self._out = self._context.socket(zmq.SUB), self._context.socket(zmq.PUB)
        for each in (self._in, self._out):
            each.linger = 0
            if keys:
                each.curve_serverkey = zmq.auth.load_certificate(keys / "broker.key")[0]
                public, secret = zmq.auth.load_certificate(keys / "client.key_secret")
                assert secret is not None
                each.curve_publickey, each.curve_secretkey = public, secret
        self._in.subscribe(b"")
        for publish, subscribe in wired.brokers:
            self._out.connect(publish)
            self._in.connect(subscribe)
        self._heard: list[bytes] = []

    def __enter__(self) -> Tap:
        return self

    def __exit__(self, *_: object) -> None:
        self._context.destroy(linger=0)

    def publish(self, message: bytes) -> None:
        """Send it; a stranger sends a forged batch of the stream, of a far later term, too."""
        self._out.send(message)
        if not message.endswith(b"known") or message.endswith(b"unknown"):
            forged = wire.Item(wire.Kind.MESSAGE, 1, 1, 1, b"forged")
            batch = wire.pack_stream(2**40, 1, 1, [forged])
            self._out.send(wire.STREAM_TOPIC + wire.STREAM + batch)

    def heard(self) -> list[bytes]:
        """Everything received so far."""
        with contextlib.suppress(zmq.Again):
            while True:
                self._heard.append(self._in.recv(zmq.NOBLOCK))
        return self._heard
