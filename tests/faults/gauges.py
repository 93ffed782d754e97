"""How large a process is, as it notes itself every few seconds while that is wished."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import re
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from tests.faults.control import Control

LOOK_EVERY = 0.5  # seconds between looks at whether it is wished
BLOCK = 96  # bytes of a small block of Python, about, as sys._debugmallocstats tells of a worker


class Gauge(msgspec.Struct, frozen=True):
    """One reading."""

    at: float  # seconds, CLOCK_MONOTONIC
    pid: int
    tasks: int | None  # of asyncio; None: the process has no loop
    descriptors: int  # open, besides the connections of clients, which come and go
    threads: int
    memory: int  # bytes, resident
    held: int  # bytes, about, that the process has asked for and not given back
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


class _Mallinfo(ctypes.Structure):
    """`struct mallinfo2`, mallinfo(3)."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    )


# None: there is no glibc, or one older than 2.33. Looked for once: each time would cost a KiB.
_mallinfo = getattr(ctypes.CDLL(None), "mallinfo2", None)
if _mallinfo is not None:
    _mallinfo.restype = _Mallinfo


def held_here() -> int:
    """What this process has asked for and not given back, in bytes; 0 where nobody can tell.

    It is what leaks grow, without the holes between: those come and go by MiB. Python tells how
    many small blocks it has given out, not how large they are.
    """
    if _mallinfo is None:
        return 0
    found = _mallinfo()
    return int(found.uordblks + found.hblkhd) + sys.getallocatedblocks() * BLOCK


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
        gc.collect()  # garbage comes and goes by MiB, in cycles of up to half an hour
        connections = self.connections()
        gauge = Gauge(
            time.monotonic(),
            os.getpid(),
            len(asyncio.all_tasks()) if self._loop else None,
            len(list(Path("/proc/self/fd").iterdir())) - connections,
            threading.active_count(),
            memory_of(),
            held_here(),
            connections,
        )
        with self._control.gauges.open("ab") as file:
            file.write(msgspec.json.encode(gauge) + b"\n")


def read(path: Path) -> list[Gauge]:
    """All readings that a process and its predecessors have noted."""
    lines = path.read_bytes().splitlines() if path.exists() else []
    return [msgspec.json.decode(line, type=Gauge) for line in lines]
