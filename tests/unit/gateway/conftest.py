"""What the tests of the gateway share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.unit.gateway.stage import Stage, staged


@pytest_asyncio.fixture
async def stage() -> AsyncIterator[Stage]:
    """A gateway with the settings that it ships with."""
    async with staged() as one:
        yield one
