"""Who is at which terminal, or in the room with another client."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

import hubbub
from hubbub.client import Client
from tests.chats import Someone
from tests.client.chat.desk import SECRET, Desk
from tests.support import Cluster


@pytest.fixture
def someone(shared: Cluster, tmp_path: Path) -> Callable[[str], Someone]:
    return lambda name: Someone(shared, tmp_path / name)


@pytest_asyncio.fixture
async def desks(shared: Cluster, tmp_path: Path) -> AsyncIterator[Callable[[Someone], Desk]]:
    made: list[Desk] = []

    def make(who: Someone) -> Desk:
        made.append(Desk(who))
        return made[-1]

    yield make
    for desk in made:
        await desk.terminal.close()


@pytest_asyncio.fixture
async def anna(
    someone: Callable[[str], Someone], desks: Callable[[Someone], Desk], room: str
) -> Desk:
    """Anna, who has an account, at her terminal in the room that she owns."""
    who = someone("anna")
    await who.does("register", f"A{room}", PASSWORD=SECRET)
    return await desks(who).sit("--room", room, prompt=room)


@pytest_asyncio.fixture
async def ben(shared: Cluster, room: str) -> AsyncIterator[Client]:
    """Ben, a guest, in no room yet."""
    async with hubbub.connect(shared.server(1), name=f"B{room}") as client:
        yield client
