"""The bus of a run: brokers that come and go, and messages that are late, lost or doubled.

A message travels from its publisher over one broker to each subscriber by itself. On one such path
the order is kept, as ZeroMQ and TCP keep it; between publishers, and between brokers, it is not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from hubbub.bus import Bus, Handler
from hubbub.wire import STREAM_TOPIC
from tests.simulation.world import Loop, World

BROKERS = 2
HIGH_WATER = 256  # messages that wait for one process, as in the real bus
NOTICED = (0.5, 1.0)  # seconds until a process knows that a broker is silent
ANSWERED = (0.1, 0.6)  # seconds until it knows that one is back
FIRST = (0.03, 0.15)  # seconds until a new process knows of its brokers
CUT_AFTER = 0.01  # seconds at most for which what a killed process has sent still arrives


class Network:
    """All brokers, and every process's way to them.

    Attributes:
        loss, doubling: probabilities, of one message on its way to one subscriber.
        jitter: seconds at most that a message is on its way; many are faster.
        grain: seconds; messages arrive at multiples of it, so several may come at once.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.loss = 0.0
        self.doubling = 0.0
        self.jitter = 0.002
        self.grain = 0.0
        self.away = [False] * BROKERS
        self.buses: list[SimulatedBus] = []
        self._subscribers: dict[bytes, list[SimulatedBus]] = {}
        self._paths: dict[tuple[int, int, int], float] = {}  # when the last one arrives

    # --- processes ------------------------------------------------------------------------

    def join(self, bus: SimulatedBus) -> None:
        """A process connects to all brokers."""
        self.buses.append(bus)
        for topic in bus.topics:
            self._subscribers.setdefault(topic, []).append(bus)
        for broker in range(BROKERS):
            self._look_soon(bus, broker, FIRST)
        self._tell_watchers()

    def leave(self, bus: SimulatedBus) -> None:
        """A process is gone, or has closed its sockets."""
        if bus not in self.buses:
            return
        self.buses.remove(bus)
        for topic in bus.topics:
            self._subscribers[topic].remove(bus)
        self._tell_watchers()

    # --- brokers and links ----------------------------------------------------------------

    def reaches(self, bus: SimulatedBus, broker: int) -> bool:
        """Whether what a process publishes through a broker comes back to it."""
        return not self.away[broker] and bus.publishes[broker] and bus.receives[broker]

    def set_away(self, broker: int, away: bool) -> None:
        """A broker dies, or is there again."""
        self.away[broker] = away
        for bus in self.buses:
            self._look_soon(bus, broker, NOTICED if away else ANSWERED)
        self._tell_watchers()

    def set_link(self, bus: SimulatedBus, broker: int, *, out: bool, back: bool) -> None:
        """One process's link to one broker is cut in one direction, or both, or mended."""
        bus.publishes[broker] = out
        bus.receives[broker] = back
        self._look_soon(bus, broker, NOTICED if not (out and back) else ANSWERED)
        self._tell_watchers()

    def mend(self) -> None:
        """Everything is as it should be."""
        self.loss = self.doubling = 0.0
        for broker in range(BROKERS):
            self.set_away(broker, away=False)
        for bus in self.buses:
            for broker in range(BROKERS):
                self.set_link(bus, broker, out=True, back=True)

    def _look_soon(self, bus: SimulatedBus, broker: int, within: tuple[float, float]) -> None:
        bus.loop.call_later(self.world.random.uniform(*within), bus.look, broker)

    # --- who subscribes -------------------------------------------------------------------

    def _tell_watchers(self) -> None:
        """Whoever watches learns what has changed, some milliseconds later."""
        for bus in self.buses:
            if bus.watches and not bus.is_told:
                bus.is_told = True
                bus.loop.call_later(self.world.random.uniform(0.002, 0.05), bus.read_subscriptions)

    def topics_at(self, bus: SimulatedBus, broker: int) -> dict[bytes, None]:
        """The topics that somebody subscribes at a broker, as a process sees it."""
        if self.away[broker] or not bus.publishes[broker]:
            return {}
        return {
            topic: None
            for topic, subscribers in self._subscribers.items()
            if any(one.receives[broker] for one in subscribers)
        }

    # --- messages -------------------------------------------------------------------------

    def carry(self, sender: SimulatedBus, broker: int, topic: bytes, data: bytes) -> bool:
        """Send a message through one broker; False when that could be seen to be in vain."""
        if self.away[broker] or not sender.publishes[broker]:
            return False
        chance = self.world.random.random
        for bus in self._subscribers.get(topic, ()):
            if self.loss and chance() < self.loss:
                self.world.counts["frames lost"] += 1
                continue
            self._send(sender, broker, bus, data)
            if self.doubling and chance() < self.doubling:
                self.world.counts["frames doubled"] += 1
                other = self.world.random.randrange(BROKERS)
                if not self.away[other] and sender.publishes[other]:
                    self._send(sender, other, bus, data)
        return True

    def _send(self, sender: SimulatedBus, broker: int, bus: SimulatedBus, data: bytes) -> None:
        world = self.world
        chance = world.random.random()
        arrives = world.now + 0.0002 + self.jitter * chance * chance
        if self.grain:
            arrives = (int(arrives / self.grain) + 1) * self.grain
        path = sender.number, broker, bus.number
        last = self._paths.get(path, 0.0)
        if arrives < last:
            arrives = last
        self._paths[path] = arrives
        world.at(arrives, self._arrive, sender, broker, bus, data)

    def _arrive(self, sender: SimulatedBus, broker: int, bus: SimulatedBus, data: bytes) -> None:
        if self.away[broker] or not bus.receives[broker] or bus.is_closed:
            return
        if sender.is_killed:
            # Some of what it had sent is still under way: to one more of it, to another less.
            path = sender.number, broker, bus.number
            until = sender.cuts.get(path)
            if until is None:
                until = self.world.now + self.world.random.uniform(-CUT_AFTER, CUT_AFTER)
                sender.cuts[path] = until
            if self.world.now > until:
                return
        bus.arrive(data)


class SimulatedBus(Bus):
    """One process's bus, with the interface of the real one and no sockets."""

    def __init__(self, network: Network, loop: Loop, *, watch: bool = False) -> None:
        self._network = network
        self.loop = loop
        self.number = int(network.world.counts["processes"])
        network.world.counts["processes"] += 1
        self.watches = watch
        self.is_told = False  # is about to look at who subscribes
        self.is_closed = False
        self.is_killed = False
        self.cuts: dict[tuple[int, int, int], float] = {}
        self.publishes = [True] * BROKERS
        self.receives = [True] * BROKERS
        self.before_sending: Callable[[bytes, bytes], None] | None = None  # may raise Killed
        self._handlers: dict[bytes, Handler] = {}
        self._after_turn: list[Callable[[], None]] = []
        self._vanished: list[Callable[[bytes], None]] = []
        self._is_good = [False] * BROKERS
        self._first = 0  # the broker that is published through
        self._seen: list[dict[bytes, None]] = [{} for _ in range(BROKERS)]
        self._unread: deque[bytes] = deque()
        self._is_reading = False

    @property
    def topics(self) -> list[bytes]:
        """What it subscribes."""
        return list(self._handlers)

    # --- what the product calls -----------------------------------------------------------

    def subscribe(self, topic: bytes, handler: Handler) -> None:
        self._handlers[topic] = handler

    def on_turn(self, callback: Callable[[], None]) -> None:
        self._after_turn.append(callback)

    def on_vanished(self, callback: Callable[[bytes], None]) -> None:
        self._vanished.append(callback)

    async def start(self) -> None:
        self._network.join(self)

    async def ready(self, timeout: float | None = None) -> None:
        raise NotImplementedError  # only the processes' main functions wait for it

    def close(self) -> None:
        self.is_closed = True
        self._network.leave(self)

    def publish(
        self, topic: bytes, kind: bytes, payload: bytes, *, everywhere: bool = False
    ) -> bool:
        if self.is_closed:
            return False
        if self.before_sending is not None:
            self.before_sending(topic, kind)
        data = topic + kind + payload
        if not everywhere and self._is_good[self._first]:
            return self._network.carry(self, self._first, topic, data)
        taken = [
            self._network.carry(self, broker, topic, data) and self._is_good[broker]
            for broker in range(BROKERS)
        ]
        return any(taken)

    @property
    def good(self) -> int:
        return sum(self._is_good)

    @property
    def subscribers(self) -> set[bytes]:
        return set().union(*self._seen)

    # --- what the network does ------------------------------------------------------------

    def kill(self) -> None:
        """The process is no more."""
        self.is_killed = True
        self.close()

    def arrive(self, data: bytes) -> None:
        """A message is there, to be read by the process."""
        if len(self._unread) >= HIGH_WATER:
            self._network.world.counts["frames lost"] += 1
            return
        self._unread.append(data)
        if not self._is_reading:
            self._is_reading = True
            self.loop.call_soon(self._read)

    def _read(self) -> None:
        self._is_reading = False
        unread, self._unread = self._unread, deque()
        handlers = self._handlers
        for data in unread:
            end = 4 if data.startswith(STREAM_TOPIC) else data.find(b"/", 2) + 1
            handlers[data[:end]](data[end], data, end + 1)
        if unread:
            for callback in self._after_turn:
                callback()

    def look(self, broker: int) -> None:
        """Know by now whether a broker brings one's messages back."""
        if self.is_closed:
            return
        self._is_good[broker] = self._network.reaches(self, broker)
        if not self._is_good[self._first]:
            good = [one for one in range(BROKERS) if self._is_good[one]]
            self._first = good[0] if good else self._first

    def read_subscriptions(self) -> None:
        """Learn who subscribes what, and who does no more."""
        self.is_told = False
        if self.is_closed:
            return
        for broker in range(BROKERS):
            now = self._network.topics_at(self, broker)
            before, self._seen[broker] = self._seen[broker], now
            for topic in [topic for topic in before if topic not in now]:
                for callback in self._vanished:
                    callback(topic)
