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
    tasks: int
    descriptors: int  # open, besides the connections of clients, which come and go
    threads: int
    pss: int  # bytes
    objects: int  # that the garbage collector knows


def pss(pid: int | str = "self") -> int:
    """The memory of a process in bytes, what is shared counted by its share."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = re.search(r"^Pss:\s+(\d+) kB", rollup, re.M)
    return int(found[1]) * 1024 if found else 0


class Gauges:
    """Takes readings in a thread of its own, once it knows the loop."""

    def __init__(self, control: Control) -> None:
        self.connections: Callable[[], int] = lambda: 0  # of clients
        self._control = control
        self._loop: asyncio.AbstractEventLoop | None = None
        self._due = 0.0

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin."""
        if self._loop is None:
            self._loop = loop
            threading.Thread(target=self._run, name="gauges", daemon=True).start()

    def _run(self) -> None:
        while self._loop is not None and not self._loop.is_closed():
            every = self._control.read().gauges
            if every and time.monotonic() >= self._due:
                self._due = time.monotonic() + every
                try:
                    self._loop.call_soon_threadsafe(self._read)
                except RuntimeError:
                    return  # the loop has ended
            time.sleep(LOOK_EVERY)  # poll

    def _read(self) -> None:
        gauge = Gauge(
            time.monotonic(),
            os.getpid(),
            len(asyncio.all_tasks()),
            len(list(Path("/proc/self/fd").iterdir())) - self.connections(),
            threading.active_count(),
            pss(),
            len(gc.get_objects()),
        )
        with self._control.gauges.open("ab") as file:
            file.write(msgspec.json.encode(gauge) + b"\n")


def read(path: Path) -> list[Gauge]:
    """All readings that a process and its predecessors have noted."""
    lines = path.read_bytes().splitlines() if path.exists() else []
    return [msgspec.json.decode(line, type=Gauge) for line in lines]
