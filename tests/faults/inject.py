"""`python -m tests.faults.inject KIND ...`: the process of that kind, with seams for faults in it.

The product has none of this: what is patched here are its calls of SQLite, of the bus and of the
clock. What is to happen stands in the process's control file (control.py).
"""

from __future__ import annotations

import asyncio
import os
import runpy
import signal
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.faults.control import VARIABLE, Control
from tests.faults.gauges import Gauges

LEAVES = 0.05  # seconds for what was published to leave the process


class Faults:
    """What is wished of this process, and how it is done."""

    def __init__(self, control: Control) -> None:
        self.control = control
        self.has_events = False  # the transaction that is open, or was the last, stores events
        self._passed = 0  # turns with events, since a crash was wished
        self._wished = ""

    def crash_at(self, point: str) -> None:
        """Die here if that is wished."""
        wishes = self.control.read()
        if wishes.crash != point or not self.has_events:
            return
        if wishes.crash != self._wished:
            self._wished, self._passed = wishes.crash, 0
        self._passed += 1
        if self._passed <= wishes.after:
            return
        if point in ("after_publish", "after_answers"):
            time.sleep(LEAVES)
        self.control.wish(crash="", after=0)
        self.control.crashed.write_text(point)
        os.kill(os.getpid(), signal.SIGKILL)


class Connection:
    """A connection of sqlite3 that fails, waits or dies at its transactions as wished."""

    def __init__(self, raw: sqlite3.Connection, faults: Faults) -> None:
        self._raw = raw
        self._faults = faults

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        """As sqlite3's."""
        if sql == "BEGIN IMMEDIATE":
            return self._begin(sql)
        if sql == "COMMIT":
            return self._commit(sql)
        return self._raw.execute(sql, *parameters)

    def executemany(self, sql: str, rows: Any) -> sqlite3.Cursor:
        """As sqlite3's."""
        if sql.startswith("INSERT INTO events"):
            self._faults.has_events = True
        return self._raw.executemany(sql, rows)

    def _begin(self, sql: str) -> sqlite3.Cursor:
        self._faults.has_events = False
        if self._faults.control.read().refuse == "begin":
            raise sqlite3.OperationalError("disk I/O error, as wished")
        return self._raw.execute(sql)

    def _commit(self, sql: str) -> sqlite3.Cursor:
        self._faults.crash_at("before_commit")
        wishes = self._faults.control.read()
        if wishes.slow:
            time.sleep(wishes.slow)
        if wishes.refuse == "commit":
            raise sqlite3.OperationalError("disk I/O error, as wished")
        done = self._raw.execute(sql)
        if wishes.refuse == "outcome":
            raise sqlite3.OperationalError("disk I/O error after the fact, as wished")
        self._faults.crash_at("after_commit")
        return done


def patch_clock(control: Control) -> None:
    """The wall clock is as far ahead as wished; the monotonic one is left alone."""
    real, real_ns = time.time, time.time_ns
    time.time = lambda: real() + control.read().clock
    time.time_ns = lambda: real_ns() + int(control.read().clock * 1e9)


def patch_worker(faults: Faults) -> None:
    """Transactions, and what is sent after them."""
    from worker.mail import Mail
    from worker.store import Store

    init = Store.__init__
    flush = Mail.flush

    def connected(self: Store, *arguments: Any) -> None:
        init(self, *arguments)
        self._raw = Connection(self._raw, faults)  # type: ignore[assignment]

    def flushed(self: Mail, position: int, taken: Callable[[str], int]) -> None:
        answers = bool(self._answers)
        if answers:
            faults.crash_at("after_publish")
        flush(self, position, taken)
        if answers:
            faults.crash_at("after_answers")

    Store.__init__ = connected  # type: ignore[method-assign,assignment]
    Mail.flush = flushed  # type: ignore[method-assign]


def patch_bus(gauges: Gauges) -> None:
    """Where the loop is known, begin to note how large the process is."""
    from hubbub.bus import Bus

    start = Bus.start

    async def started(self: Bus) -> None:
        await start(self)
        gauges.start(asyncio.get_running_loop())

    Bus.start = started  # type: ignore[method-assign]


def patch_gateway(gauges: Gauges) -> None:
    """How many clients are connected, which is no growth."""
    from gateway.hub import Hub

    init = Hub.__init__

    def made(self: Hub, *arguments: Any) -> None:
        init(self, *arguments)
        gauges.connections = lambda: self.connected

    Hub.__init__ = made  # type: ignore[method-assign,assignment]


def main(argv: list[str]) -> None:
    """Be the process."""
    kind, *arguments = argv
    number = arguments[arguments.index("--number") + 1]
    control = Control(Path(os.environ.pop(VARIABLE)), f"{kind}-{number}")
    gauges = Gauges(control)
    if kind == "broker":
        # As the broker itself will do: a thread that takes its signals would end it at once.
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))
        gauges.start()
    else:
        patch_clock(control)
        patch_bus(gauges)
        if kind == "gateway":
            patch_gateway(gauges)
    if kind == "worker":
        patch_worker(Faults(control))
    sys.argv = [kind, *arguments]
    runpy.run_module(kind, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
