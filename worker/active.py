"""The active worker: takes the database, joins the bus, and runs the loop until told to end."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import secrets
import signal
import sqlite3
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import uvloop
from sqlalchemy.exc import SQLAlchemyError

from hubbub import wire
from hubbub.bus import Bus, broker_addresses
from hubbub.errors import ConfigError, LeaseLost
from hubbub.settings import Settings
from worker.exits import EX_TRY_LATER, START_AGAIN_AFTER, TryLater, is_passing
from worker.lease import BEAT_EVERY, Lease
from worker.searching import Searches
from worker.shard import Shard
from worker.store import Store
from worker.version import database_path

BUS_WITHIN = 5.0  # seconds
NOTE_FILE = "epoch"
KEY_FILE = "operator.key"


def run(
    settings: Settings,
    identity: str,
    lease: Lease,
    log: logging.Logger,
    migration: subprocess.Popen[bytes] | None,
) -> int:
    """Be the owner; returns the exit status.

    Raises:
        ConfigError: the database cannot be used.
        TryLater, OSError: it cannot be used now, and perhaps later.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_Active(settings, identity, lease, log).run(migration))


def operator_key(data: Path) -> str:
    """What makes an account an operator of the cluster: whoever can read the data directory.

    Made anew when the file is not there, or empty.

    Raises:
        ConfigError: it can be neither read nor made.
        OSError: the disk is full or failing.
    """
    path = data / KEY_FILE
    try:
        if not path.exists() or not path.read_text(encoding="ascii").strip():
            fresh = path.with_name(f"{KEY_FILE}.{secrets.token_hex(4)}")
            with os.fdopen(
                os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w"
            ) as file:
                file.write(secrets.token_urlsafe(32) + "\n")
                file.flush()
                os.fsync(file.fileno())  # or a power cut leaves the name without what it names
            fresh.replace(path)
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        if is_passing(error):
            raise
        raise ConfigError(f"operator key {path}: {error}") from None


def check_migration(status: int) -> None:
    """Look at how the process ended that was to bring the database to this version's schema.

    Raises:
        ConfigError: it cannot be brought there.
        TryLater: perhaps another time: the disk was full, or the process was killed.
    """
    trouble = "the database could not be brought to this version's schema"
    if status == EX_TRY_LATER or status < 0:
        raise TryLater(trouble)
    if status != 0:
        raise ConfigError(trouble)


class _Active:
    def __init__(
        self, settings: Settings, identity: str, lease: Lease, log: logging.Logger
    ) -> None:
        self._settings = settings
        self._identity = identity
        self._lease = lease
        self._log = log
        self._stop = asyncio.Event()

    async def run(self, migration: subprocess.Popen[bytes] | None) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        self._beat()
        # One thread, since SQLite's connection is one's own, and turns are one after the other.
        thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        bus = Bus(
            broker_addresses(self._settings),
            identity=self._identity,
            inbox=wire.worker_topic(self._identity),
            settings=self._settings,
            log=self._log,
            watch=True,
        )
        try:
            return await self._serve(thread, bus, migration)
        finally:
            bus.close()
            thread.shutdown()

    async def _serve(
        self, thread: ThreadPoolExecutor, bus: Bus, migration: subprocess.Popen[bytes] | None
    ) -> int:
        loop = asyncio.get_running_loop()
        data = self._settings.data_dir
        searches = Searches(database_path(data), self._log)
        shard = Shard(
            self._settings,
            self._identity,
            bus,
            thread,
            self._log,
            searches=searches,
            operator_key=operator_key(data),
        )
        await bus.start()
        if migration is not None:
            check_migration(await loop.run_in_executor(thread, migration.wait))
        try:
            store = await loop.run_in_executor(thread, Store, database_path(data), data / NOTE_FILE)
        except (sqlite3.Error, SQLAlchemyError) as error:
            return await self._database_failed(error)
        try:
            term = await shard.begin(store)
            gc.freeze()
            # What a turn makes holds no cycles: looking for them often costs a sixth of the CPU.
            gc.set_threshold(50_000, 20, 100)
            stopping = loop.create_task(self._stop.wait(), name="stop")
            serving = loop.create_task(shard.run(), name="shard")
            heard = loop.create_task(bus.ready(), name="bus ready")
            either = {stopping, heard}
            await asyncio.wait(either, timeout=BUS_WITHIN, return_when=asyncio.FIRST_COMPLETED)
            if not heard.done():
                # Nothing is wrong here: brokers may come later, and then we serve.
                self._log.warning("what=no_broker_answers")
                heard.cancel()
            self._log.info("what=ready role=active term=%d", term)
            await asyncio.wait({stopping, serving}, return_when=asyncio.FIRST_COMPLETED)
            self._log.info("what=stopping")
            stopping.cancel()
            shard.stop()
            await serving
        except LeaseLost as error:
            self._log.error("what=lease_lost why=%r", str(error))
            return EX_TRY_LATER
        except (sqlite3.Error, SQLAlchemyError) as error:
            return await self._database_failed(error)
        finally:
            searches.close()
            await loop.run_in_executor(thread, store.close)
        return 0

    async def _database_failed(self, error: Exception) -> int:
        """Neither readable nor writable: perhaps later, for whoever starts us again."""
        self._log.error("what=database_failed why=%r", str(error))
        await asyncio.sleep(START_AGAIN_AFTER)
        return EX_TRY_LATER

    def _beat(self) -> None:
        """Count up while the loop turns; a commit in the thread does not stop it."""
        asyncio.get_running_loop().call_later(BEAT_EVERY, self._beat)
        try:
            self._lease.beat()
        except OSError as error:  # it may pass; who does not beat for long is ended
            self._log.warning("what=beat_failed why=%r", error.strerror)
