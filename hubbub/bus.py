"""The bus as gateways and workers use it: sockets in the loop, canaries, fail-over.

A message is one ZeroMQ part: bus topic, type byte, payload (hubbub/wire.py). Anything may be
lost here at any time; numbers and repetition above make the whole exact.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import struct
import time
from collections.abc import Callable, Sequence

import zmq

from hubbub.bus_keys import ClientKeys, client_keys
from hubbub.endpoints import BrokerAddress, broker_addresses, keys_dir
from hubbub.errors import ConfigError
from hubbub.settings import Settings
from hubbub.wire import CANARY, MAX_BUS_BYTES, STREAM_TOPIC

__all__ = ["Bus", "broker_addresses"]

Handler = Callable[[int, bytes, int], None]

HIGH_WATER = 256  # messages a peer: with batches of 64 KiB, 16 MiB
DRAIN_BUDGET = 512  # messages in one go; then others in the loop get their turn
CANARY_EVERY = 0.25  # seconds
FIRST_CANARY_EVERY = 0.02  # until one is back: connecting and subscribing take a few of these
CANARY_MISSES = 3  # canaries in a row that did not come back: the broker is bad
SILENT_AFTER = 5.0  # seconds until a broker that has never answered is told of
# Seconds of silence until a link with keys is connected anew: once a broker has refused a key,
# libzmq does not try again (that is an error of the protocol to it), though it may be known now.
RENEW_AFTER = 5.0
_CANARY = struct.Struct("!IQ")  # index of the broker, a number that is new each time


class _Link:
    """One broker: the socket that publishes to it, and what its canary says."""

    def __init__(self, index: int, address: BrokerAddress, socket: zmq.Socket[bytes]) -> None:
        self.index = index
        self.address = address
        self.socket = socket
        self.heard_at = 0.0  # the loop's time at the last canary, or when it was connected
        self.missed = CANARY_MISSES  # until one has come back there is nothing to trust
        self.called_silent = False
        self.topics: set[bytes] = set()  # subscribed at this broker, as seen from here

    @property
    def good(self) -> bool:
        return self.missed < CANARY_MISSES


class Bus:
    """The sockets of one process. Use from the loop's thread only.

    Args:
        addresses: the brokers, in the order in which they are preferred.
        identity: names this process in the log.
        inbox: a topic that only this process subscribes; its canaries travel there.
        watch: keep `subscribers` and call `on_vanished` (costs a little memory per topic).
    """

    def __init__(
        self,
        addresses: Sequence[BrokerAddress],
        *,
        identity: str,
        inbox: bytes,
        settings: Settings,
        log: logging.Logger,
        watch: bool = False,
    ) -> None:
        self._addresses = list(addresses)
        self._identity = identity
        self._inbox = inbox
        self._settings = settings
        self._log = log
        self._watch = watch
        self._handlers: dict[bytes, Handler] = {}
        self._after_turn: list[Callable[[], None]] = []
        self._vanished: list[Callable[[bytes], None]] = []
        self._keys: ClientKeys | None = None
        self._links: list[_Link] = []
        self._active = 0
        self._canary_number = time.monotonic_ns()  # a predecessor's canary is not ours
        self._first_canary = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None
        self._sub: zmq.Socket[bytes] | None = None

    # --- set-up ---------------------------------------------------------------------------

    def subscribe(self, topic: bytes, handler: Handler) -> None:
        """Have `handler(kind, data, offset)` called for each message on `topic`; before `start`.

        The payload is `data[offset:]`, `kind` the type byte before it.
        """
        self._handlers[topic] = handler

    def on_turn(self, callback: Callable[[], None]) -> None:
        """Call back after each drain of the sockets in which a message was handled."""
        self._after_turn.append(callback)

    def on_vanished(self, callback: Callable[[bytes], None]) -> None:
        """Call back with a topic whose last subscriber at some broker has gone (with `watch`)."""
        self._vanished.append(callback)

    async def start(self) -> None:
        """Connect to all brokers, there or not, and begin sending canaries.

        Raises:
            ConfigError: the keys cannot be read, or an address is none for ZeroMQ.
        """
        self._loop = asyncio.get_running_loop()
        keys = keys_dir(self._settings)
        if keys and any(address.encrypted for address in self._addresses):
            self._keys = client_keys(keys)
        self._context = zmq.Context(io_threads=1)
        self._sub = self._socket(zmq.SUB)
        for topic in {*self._handlers, self._inbox}:
            self._sub.subscribe(topic)
        for index, address in enumerate(self._addresses):
            link = _Link(index, address, self._socket(zmq.XPUB))
            self._links.append(link)
            try:
                self._connect(link)
            except zmq.ZMQError as error:
                raise ConfigError(f"bus address: {error}") from None
        self._loop.add_reader(self._sub.FD, self._read)
        self._tick()

    def _connect(self, link: _Link) -> None:
        assert self._sub is not None
        self._sub.connect(link.address.subscribe)
        link.socket.connect(link.address.publish)
        link.heard_at = self._loop.time()
        self._loop.add_reader(link.socket.FD, self._read_subscriptions, link)

    def _renew(self, link: _Link) -> None:
        """Connect to a broker anew, as if it had been away."""
        assert self._sub is not None
        try:
            socket = self._socket(zmq.XPUB)
        except zmq.ZMQError:
            return  # there is no descriptor for it now; the next canary tries again
        self._loop.remove_reader(link.socket.FD)
        link.socket.close(linger=0)
        with contextlib.suppress(zmq.ZMQError):  # where libzmq has given it up altogether
            self._sub.disconnect(link.address.subscribe)
        topics, link.topics = link.topics, set()
        link.socket = socket
        self._connect(link)
        for topic in topics:
            for callback in self._vanished:
                callback(topic)

    async def ready(self, timeout: float | None = None) -> None:
        """Wait until an own canary has come back, so that messages go both ways.

        Raises:
            TimeoutError: none did within `timeout` seconds.
        """
        async with asyncio.timeout(timeout):
            await self._first_canary.wait()

    def close(self) -> None:
        """Close the sockets; what was published is given half a second to leave."""
        if self._timer:
            self._timer.cancel()
        if self._context is None or self._sub is None:
            return
        self._loop.remove_reader(self._sub.FD)
        self._sub.close(linger=0)
        for link in self._links:
            self._loop.remove_reader(link.socket.FD)
            link.socket.close(linger=500)
        self._context.term()
        self._context = None

    def _socket(self, kind: int) -> zmq.Socket[bytes]:
        assert self._context is not None
        socket = self._context.socket(kind)
        socket.linger = 0
        socket.sndhwm = socket.rcvhwm = HIGH_WATER
        socket.maxmsgsize = MAX_BUS_BYTES
        # Nothing is queued for a broker that is away, to be delivered stale when it is back.
        socket.immediate = 1
        socket.reconnect_ivl, socket.reconnect_ivl_max = 100, 500  # ms
        socket.heartbeat_ivl, socket.heartbeat_timeout, socket.heartbeat_ttl = 1000, 3000, 5000
        socket.ipv6 = True
        if self._keys:
            socket.curve_serverkey = self._keys.broker_public
            socket.curve_publickey = self._keys.public
            socket.curve_secretkey = self._keys.secret
        return socket

    # --- out ------------------------------------------------------------------------------

    def publish(
        self, topic: bytes, kind: bytes, payload: bytes, *, everywhere: bool = False
    ) -> bool:
        """Send to all subscribers of `topic`, through one broker or all. Never blocks.

        Returns False when no broker that is known to be good took it.
        """
        data = topic + kind + payload
        active = self._links[self._active]
        if not everywhere and active.good:
            return self._send(active, data)
        # While no canary returns nobody knows which broker still works: try each.
        taken = [self._send(link, data) and link.good for link in self._links]
        return any(taken)

    def _send(self, link: _Link, data: bytes) -> bool:
        try:
            link.socket.send(data, zmq.NOBLOCK)
        except zmq.Again:
            return False
        if not self._watch:
            return True
        # The descriptor is edge-triggered, and sending may have used up the edge. Who does not
        # watch reads what was missed with the next canary.
        events = link.socket.get(zmq.EVENTS)
        if isinstance(events, int) and events & zmq.POLLIN:
            self._loop.call_soon(self._read_subscriptions, link)
        return True

    # --- in -------------------------------------------------------------------------------

    def _read(self) -> None:
        """Drain the subscriber until it is empty or others should have a turn."""
        sub = self._sub
        if sub is None or sub.closed:
            return
        handlers, inbox, canary = self._handlers, self._inbox, CANARY[0]
        handled = 0
        try:
            for _ in range(DRAIN_BUDGET):
                data = sub.recv(zmq.NOBLOCK)
                # A topic is "all/" or "x/<name>/": no name holds a slash.
                end = 4 if data.startswith(STREAM_TOPIC) else data.find(b"/", 2) + 1
                topic, kind = data[:end], data[end] if end < len(data) else 0
                if kind == canary and topic == inbox:
                    self._canary_returned(data[end + 1 :])
                    continue
                handler = handlers.get(topic)
                if handler is not None:
                    handled += 1
                    handler(kind, data, end + 1)
            self._loop.call_soon(self._read)
        except zmq.Again:
            pass
        if handled:
            for callback in self._after_turn:
                callback()

    def _read_subscriptions(self, link: _Link) -> None:
        """Take what the broker says of its subscribers; unread it would pile up."""
        with contextlib.suppress(zmq.Again):
            while not link.socket.closed:
                data = link.socket.recv(zmq.NOBLOCK)
                if not self._watch:
                    continue
                topic = data[1:]
                if data[:1] == b"\x01":
                    link.topics.add(topic)
                elif data[:1] == b"\x00" and topic in link.topics:
                    link.topics.discard(topic)
                    for callback in self._vanished:
                        callback(topic)

    # --- which brokers work ---------------------------------------------------------------

    @property
    def good(self) -> int:
        """How many brokers bring this process's canaries back."""
        return sum(link.good for link in self._links)

    @property
    def subscribers(self) -> set[bytes]:
        """The topics that somebody subscribes at any broker (with `watch`)."""
        return set().union(*(link.topics for link in self._links))

    def _tick(self) -> None:
        """Send a canary through each broker, and leave the active one if it went silent."""
        # What has come back may still be unread, after a stall of this process.
        self._read()
        for link in self._links:
            self._look_at_silence(link)
            link.missed += 1
            self._canary_number += 1
            canary = _CANARY.pack(link.index, self._canary_number)
            self._send(link, self._inbox + CANARY + canary)
            self._read_subscriptions(link)
        self._choose()
        every = CANARY_EVERY if self._first_canary.is_set() else FIRST_CANARY_EVERY
        self._timer = self._loop.call_later(every, self._tick)

    def _look_at_silence(self, link: _Link) -> None:
        if link.good:
            return
        seconds = self._loop.time() - link.heard_at
        fell_silent = link.missed == CANARY_MISSES and self._first_canary.is_set()
        if not link.called_silent and (fell_silent or seconds >= SILENT_AFTER):
            link.called_silent = True
            self._log.warning("what=broker_silent broker=%d", link.index + 1)
        if seconds >= RENEW_AFTER and self._keys and link.address.encrypted:
            self._renew(link)

    def _canary_returned(self, payload: bytes) -> None:
        try:
            index, number = _CANARY.unpack(payload)
            link = self._links[index]
        except (struct.error, IndexError):
            return
        if self._canary_number - number >= CANARY_MISSES * len(self._links):
            return  # a stale one: the broker was frozen and has just been let go on
        if link.called_silent:
            self._log.info("what=broker_answers broker=%d", index + 1)
        link.missed, link.called_silent = 0, False
        link.heard_at = self._loop.time()
        self._first_canary.set()

    def _choose(self) -> None:
        if self._links[self._active].good:
            return
        for step in range(1, len(self._links)):
            candidate = (self._active + step) % len(self._links)
            if self._links[candidate].good:
                self._log.warning("what=bus_moved from=%d to=%d", self._active + 1, candidate + 1)
                self._active = candidate
                return
