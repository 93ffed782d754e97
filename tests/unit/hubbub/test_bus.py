"""The bus against real brokers: canaries, fail-over, and who is let in over TCP."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Protocol

import pytest
import zmq.auth

from hubbub import endpoints, settings, wire
from hubbub.bus import Bus
from hubbub.cli import keys
from hubbub.errors import ConfigError
from tests.support import clean_environment, eventually, slack

ROOT = Path(__file__).resolve().parents[3]
LOG = logging.getLogger("test")


@contextlib.contextmanager
def broker(number: int, **environ: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "broker", "--number", str(number)],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1", **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    try:
        assert "what=ready" in process.stdout.readline()
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait()
        process.stdout.close()


class Member:
    """A bus with what it heard on the stream."""

    def __init__(self, name: str, chosen: settings.Settings, *, watch: bool = False) -> None:
        inbox = wire.gateway_topic(name)
        addresses = endpoints.broker_addresses(chosen)
        self.bus = Bus(addresses, identity=name, inbox=inbox, settings=chosen, log=LOG, watch=watch)
        self.heard: list[bytes] = []
        self.vanished: list[bytes] = []
        self.bus.subscribe(wire.STREAM_TOPIC, lambda _, data, at: self.heard.append(data[at:]))
        self.bus.on_vanished(self.vanished.append)

    def say(self, text: bytes, *, everywhere: bool = False) -> bool:
        return self.bus.publish(wire.STREAM_TOPIC, wire.STREAM, text, everywhere=everywhere)


class Join(Protocol):
    """Starts a member that is closed when the test ends."""

    async def __call__(
        self, name: str, chosen: settings.Settings, *, watch: bool = False
    ) -> Member: ...


@pytest.fixture
async def join() -> AsyncIterator[Join]:
    members: list[Member] = []

    async def one(name: str, chosen: settings.Settings, *, watch: bool = False) -> Member:
        member = Member(name, chosen, watch=watch)
        members.append(member)
        await member.bus.start()
        return member

    yield one
    for member in members:
        member.bus.close()


def local(tmp_path: Path, **more: str) -> tuple[settings.Settings, dict[str, str]]:
    environ = {"HUBBUB_DATA": str(tmp_path / "d"), **more}
    chosen = settings.from_environment(environ)
    settings.make_data_dir(chosen)
    return chosen, environ


def free_port_pair() -> int:
    """A port that is free together with the next one."""
    while True:
        with socket.socket() as one, socket.socket() as two:
            one.bind(("127.0.0.1", 0))
            port = int(one.getsockname()[1])
            with contextlib.suppress(OSError):
                two.bind(("127.0.0.1", port + 1))
                return port


async def test_what_is_published_while_one_broker_is_frozen_arrives_within_a_second(
    tmp_path: Path, join: Join
) -> None:
    """“Missing for 750 ms: move to the next.”"""
    chosen, environ = local(tmp_path)
    with broker(1, **environ) as first, broker(2, **environ):
        a, b = await join("a", chosen), await join("b", chosen)
        await a.bus.ready(slack(5))
        await eventually(lambda: a.bus.good == b.bus.good == 2, within=5)
        first.send_signal(signal.SIGSTOP)
        await eventually(lambda: a.bus.good == 1, within=1)
        assert a.say(b"over the other")
        await eventually(lambda: b.heard == [b"over the other"], within=1)
        first.send_signal(signal.SIGCONT)
        await eventually(lambda: a.bus.good == 2, within=3)
        # It went over the other alone: the first had nothing of it to deliver late.
        a.say(b"end", everywhere=True)
        await eventually(lambda: b.heard.count(b"end") == 2, within=3)
        assert b.heard.count(b"over the other") == 1


async def test_a_canary_of_before_does_not_make_a_broker_good(tmp_path: Path, join: Join) -> None:
    """One that a broker held back while it was frozen, or that a predecessor has sent."""
    chosen, environ = local(tmp_path)
    before = time.monotonic_ns()
    with broker(1, **environ):
        a, b = await join("a", chosen), await join("b", chosen)
        await a.bus.ready(slack(5))
        await b.bus.ready(slack(5))
        to, old = wire.gateway_topic("a"), struct.pack("!IQ", 1, before)  # of the second broker
        b.bus.publish(to, wire.CANARY, old)
        await eventually(lambda: b.say(b"end") and b"end" in a.heard, within=5)
        assert a.bus.good == 1


async def test_nothing_is_queued_for_a_broker_that_is_away(tmp_path: Path, join: Join) -> None:
    """“ZMQ_IMMEDIATE=1: nothing is queued for a broker that is away, to be delivered stale.”"""
    chosen, environ = local(tmp_path, HUBBUB_BROKERS="1")
    with broker(1, **environ):
        a, b = await join("a", chosen), await join("b", chosen)
        await a.bus.ready(slack(5))
        await b.bus.ready(slack(5))
    await eventually(lambda: a.bus.good == 0, within=2)
    assert not a.say(b"stale")
    with broker(1, **environ):
        await eventually(lambda: a.bus.good == b.bus.good == 1, within=5)
        await eventually(lambda: a.say(b"fresh") and b"fresh" in b.heard, within=5)
        assert b"stale" not in b.heard


async def test_a_killed_subscriber_is_noticed_by_one_that_watches(
    tmp_path: Path, join: Join
) -> None:
    chosen, environ = local(tmp_path, HUBBUB_BROKERS="1")
    with broker(1, **environ):
        watcher = await join("w", chosen, watch=True)
        other = Member("other", chosen)
        await other.bus.start()
        await eventually(lambda: wire.gateway_topic("other") in watcher.bus.subscribers, within=5)
        other.bus.close()
        await eventually(lambda: wire.gateway_topic("other") in watcher.vanished, within=1)


async def test_a_message_published_everywhere_comes_once_from_each_broker(
    tmp_path: Path, join: Join
) -> None:
    chosen, environ = local(tmp_path)
    with broker(1, **environ), broker(2, **environ):
        a = await join("a", chosen)
        await eventually(lambda: a.bus.good == 2, within=5)
        a.say(b"x", everywhere=True)
        await eventually(lambda: a.heard == [b"x", b"x"], within=2)


def test_a_second_broker_with_the_same_number_refuses_to_start(tmp_path: Path) -> None:
    _, environ = local(tmp_path)
    with broker(1, **environ):
        second = subprocess.run(
            [sys.executable, "-m", "broker", "--number", "1"],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], **environ},
            capture_output=True,
            text=True,
            timeout=slack(10),
            check=False,
        )
    assert second.returncode == 78
    assert "runs already" in second.stderr


def test_a_broker_ends_with_status_0_on_sigterm(tmp_path: Path) -> None:
    _, environ = local(tmp_path)
    with broker(1, **environ) as process:
        process.terminate()
        assert process.wait(slack(5)) == 0


async def test_only_known_keys_hear_and_speak_on_an_encrypted_bus(
    tmp_path: Path, join: Join
) -> None:
    """“An unknown key receives nothing and can publish nothing.”"""
    inside, outside, stranger = tmp_path / "inside", tmp_path / "outside", tmp_path / "stranger"
    keys.make_cluster(inside)
    keys.make_client(inside, "web2", outside)
    keys.make_cluster(stranger)
    (stranger / "broker.key").write_bytes((inside / "broker.key").read_bytes())
    address = f"tcp://127.0.0.1:{free_port_pair()}"
    chosen, environ = local(
        tmp_path,
        HUBBUB_BROKERS="1",
        HUBBUB_BUS_LISTEN=address,
        HUBBUB_BUS_KEYS=str(inside),
    )

    def remote(where: Path | None) -> settings.Settings:
        keys_at = {"HUBBUB_BUS_KEYS": str(where)} if where else {}
        return settings.from_environment({"HUBBUB_BUS": address, **keys_at})

    with broker(1, **environ):
        home = await join("home", chosen)
        away = await join("away", remote(outside))
        wrong = await join("wrong", remote(stranger))
        plain = await join("plain", remote(None))
        await home.bus.ready(slack(5))
        await away.bus.ready(slack(5))
        for number, outsider in enumerate((wrong, plain)):
            outsider.say(b"let me in %d" % number, everywhere=True)
        # The marker goes both ways past the same broker, after what the strangers tried.
        await eventually(lambda: home.say(b"home") and b"home" in away.heard, within=5)
        await eventually(lambda: away.say(b"away") and b"away" in home.heard, within=5)
        assert wrong.heard == plain.heard == []
        assert wrong.bus.good == plain.bus.good == 0
        assert set(home.heard) == set(away.heard) == {b"home", b"away"}


async def test_whose_key_is_put_in_later_is_let_in_though_nothing_is_restarted(
    tmp_path: Path, join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ZeroMQ gives up for good where a key was refused, and says so nowhere."""
    monkeypatch.setattr("hubbub.bus.RENEW_AFTER", 0.5)
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    keys.make_cluster(inside)
    keys.make_client(inside, "web2", outside)
    known = inside / "clients" / "web2.key"
    late = known.rename(tmp_path / "web2.key")
    address = f"tcp://127.0.0.1:{free_port_pair()}"
    bus = {"HUBBUB_BUS_LISTEN": address, "HUBBUB_BUS_KEYS": str(inside)}
    chosen, environ = local(tmp_path, HUBBUB_BROKERS="1", **bus)
    there = {"HUBBUB_BUS": address, "HUBBUB_BUS_KEYS": str(outside)}
    with broker(1, **environ) as process:
        away = await join("away", settings.from_environment(there))
        assert process.stdout is not None
        refused = f"what=key_refused key={zmq.auth.load_certificate(late)[0].decode()}"
        assert refused in await asyncio.to_thread(process.stdout.readline)
        assert away.bus.good == 0
        late.rename(known)
        await away.bus.ready(slack(5))
        home = await join("home", chosen)
        await eventually(lambda: away.say(b"away") and b"away" in home.heard, within=5)
        known.unlink()
    with broker(1, **environ) as process:
        assert process.stdout is not None
        assert refused in await asyncio.to_thread(process.stdout.readline)


@pytest.mark.parametrize("broken", ["broker.key_secret", "clients/local.key"])
def test_a_broker_with_a_broken_key_refuses_to_start(tmp_path: Path, broken: str) -> None:
    """Of a key that is none it said that an argument is invalid; of a client's nothing at all."""
    keys.make_cluster(tmp_path / "keys")
    (tmp_path / "keys" / broken).write_text('public-key = "short"\nsecret-key = "short"\n')
    environ = clean_environment(
        data=tmp_path / "data",
        bus_listen=f"tcp://127.0.0.1:{free_port_pair()}",
        bus_keys=tmp_path / "keys",
    )
    argv = [sys.executable, "-m", "broker"]
    done = subprocess.run(
        argv, env=environ, capture_output=True, text=True, timeout=slack(20), check=False
    )
    assert done.returncode == 78
    assert f"{broken} holds what is no key" in done.stderr
    assert len(done.stderr.splitlines()) == 1


async def test_a_bus_address_that_zeromq_does_not_take_is_refused(tmp_path: Path) -> None:
    chosen, _ = local(tmp_path, HUBBUB_BUS="tcp://a b:7100", HUBBUB_BUS_KEYS=str(tmp_path / "keys"))
    keys.make_cluster(tmp_path / "keys")
    member = Member("a", chosen)
    with pytest.raises(ConfigError, match="bus address"):
        await member.bus.start()
    member.bus.close()


def test_missing_keys_are_named_in_one_sentence(tmp_path: Path) -> None:
    address = "tcp://127.0.0.1:7100"
    chosen, _ = local(tmp_path, HUBBUB_BUS=address, HUBBUB_BUS_KEYS=str(tmp_path / "none"))
    member = Member("a", chosen)
    with pytest.raises(ConfigError, match=r"client\.key_secret|broker\.key"):
        asyncio.run(member.bus.start())
