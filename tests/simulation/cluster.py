"""The processes of a run: real hubs and shards in simulated loops, and who replaces the dead."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from concurrent.futures import Executor
from typing import cast

from sqlalchemy.exc import SQLAlchemyError

from gateway.__main__ import GRACE, LISTEN_WITHIN, MOVE_WITHIN, _drain
from gateway.hub import Hub
from gateway.listener import Listener
from hubbub.errors import LeaseLost
from hubbub.settings import Settings
from tests.simulation.disk import Disk, SimulatedStore
from tests.simulation.network import Network, SimulatedBus
from tests.simulation.sockets import SimulatedConnection, Socket, Transport
from tests.simulation.world import Killed, Loop, World
from worker.exits import START_AGAIN_AFTER
from worker.searching import Searches
from worker.shard import Shard

STANDBY = (0.05, 0.45)  # seconds until the standby has noticed that the lock is free
AGAIN = (0.3, 1.5)  # seconds until a process that has ended is started again
ADDRESS = "127.0.0.1"
# What only a bug writes into the log. Failures of the database are meant to be there.
BUGS = ("what=broken_", "what=bad_", "what=too_large", "what=search_crashed")


class Log(logging.Logger):
    """A process's log: shown to whoever reads along; what tells of a bug is kept."""

    def __init__(self, world: World, name: str) -> None:
        super().__init__(name, logging.INFO)
        self._world = world

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 (logging's name)
        return level > logging.DEBUG

    def _log(self, level: int, msg: object, args: object, **others: object) -> None:  # type: ignore[override]
        text = str(msg)
        if text.startswith(BUGS):
            self._world.errors.append(f"{self.name}: {text % args if args else text}")
        if self._world.verbose:
            self._world.tell(f"{self.name}: {text % args if args else text}")


class Process:
    """What is common to gateways and workers."""

    def __init__(self, cluster: Cluster, name: str, *, watch: bool = False) -> None:
        self.cluster = cluster
        self.name = name
        self.loop = Loop(cluster.world, name)  # type: ignore[abstract]  # what nobody calls
        self.log = Log(cluster.world, name)
        self.bus = SimulatedBus(cluster.network, self.loop, watch=watch)
        self.is_over = False

    def freeze(self) -> None:
        """SIGSTOP."""
        self.loop.freeze()

    def thaw(self) -> None:
        """SIGCONT."""
        self.loop.thaw()

    def kill(self) -> None:
        """SIGKILL."""
        if self.is_over:
            return
        self.cluster.world.tell(f"{self.name} is killed")
        self.is_over = True
        self.loop.kill()
        self.bus.kill()

    def killer(self, topic: bytes = b"") -> Callable[..., None]:
        """A hook that kills the process in the midst of what it does.

        Args:
            topic: only when something is about to be sent to a topic that begins so.
        """

        def look(*sent: bytes) -> None:
            if not sent or sent[0].startswith(topic):
                self.kill()
                raise Killed

        return look


class Gateway(Process):
    """One gateway; `number` is its place, which its successors take."""

    def __init__(self, cluster: Cluster, number: int) -> None:
        super().__init__(cluster, f"gateway-{number}.{cluster.new_id()}")
        self.number = number
        self.hub: Hub | None = None
        self.is_listening = False
        self._connections = 0
        self._transports: list[Transport] = []
        self._backlog: dict[Socket, None] = {}  # accepted by the kernel alone
        self.loop.call_soon(self._start)

    def _start(self) -> None:
        self.hub = Hub(self.cluster.settings, self.name, self.bus, self.log)
        self.loop.create_task(self._serve(self.hub))

    async def _serve(self, hub: Hub) -> None:
        await self.bus.start()
        hub.start()
        try:
            await asyncio.wait_for(hub.ready.wait(), LISTEN_WITHIN)
        except TimeoutError:
            self.log.info("what=listening_without_owner")
        self.is_listening = True

    def accept(self, socket: Socket) -> None:
        """A client has connected; the kernel does that, also for a frozen process."""
        self._backlog[socket] = None
        self.loop.call_soon(self._open, socket)

    def _open(self, socket: Socket) -> None:
        hub = self.hub
        assert hub is not None
        del self._backlog[socket]
        self._connections += 1
        deadline = self.loop.time() + self.cluster.settings.handshake_within
        connection = SimulatedConnection(hub, self._connections, ADDRESS, deadline)
        self._transports.append(Transport(self.loop, socket, connection))

    def close(self) -> None:
        """The listening port is given up."""
        self.is_listening = False

    def restart(self) -> None:
        """SIGTERM: it drains, as the real one does, and another one takes its place."""
        if self.hub is None or self.is_over:
            self.kill()
            self.cluster.gateway_ended(self)
        else:
            self.loop.create_task(self._leave(self.hub))

    async def _leave(self, hub: Hub) -> None:
        # Of the listener only `close` is called in there.
        await _drain(self.cluster.settings, hub, cast(Listener, self), self.log)
        hub.stop()
        self.bus.close()
        self._end()
        self.cluster.gateway_ended(self)

    def kill(self) -> None:
        """SIGKILL."""
        super().kill()
        self._end()

    def _end(self) -> None:
        self.is_over = True
        self.is_listening = False
        for transport in self._transports:
            transport.vanish()
        for socket in self._backlog:
            self.cluster.world.after(0.001, socket.arrive, None)
        self.loop.kill()


class Worker(Process):
    """One worker that has become the owner."""

    def __init__(self, cluster: Cluster, number: int) -> None:
        super().__init__(cluster, f"worker-{number}.{cluster.new_id()}", watch=True)
        self.shard: Shard | None = None
        self.loop.call_soon(self._start)

    def _start(self) -> None:
        self.loop.create_task(self._serve())

    async def _serve(self) -> None:
        """As worker/active.py, without signals, files, and a thread for searches."""
        cluster, loop = self.cluster, self.loop
        thread = cast(Executor, None)  # the loop has its own way to do it
        shard = self.shard = Shard(
            cluster.settings,
            self.name,
            self.bus,
            thread,  # type: ignore[arg-type]
            self.log,
            searches=cast(Searches, None),  # nobody searches
        )
        await self.bus.start()
        store = await loop.run_in_executor(thread, SimulatedStore, cluster.disk)
        try:
            await shard.begin(store)
            self.log.info("what=ready role=active term=%d", store.term)
            await shard.run()
        except LeaseLost as error:
            self.log.info("what=lease_lost why=%r", str(error))
        except (sqlite3.Error, SQLAlchemyError) as error:
            self.log.info("what=database_failed why=%r", str(error))
            await asyncio.sleep(START_AGAIN_AFTER)
        except Exception as error:
            cluster.world.broken(self.name, error)
        self.is_over = True
        self.bus.close()
        self.loop.kill()
        cluster.worker_ended(self)

    def restart(self) -> None:
        """SIGTERM: the turn in hand is told, then another one takes over."""
        if self.shard is None:
            self.kill()
        else:
            self.loop.call_soon(self.shard.stop)

    def kill(self) -> None:
        """SIGKILL; the standby notices that the lock is free."""
        if self.is_over:
            return
        super().kill()
        self.cluster.disk.recover()
        self.cluster.worker_ended(self)


class Cluster:
    """All processes.

    Attributes:
        keep_down: until then nobody replaces a dead worker: all of them are down.
    """

    def __init__(self, world: World, settings: Settings, disk: Disk, gateways: int) -> None:
        self.world = world
        self.settings = settings
        self.disk = disk
        self.network = Network(world)
        self.gateways: list[Gateway] = []
        self.keep_down = 0.0
        self._ids = 0
        self._workers = 0
        self.worker: Worker | None = None
        self.worker = self._new_worker()
        self.gateways = [Gateway(self, number) for number in range(gateways)]

    @property
    def term(self) -> int:
        """The owner's; 0 while there is none."""
        shard = self.worker.shard if self.worker is not None else None
        tenure = shard._tenure if shard is not None else None
        return tenure.term if tenure is not None else 0

    def new_id(self) -> str:
        """Tells a process from all others that have its name."""
        self._ids += 1
        return f"{self._ids:06x}"

    # --- workers --------------------------------------------------------------------------

    def _new_worker(self) -> Worker:
        self._workers += 1
        return Worker(self, self._workers)

    def worker_ended(self, worker: Worker) -> None:
        """The lock is free, unless somebody else has it by now."""
        if worker is self.worker:
            self.worker = None
            wait = self.world.random.uniform(*STANDBY)
            self.world.at(max(self.keep_down, self.world.now + wait), self.take_over)

    def take_over(self) -> None:
        """The standby is the owner now."""
        if self.worker is None:
            self.worker = self._new_worker()

    def depose(self, worker: Worker) -> None:
        """The standby takes over while a frozen owner lives: both will be there at once."""
        if worker is self.worker and not worker.is_over:
            self.worker = None
            self.disk.recover()
            self.take_over()

    # --- gateways -------------------------------------------------------------------------

    def gateway_ended(self, gateway: Gateway) -> None:
        """Whoever watches starts another one in its place."""
        wait = self.world.random.uniform(*AGAIN)
        self.world.after(wait, self.replace, gateway)

    def replace(self, gateway: Gateway) -> None:
        """Start another one in its place."""
        if self.gateways[gateway.number] is gateway:
            self.gateways[gateway.number] = Gateway(self, gateway.number)

    def dial(self, number: int, socket: Socket) -> bool:
        """Connect to the gateway at a place; False when nobody listens there."""
        gateway = self.gateways[number]
        if gateway.is_listening:
            gateway.accept(socket)
        return gateway.is_listening

    @property
    def drain_takes(self) -> float:
        """Seconds that a clean restart of a gateway takes at most."""
        return MOVE_WITHIN + GRACE + self.settings.drain_within
