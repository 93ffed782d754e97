"""Does to a cluster what a schedule says, undoes it, and notes both."""

from __future__ import annotations

import asyncio
import contextlib
import re
import resource
from collections.abc import Awaitable, Callable, Iterable

from tests.faults.cluster import FaultyCluster
from tests.faults.history import Fault, History
from tests.faults.schedule import ACTIVE, Schedule, Shape, Step
from tests.support import Process, eventually

WATCH_EVERY = 0.1  # seconds between looks at who has died
FIRES_WITHIN = 5.0  # seconds for a crash point to be passed
ROOM_TO_LOG = 16 * 1024  # bytes that a worker may still write to its log while the disk is full
EX_CONFIG = 78
HEALED_WITHIN = 60.0  # seconds for every process to be ready again
# What a worker whose database fails says of it.
_EXPECTED = re.compile(
    r"ERROR worker-\S+ what=(turn_failed|reload_failed|database_failed|lease_lost)\b"
)


def shape_of(cluster: FaultyCluster) -> Shape:
    """What there is to be hurt."""
    return Shape(
        [each.name for each in cluster.gateways],
        [each.name for each in cluster.brokers],
        [each.name for each in cluster.workers],
        cluster.links,
    )


class Machine:
    """Hurts one cluster.

    Whatever dies is started again, as the supervisor would, unless a step says that it is down; one
    that ends by itself with EX_CONFIG is not, as it would not be there (supervisord.conf).

    Args:
        clock: seconds since the run began.
    """

    def __init__(
        self, cluster: FaultyCluster, history: History, *, clock: Callable[[], float]
    ) -> None:
        self._cluster = cluster
        self._history = history
        self._clock = clock
        self._down: set[Process] = set()
        self._frozen: set[Process] = set()
        self._by_name = {process.name: process for process in cluster.processes}
        self._do: dict[str, Callable[[Step, Process], Awaitable[None]]] = {
            "kill": self._kill,
            "freeze": self._freeze,
            "restart": self._restart,
            "crash": self._crash,
            "disk_full": self._disk_full,
            "slow": self._slow,
            "refuse": self._refuse,
            "clock": self._clock_jump,
        }

    async def run(self, schedule: Schedule) -> None:
        """Do all of it; returns when it is over and undone."""
        began = self._clock()
        watching = asyncio.create_task(self._watch(), name="watch")
        try:
            async with asyncio.TaskGroup() as tasks:
                for number, step in enumerate(schedule.steps):
                    tasks.create_task(self._take(step, began), name=f"step {number}")
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    async def _take(self, step: Step, began: float) -> None:
        await self._wait(began + step.at - self._clock())
        start = self._clock()
        if step.what == "rolling":
            target = step.target
            await self._rolling()
        elif step.target in self._cluster.links:
            target = step.target
            await self._on_link(step)
        else:
            process = self._cluster.active_worker if step.target == ACTIVE else None
            process = process or self._by_name[step.target]
            target = process.name
            if process.alive and process not in self._down:
                await self._do[step.what](step, process)
        more = f" {step.how}" if step.how else ""
        self._history.note(Fault(start, step.what + more, target, self._clock()))

    @staticmethod
    async def _wait(seconds: float) -> None:
        """A fault has a beginning and a length."""
        await asyncio.sleep(max(0.0, seconds))

    # --- processes ------------------------------------------------------------------------

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_EVERY)  # poll
            await self._start_the_dead()

    async def _start_the_dead(self) -> None:
        for process in self._cluster.processes:
            if not process.alive and process not in self._down and process.status != EX_CONFIG:
                self._frozen.discard(process)
                if process in self._cluster.gateways:
                    await self._cluster.start_gateway(process)
                else:
                    process.start()

    async def _kill(self, step: Step, process: Process) -> None:
        self._down.add(process)
        process.kill()
        await self._wait(step.lasts)
        self._down.discard(process)

    async def _freeze(self, step: Step, process: Process) -> None:
        process.freeze()
        self._frozen.add(process)
        await self._wait(step.lasts)
        # A worker that stands still is ended by the one that stands by.
        if process in self._frozen and process.alive:
            process.thaw()
        self._frozen.discard(process)

    async def _restart(self, step: Step, process: Process) -> None:
        self._down.add(process)
        await process.stop()
        await self._wait(step.lasts)
        self._down.discard(process)

    async def _rolling(self) -> None:
        """One process after another, each once the one before serves again."""
        cluster = self._cluster
        for process in (*cluster.gateways, *cluster.workers, *cluster.brokers):
            self._down.add(process)
            await process.stop()
            await cluster.restart(process)
            self._down.discard(process)

    async def _crash(self, step: Step, process: Process) -> None:
        control = self._cluster.control_of(process)
        control.crashed.unlink(missing_ok=True)
        self._down.add(process)
        control.wish(crash=step.how, after=int(step.amount))
        end = self._clock() + FIRES_WITHIN
        while process.alive and self._clock() < end:
            await asyncio.sleep(WATCH_EVERY)  # poll
        if process.alive:
            control.wish(crash="", after=0)
        else:
            await self._wait(step.lasts)
        self._down.discard(process)

    # --- what a worker stands on ----------------------------------------------------------

    async def _disk_full(self, step: Step, process: Process) -> None:
        """No file may grow: as a full disk, for who writes there."""
        size = process.log.stat().st_size + ROOM_TO_LOG
        await self._while(step, process, lambda on: _limit(process, size if on else None))

    async def _slow(self, step: Step, process: Process) -> None:
        control = self._cluster.control_of(process)
        await self._while(step, process, lambda on: control.wish(slow=step.amount * on))

    async def _refuse(self, step: Step, process: Process) -> None:
        control = self._cluster.control_of(process)
        await self._while(step, process, lambda on: control.wish(refuse=step.how * on))

    async def _clock_jump(self, step: Step, process: Process) -> None:
        control = self._cluster.control_of(process)
        await self._while(step, process, lambda on: control.wish(clock=step.amount * on))

    async def _while(self, step: Step, process: Process, switch: Callable[[bool], None]) -> None:
        switch(True)
        await self._wait(step.lasts)
        if process.alive or step.what != "disk_full":
            switch(False)

    # --- links ----------------------------------------------------------------------------

    async def _on_link(self, step: Step) -> None:
        link = self._cluster.link(step.target)
        match step.what:
            case "cut":
                await link.cut()
            case "hold":
                await link.hold(step.how)
            case "delay":
                await link.delay(step.amount, step.amount / 2)
            case "lose":
                await link.lose(step.amount)
            case "lose_next":
                await link.lose_next(int(step.amount))
        await self._wait(step.lasts)
        await link.heal()

    # --- afterwards -----------------------------------------------------------------------

    async def heal_all(self) -> None:
        """Undo whatever is left, start who is dead; returns when every process is ready.

        Raises:
            AssertionError: one is not, in time.
        """
        cluster = self._cluster
        for name in cluster.links:
            await cluster.link(name).heal()
        self._down.clear()
        for process in cluster.processes:
            cluster.control_of(process).wish(crash="", after=0, slow=0.0, refuse="", clock=0.0)
            if process.alive and process in self._frozen:
                process.thaw()
        self._frozen.clear()

        async def all_ready() -> bool:
            await self._start_the_dead()
            return all(each.alive and "what=ready" in each.output() for each in cluster.processes)

        stopped = [each.name for each in cluster.processes if each.status == EX_CONFIG]
        assert not stopped, f"ended with {EX_CONFIG}, and nobody starts them again: {stopped}"
        await eventually(all_ready, HEALED_WITHIN, what="every process is ready again")

    @staticmethod
    def unexpected(troubles: Iterable[str]) -> list[str]:
        """Of what processes wrote that none may write, what no fault of the database explains."""
        return [line for line in troubles if not _EXPECTED.search(line)]


def _limit(process: Process, size: int | None) -> None:
    """Let a process write no file beyond `size` bytes; None: as it was."""
    soft = resource.RLIM_INFINITY if size is None else size
    with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile, and the limit with it
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (soft, resource.RLIM_INFINITY))
