"""A cluster for all tests of a module that leave it as it was; a room and two people for each."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.chats import Someone
from tests.client import commands
from tests.support import Cluster


@pytest.fixture(scope="module")
def shared() -> Iterator[Cluster]:
    """Three gateways, started once for the module; nothing they wrote may tell of a bug."""
    cluster = Cluster(gateways=3)
    try:
        asyncio.run(cluster.start())
        yield cluster
        asyncio.run(cluster.stop())
    finally:
        cluster.kill()
    assert not cluster.troubles()
    cluster.remove()


@pytest.fixture
def room(request: pytest.FixtureRequest) -> str:
    """A room that no other test uses."""
    return f"room{zlib.crc32(request.node.name.encode())}"


@pytest.fixture
async def nothing_left_running() -> AsyncIterator[None]:
    """A failed test leaves nobody behind under a name that the next one needs."""
    yield
    while commands.started:
        process = commands.started.pop()
        if process.returncode is None:
            process.terminate()
        await process.wait()


@pytest.fixture
def anna(shared: Cluster, tmp_path: Path) -> Someone:
    """Anna, with a home of her own, at the first gateway."""
    return Someone(shared, tmp_path / "anna", 0)


@pytest.fixture
def ben(shared: Cluster, tmp_path: Path) -> Someone:
    """Ben, at the second."""
    return Someone(shared, tmp_path / "ben", 1)
