"""Accepting: from the listening socket to the door that speaks the stranger's language."""

from __future__ import annotations

import asyncio
import errno
import logging
import resource
import socket
from collections import Counter, deque

from gateway.claim import Claim, claim
from gateway.connection import Connection
from gateway.doors import PEEK, door_for
from gateway.hub import Hub
from hubbub.addresses import address_key, is_loopback
from hubbub.errors import Code
from hubbub.frames import Error, encoder

ACCEPTS = 64  # in one go; then others in the loop get their turn
TICK = 1.0  # seconds between looks at those who say nothing
LINGER = 2.0  # seconds for a refused one to read why
REFUSED = 512  # of them at once; beyond, they are closed unheard
NO_DESCRIPTORS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
REST = 0.5  # seconds without accepting when there is no descriptor for it
_TOO_MANY = encoder.encode(
    Error(Code.LIMIT, "too many connections here; try later", retry_after=5.0)
)
_TOO_MANY_OF_YOU = encoder.encode(
    Error(Code.LIMIT, "too many connections from your address", retry_after=5.0)
)


class Listener:
    """The listening sockets of one gateway, and those who have not said a byte yet."""

    def __init__(self, hub: Hub, log: logging.Logger) -> None:
        self._hub = hub
        self._settings = hub.settings
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._claims: list[Claim] = []
        self._silent: deque[tuple[float, socket.socket]] = deque()  # by deadline
        self._peeking: dict[socket.socket, str] = {}
        self._refused: deque[tuple[float, socket.socket]] = deque()
        self._per_address: Counter[str] = Counter()
        self._open = 0
        self._number = 0
        self._tasks: set[asyncio.Task[object]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._turned_away = 0

    def bind(self) -> None:
        """Claim every address of the settings; nobody is accepted yet.

        Raises:
            ConfigError: one is in use by a stranger, or cannot be bound.
        """
        for host, port in self._settings.listen_addresses():
            self._claims.append(claim(host, port, self._settings.data_dir))

    def listen(self) -> list[str]:
        """Accept from now on; the addresses are returned, with real ports."""
        for one in self._claims:
            self._loop.add_reader(one.socket, self._accept, one.socket)
        self._tick()
        return [one.address for one in self._claims]

    def close(self) -> None:
        """Accept what waits in the queues, since closing would reset it, then give up the ports."""
        for one in self._claims:
            self._loop.remove_reader(one.socket)
            while self._accept(one.socket):
                pass
            one.close()
        self._claims.clear()

    def stop(self) -> None:
        """End the ticking and drop who has not said a byte."""
        if self._timer is not None:
            self._timer.cancel()
        for sock in list(self._peeking):
            self._drop(sock)
        for _, sock in self._refused:
            sock.close()

    # --- accepting ------------------------------------------------------------------------

    def _accept(self, listening: socket.socket) -> bool:
        """Accept some; True when there may be more."""
        for _ in range(ACCEPTS):
            try:
                sock, address = listening.accept()
            except (BlockingIOError, InterruptedError):
                return False
            except OSError as error:
                if error.errno in NO_DESCRIPTORS:
                    self._rest(listening)
                    return False
                continue  # that one was gone before we came
            sock.setblocking(False)
            self._admit(sock, address[0])
        return True

    def _rest(self, listening: socket.socket) -> None:
        """Out of descriptors: the queue stays readable, so look away for a while."""
        self._log.warning("what=no_descriptors open=%d", self._open)
        self._loop.remove_reader(listening)
        self._loop.call_later(REST, self._resume, listening)

    def _resume(self, listening: socket.socket) -> None:
        if any(one.socket is listening for one in self._claims):
            self._loop.add_reader(listening, self._accept, listening)

    def _admit(self, sock: socket.socket, host: str) -> None:
        settings = self._settings
        key = address_key(host)
        if self._open >= settings.max_connections:
            self._refuse(sock, _TOO_MANY)
            return
        limited = settings.limit_loopback or not is_loopback(host)
        if limited and self._per_address[key] >= settings.max_per_address:
            self._refuse(sock, _TOO_MANY_OF_YOU)
            return
        self._open += 1
        self._per_address[key] += 1
        self._peeking[sock] = host
        deadline = self._loop.time() + settings.handshake_within
        self._silent.append((deadline, sock))
        self._loop.add_reader(sock, self._peek, sock, host, deadline)

    def _refuse(self, sock: socket.socket, answer: bytes) -> None:
        """Say why in one send, and leave the peer a moment to read it before the socket closes."""
        self._turned_away += 1
        if len(self._refused) >= REFUSED:
            sock.close()
            return
        try:
            sock.send(answer)
            sock.shutdown(socket.SHUT_WR)
        except OSError:
            sock.close()
            return
        self._refused.append((self._loop.time() + LINGER, sock))

    # --- the first byte -------------------------------------------------------------------

    def _peek(self, sock: socket.socket, host: str, deadline: float) -> None:
        try:
            peeked = sock.recv(PEEK, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            peeked = b""
        if not peeked:
            self._drop(sock)
            return
        self._loop.remove_reader(sock)
        del self._peeking[sock]
        guess = door_for(peeked)
        if guess.door != "native":
            self._count_down(host)
            self._refuse(sock, guess.answer)
            return
        task = self._loop.create_task(
            self._open_native(sock, host, deadline), name="open connection"
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _open_native(self, sock: socket.socket, host: str, deadline: float) -> None:
        self._number += 1
        connection = Connection(self._hub, self._number, host, deadline)
        connection.on_closed = self._count_down
        try:
            await self._loop.connect_accepted_socket(lambda: connection, sock)
        except OSError:
            sock.close()
            self._count_down(host)

    def _drop(self, sock: socket.socket) -> None:
        host = self._peeking.pop(sock)
        self._loop.remove_reader(sock)
        sock.close()
        self._count_down(host)

    def _count_down(self, host: str) -> None:
        self._open -= 1
        key = address_key(host)
        self._per_address[key] -= 1
        if not self._per_address[key]:
            del self._per_address[key]

    def _tick(self) -> None:
        now = self._loop.time()
        while self._silent and (
            self._silent[0][0] <= now or self._silent[0][1] not in self._peeking
        ):
            _, sock = self._silent.popleft()
            if sock in self._peeking:
                self._drop(sock)
        while self._refused and self._refused[0][0] <= now:
            self._refused.popleft()[1].close()
        if self._turned_away:
            self._log.warning("what=turned_away count=%d open=%d", self._turned_away, self._open)
            self._turned_away = 0
        self._timer = self._loop.call_later(TICK, self._tick)


def raise_descriptor_limit() -> int:
    """Raise the soft limit of open descriptors to the hard one, and return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
