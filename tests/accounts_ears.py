"""Listeners on the bare protocol: what the servers really send, before a client library tidies it.

An `Ear` is one more device of an account, that says nothing. Its connections come and go, and it
enters rooms.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from random import Random

from tests.accounts_exact import Lives
from tests.native import AnsweredError, ClosedError, Fields, RawClient
from tests.support import Address, passing, slack

BEHIND = -1
STAYS = 1.5  # seconds at most that it keeps a connection of its own will


class Ear:
    """A listener of one account.

    Args:
        rooms: which it tries to enter.
        device: the token of a device of the account, "" while it has none.
    """

    def __init__(
        self,
        name: str,
        addresses: Sequence[Address],
        rooms: Sequence[str],
        device: Callable[[], str],
        seed: int,
    ) -> None:
        self.name = name
        self.connections: list[RawClient] = []
        self._addresses = addresses
        self._rooms = rooms
        self._device = device
        self._random = Random(seed)
        self._quiet = False
        self._joined: dict[RawClient, list[Fields]] = {}  # the answers to `join`

    async def listen(self) -> None:
        """Connect again and again; at the end, after `stay`, it keeps the connection it has."""
        while True:
            try:
                client = await self._connect()
            except (AnsweredError, ClosedError, OSError, TimeoutError):
                await passing(0.1)
                continue
            self.connections.append(client)
            if not self._quiet:
                await self._enter(client, self._random.choice(self._rooms))
            try:
                await client.closed(within=self._random.random() * STAYS)
            except TimeoutError:
                if self._quiet:
                    await client.closed(within=600)
                client.abort()

    async def _enter(self, client: RawClient, room: str) -> None:
        try:
            answer = await client.join(room)
        except (AnsweredError, ClosedError, TimeoutError):
            return
        self._joined.setdefault(client, []).append(answer)

    def stay(self) -> None:
        """From now on end no connection."""
        self._quiet = True

    def abort(self) -> None:
        """End the connection that it has."""
        for client in self.connections[-1:]:
            client.abort()

    async def _connect(self) -> RawClient:
        address = self._random.choice(self._addresses)
        client = await RawClient.connect(address)
        before = self.connections[-1] if self.connections else None
        try:
            if before is not None and self._random.random() < 0.6:
                client.welcome = await client.ask(
                    "resume",
                    id=os.urandom(16),
                    token=before.welcome["token"],
                    epoch=before.welcome["epoch"],
                    rooms={},
                    within=2,
                )
            else:
                login = {"id": os.urandom(16), "token": self._device()}
                client.welcome = await client.ask("login", within=2, **login)
        except BaseException:
            client.abort()
            raise
        return client

    async def settled(self) -> None:
        """Wait until it has a connection that was sent everything up to now."""
        async with asyncio.timeout(slack(20)):
            while True:
                try:
                    await self.connections[-1].ping()
                except (ClosedError, IndexError):
                    await passing(0.1)
                    continue
                return

    def faults(self, lives: Mapping[str, Lives], private: Sequence[str]) -> list[str]:
        """Every way in which what it was sent was not exact."""
        found: list[str] = []
        for number, client in enumerate(self.connections):
            name = f"ear of {self.name}, connection {number} at {client.welcome.get('gateway')}"
            found += [f"{name}: {each}" for each in self._faults(client, lives, private)]
        return found

    def _faults(
        self, client: RawClient, lives: Mapping[str, Lives], private: Sequence[str]
    ) -> list[str]:
        found: list[str] = []
        states = client.welcome.get("rooms", [])
        rooms: dict[str, int] = {state["room"]: state.get("head", 0) for state in states}
        marks: dict[str, int] = {}
        answers = list(self._joined.get(client, []))
        for at, frame in enumerate(client.seen):
            while answers and answers[0]["seen_before"] <= at:
                answer = answers.pop(0)
                rooms.setdefault(answer["room"], answer.get("head", 0))
            room: str = frame.get("room", "")
            match frame["t"]:
                case "joined":
                    if room in rooms:
                        found.append(f"joined {room}, where it was")
                    rooms[room] = frame.get("head", 0)
                case "parted":
                    if rooms.pop(room, None) is None:
                        found.append(f"parted from {room}, where it was not: {frame}")
                case "marked":
                    if frame["mark"] < marks.get(room, 0):
                        found.append(f"the mark in {room} went back to {frame['mark']}")
                    marks[room] = frame["mark"]
                case "message" | "event":
                    found += _faults_of_entry(frame, rooms, lives, private)
                case "presence" if room not in rooms:
                    found.append(f"presence in {room}, where it was not: {frame}")
                case "behind":  # it would have to ask for pages now
                    rooms[room] = BEHIND
        return found


def _faults_of_entry(
    frame: Fields, rooms: dict[str, int], lives: Mapping[str, Lives], private: Sequence[str]
) -> list[str]:
    room, seq = frame["room"], frame["seq"]
    if room not in rooms:
        return [f"{seq} of {room}, where it was not: {frame}"]
    found = []
    if rooms[room] == BEHIND:
        found.append(f"{seq} of {room} came while it was behind")
    elif seq != rooms[room] + 1:
        found.append(f"{seq} of {room} came after {rooms[room]}")
    else:
        rooms[room] = seq
    if room in private and not lives[room].covers(seq):
        found.append(f"{seq} of {room}, no member then: {frame}")
    return found
