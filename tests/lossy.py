"""A broker that loses what a test wants lost. Stands where `python -m broker` would, over TCP."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from random import Random
from typing import TypeAlias

import zmq

from hubbub import wire
from tests.support import free_ports

Loses: TypeAlias = Callable[[bytes], bool]


def nothing(message: bytes) -> bool:
    """Lose nothing."""
    return False


def at_random(probability: float, seed: int) -> Loses:
    """Lose any message but a canary, each with this probability."""
    random = Random(seed)

    def loses(message: bytes) -> bool:
        return kind_of(message) != wire.CANARY and random.random() < probability

    return loses


def events_once() -> Loses:
    """Lose the next batch of the stream that has events in it; repeated positions go through."""
    lost = False

    def loses(message: bytes) -> bool:
        nonlocal lost
        prefix = wire.STREAM_TOPIC + wire.STREAM
        if lost or not message.startswith(prefix):
            return False
        lost = wire.peek_stream(message, len(prefix))[2] > 0
        return lost

    return loses


def kind_of(message: bytes) -> bytes:
    """The type byte behind the bus topic."""
    end = 4 if message.startswith(wire.STREAM_TOPIC) else message.find(b"/", 2) + 1
    return message[end : end + 1]


class LossyBroker:
    """Two sockets and a thread; `loses` may be set at any time and is asked for every message."""

    def __init__(self) -> None:
        self.loses: Loses = nothing
        self.lost = 0
        self.passed = 0
        self.address = ""
        self._end = threading.Event()

    @contextlib.contextmanager
    def running(self) -> Iterator[LossyBroker]:
        """Serve meanwhile."""
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        publishers, subscribers = context.socket(zmq.XSUB), context.socket(zmq.XPUB)
        port = free_ports(2)[0]
        self.address = f"tcp://127.0.0.1:{port}"
        for socket, number in ((publishers, port), (subscribers, port + 1)):
            socket.linger = 0
            socket.bind(f"tcp://127.0.0.1:{number}")
        thread = threading.Thread(target=self._serve, args=(publishers, subscribers), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._end.set()
            thread.join()
            context.term()

    def _serve(self, publishers: zmq.Socket[bytes], subscribers: zmq.Socket[bytes]) -> None:
        poller = zmq.Poller()
        poller.register(publishers, zmq.POLLIN)
        poller.register(subscribers, zmq.POLLIN)
        while not self._end.is_set():
            ready = dict(poller.poll(50))
            if subscribers in ready:
                publishers.send(subscribers.recv())
            if publishers in ready:
                self._pass(publishers, subscribers)
        publishers.close()
        subscribers.close()

    def _pass(self, publishers: zmq.Socket[bytes], subscribers: zmq.Socket[bytes]) -> None:
        with contextlib.suppress(zmq.Again):
            for _ in range(100):
                message = publishers.recv(zmq.NOBLOCK)
                if self.loses(message):
                    self.lost += 1
                else:
                    self.passed += 1
                    subscribers.send(message)
