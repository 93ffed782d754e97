"""The stage of these tests: one gateway process, one broker, and the test's own owner."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator
from typing import Any

from hubbub.frames import Parted
from hubbub.settings import Settings
from tests.native import Fields, RawClient
from tests.support import Address, Cluster
from tests.unit.gateway.owner import Owner

KICKED = Parted("lobby", "kicked", "Boss", "enough")


class Stage:
    """One gateway, one broker, and the test's own owner."""

    def __init__(self, cluster: Cluster, owner: Owner) -> None:
        self.cluster = cluster
        self.owner = owner

    @property
    def address(self) -> Address:
        """Where clients connect."""
        return self.cluster.address(0)

    @property
    def gateway(self) -> str:
        """The id of the gateway process."""
        return self.cluster.gateways[0].output().split(" ")[2]

    async def people(self, *names: str, room: str = "lobby") -> list[RawClient]:
        """Clients that have joined a room."""
        clients = [await RawClient.open(self.address, name) for name in names]
        for client in clients:
            await client.join(room)
        return clients


@contextlib.asynccontextmanager
async def staged(**settings: Any) -> AsyncIterator[Stage]:
    """A gateway in step with an owner; nothing it wrote may tell of a bug."""
    cluster = Cluster(gateways=1, brokers=1, workers=0, **settings)
    owner: Owner | None = None
    try:
        cluster.brokers[0].start()
        await cluster.ready(cluster.brokers[0])
        owner = Owner(Settings(data=str(cluster.data), brokers=1))
        await owner.start()
        await cluster.start_gateway(cluster.gateways[0])
        await cluster.ready(cluster.gateways[0])
        yield Stage(cluster, owner)
        cluster.kill()
        assert not cluster.troubles()
    finally:
        if owner is not None:
            owner.bus.close()
        cluster.kill()
        cluster.remove()


async def login(stage: Stage, name: str, **fields: Any) -> RawClient:
    """One more connection of that person."""
    client = await RawClient.connect(stage.address)
    client.welcome = await client.ask(
        "login", id=os.urandom(16), name=name, password="open sesame", **fields
    )
    return client


def told(client: RawClient, since: int = 0) -> list[str]:
    """What a client was shown, presence aside: texts of messages, else the frames' names."""
    return [_shortly(frame) for frame in client.seen[since:] if frame["t"] != "presence"]


def _shortly(frame: Fields) -> str:
    kind: str = frame["t"]
    if kind == "message":
        return str(frame["text"])
    if kind == "parted":
        return f"parted {frame['room']}: {frame.get('why', 'parted')}"
    return f"{kind} {frame['room']}" if "room" in frame else kind


async def both(stage: Stage, name: str) -> tuple[RawClient, RawClient]:
    """Two connections of one person."""
    return await login(stage, name), await login(stage, name)
