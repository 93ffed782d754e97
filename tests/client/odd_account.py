"""Radha, who has an account, and servers that say to her what a test wants."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import hubbub
from hubbub.client import Client
from tests.client.odd_server import Fields, OddServer, Peer, Script, serving

FAST = hubbub.Patience(
    connect_within=5, greet_within=3, answer_within=1, ask_within=5, bye_within=0.1
)
ME = 3
ACCOUNT: Fields = {"sender": 3, "account": True}
RITA: Fields = {"t": "person", "sender": 9, "name": "Rita"}


def room_state(room: str = "lobby", **fields: Any) -> Fields:
    """The part of a `welcome` that tells of a room."""
    return {"t": "roomstate", "room": room, **fields}


def direct(**fields: Any) -> Fields:
    """The conversation with Rita."""
    return room_state("@3:9", peer=RITA, **fields)


@contextlib.asynccontextmanager
async def radha(*scripts: Script) -> AsyncIterator[tuple[Client, OddServer]]:
    """Radha, who has an account, and the server that she is at."""
    async with (
        serving(*scripts) as server,
        hubbub.connect(server.address, device="device-1", patience=FAST) as client,
    ):
        yield client, server


@contextlib.asynccontextmanager
async def logged_in(*scripts: Script, **how: Any) -> AsyncIterator[tuple[Client, OddServer]]:
    """Radha, by her password, and the server that she is at."""
    given = {"name": "Radha", "password": "sesame", **how}
    async with (
        serving(*scripts) as server,
        hubbub.connect(server.address, patience=FAST, **given) as client,
    ):
        yield client, server


async def greet(peer: Peer, *rooms: Fields, **fields: Any) -> Fields:
    """Welcome her in these rooms."""
    return await peer.greet(sender=ME, account=True, rooms=rooms, **fields)


async def next_of(client: Client, kind: type) -> Any:
    """The next event of a kind."""
    async with asyncio.timeout(10):
        async for event in client:
            if isinstance(event, kind):
                return event
    raise AssertionError(f"the client ended before {kind.__name__}")


async def told(client: Client) -> list[Any]:
    """All that is told up to now."""
    await client.ping()
    events = []
    while (event := client.event_nowait()) is not None:
        events.append(event)
    return events
