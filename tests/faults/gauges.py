"""How large a process is, as it notes itself every few seconds while that is wished."""

from __future__ import annotations

import asyncio
import gc
import os
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from tests.faults.control import Control

LOOK_EVERY = 0.5  # seconds between looks at whether it is wished


class Gauge(msgspec.Struct, frozen=True):
    """One reading."""

    at: float  # seconds, CLOCK_MONOTONIC
    pid: int
    tasks: int | None  # of asyncio; None: the process has no loop
    descriptors: int  # open, besides the connections of clients, which come and go
    threads: int
    memory: int  # bytes
    objects: int  # that the garbage collector knows
    connections: int  # of clients


def memory_of(pid: int | str = "self") -> int:
    """What a process has for itself, in bytes.

    Pages of files are left out: they are the kernel's to keep or to drop, and a process's share of
    them changes when a neighbour ends.
    """
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return 1024 * sum(
        int(size) for size in re.findall(r"^Pss_(?:Anon|Shmem):\s+(\d+) kB", rollup, re.M)
    )


class Gauges:
    """Takes readings, by a thread of its own, once it is started."""

    def __init__(self, control: Control) -> None:
        self.connections: Callable[[], int] = lambda: 0  # of clients
        self._control = control
        self._loop: asyncio.AbstractEventLoop | None = None
        self._started = False
        self._due = 0.0

    def start(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Begin. The readings are taken in the loop of the process, if it has one."""
        if not self._started:
            self._started = True
            self._loop = loop
            threading.Thread(target=self._run, name="gauges", daemon=True).start()

    def _run(self) -> None:
        while self._loop is None or not self._loop.is_closed():
            every = self._control.read().gauges
            if every and time.monotonic() >= self._due:
                self._due = time.monotonic() + every
                try:
                    if self._loop is None:
                        self._read()
                    else:
                        self._loop.call_soon_threadsafe(self._read)
                except RuntimeError:
                    return  # the loop has ended
            time.sleep(LOOK_EVERY)  # poll

    def _read(self) -> None:
        connections = self.connections()
        gauge = Gauge(
            time.monotonic(),
            os.getpid(),
            len(asyncio.all_tasks()) if self._loop else None,
            len(list(Path("/proc/self/fd").iterdir())) - connections,
            threading.active_count(),
            memory_of(),
            len(gc.get_objects()),
            connections,
        )
        with self._control.gauges.open("ab") as file:
            file.write(msgspec.json.encode(gauge) + b"\n")


def read(path: Path) -> list[Gauge]:
    """All readings that a process and its predecessors have noted."""
    lines = path.read_bytes().splitlines() if path.exists() else []
    return [msgspec.json.decode(line, type=Gauge) for line in lines]
