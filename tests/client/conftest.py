"""A cluster for all tests of a module that leave it as it was, and a room for each of them."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterator

import pytest

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
