"""What the bus hands over, whoever sent it, and the files with its keys."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Hashable, Iterable

import zmq
from zmq.auth import certs

from hubbub import bus, bus_keys, wire
from hubbub.bus import Bus
from hubbub.errors import ConfigError
from hubbub.settings import Settings
from tests.fuzz.files import InFiles
from tests.fuzz.mutate import Bytes, Text
from tests.fuzz.target import Target, which

_PUBLIC, _SECRET = zmq.curve_keypair()


class Keys(InFiles):
    """A key file of the bus: keys that ZeroMQ takes, or ConfigError.

    Of an input the first byte says which file it is; the others are good.
    """

    name = "bus_keys"
    modules = (bus_keys, certs)
    most = 16 * 1024

    def __init__(self) -> None:
        super().__init__()
        words = [
            b"public-key", b"secret-key", b"=", b'"', b"'", b"\n", b"#", b"curve\n", b"metadata\n",
            _PUBLIC, _SECRET, b"#####", b"\0", b"\xff", b"    ",
        ]  # fmt: skip
        self.mutators = (Bytes(words), Text(words))
        self._files = {
            b"b": self.directory / "broker.key",
            b"c": self.directory / "client.key_secret",
            b"s": self.directory / "broker.key_secret",
            b"l": self.directory / "clients" / "local.key",
        }
        (self.directory / "clients").mkdir()
        self._good = b'curve\n    public-key = "%s"\n    secret-key = "%s"\n' % (_PUBLIC, _SECRET)
        for path in self._files.values():
            path.write_bytes(self._good)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(io_threads=0)
        self._socket = self._context.socket(zmq.SUB)

    def close(self) -> None:
        self._socket.close(linger=0)
        self._context.term()
        super().close()

    def seeds(self) -> Iterable[bytes]:
        for which_file in self._files:
            yield which_file + self._good
            yield which_file + b'public-key = "%s"' % _PUBLIC
            yield which_file + b"public-key\n"
            yield which_file + b"public-key = short\nsecret-key = %s" % _SECRET

    def run(self, data: bytes) -> Hashable:
        path = self._files.get(data[:1])
        if path is None:
            return None
        path.write_bytes(data[1:])
        try:
            bus_keys.check_clients(self.directory / "clients")
            pair = bus_keys.broker_keys(self.directory)
            keys = bus_keys.client_keys(self.directory)
        except ConfigError as error:
            return data[:1], which(error, "no secret", "what is no", "No public", "missing")
        finally:
            path.write_bytes(self._good)
        self._socket.curve_publickey, self._socket.curve_secretkey = pair
        self._socket.curve_serverkey = keys.broker_public
        self._socket.curve_publickey, self._socket.curve_secretkey = keys.public, keys.secret
        return data[:1], "keys"


class _Sent:
    """A socket that has one message."""

    closed = False

    def __init__(self) -> None:
        self.message: bytes | None = None

    def recv(self, flags: int) -> bytes:
        message, self.message = self.message, None
        if message is None:
            raise zmq.Again
        return message


class Messages(Target):
    """Any message of a broker: handed to whom it is for, counted as a canary, or dropped.

    Of an input the first byte says whether it tells of a subscriber.
    """

    name = "bus_messages"
    modules = (bus,)

    def __init__(self) -> None:
        inbox = wire.worker_topic("worker-1.abc")
        words = [inbox, wire.STREAM_TOPIC, wire.CANARY, inbox + wire.CANARY, b"x/", b"/", b"\1x/"]
        self.mutators = (Bytes(words),)
        self._inbox = inbox
        self._loop = asyncio.new_event_loop()
        self._heard: list[tuple[int, bytes]] = []
        self._gone: list[bytes] = []
        self._sent = _Sent()
        self._bus = self._made()

    def close(self) -> None:
        self._loop.close()

    def seeds(self) -> Iterable[bytes]:
        canary = self._inbox + wire.CANARY
        yield b"m" + self._inbox + b"\x07payload"
        yield b"m" + wire.STREAM_TOPIC + b"\x01payload"
        yield b"m" + canary + bus._CANARY.pack(0, 2**63)
        yield b"m" + canary + bus._CANARY.pack(1, 2**63)
        yield b"m" + canary + bus._CANARY.pack(0, 1)
        yield b"m" + canary
        yield from (b"s\1" + self._inbox, b"s\0" + self._inbox, b"s", b"s\2x", b"m", b"mx")

    def run(self, data: bytes) -> Hashable:
        self._heard.clear()
        self._gone.clear()
        self._take(data)
        for kind, payload in self._heard:
            assert data.endswith(payload)
            assert 0 <= kind < 256
        return len(self._heard), len(self._gone), self._bus.good

    def parse(self, data: bytes) -> object:
        self._heard.clear()
        self._take(data)
        return None

    def _take(self, data: bytes) -> None:
        self._sent.message = data[1:]
        if data[:1] == b"s":
            link = self._bus._links[0]
            link.topics = {self._inbox}  # what there is in truth is as much as there are processes
            self._bus._read_subscriptions(link)
        else:
            self._bus._read()

    def _made(self) -> Bus:
        """A bus whose sockets are no sockets."""
        made = Bus(
            [],
            identity="worker-1.abc",
            inbox=self._inbox,
            settings=Settings(),
            log=logging.getLogger("hubbub.fuzz"),
            watch=True,
        )
        for topic in (self._inbox, wire.STREAM_TOPIC):
            made.subscribe(topic, lambda kind, data, at: self._heard.append((kind, data[at:])))
        made.on_vanished(self._gone.append)
        made._loop = self._loop
        made._sub = self._sent  # type: ignore[assignment]
        address = bus.broker_addresses(Settings())[0]
        made._links = [bus._Link(0, address, self._sent)]  # type: ignore[arg-type]
        return made
