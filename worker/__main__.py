"""`python -m worker --number N`: stand by until nobody else is the owner, then be it."""

from __future__ import annotations

import logging
import secrets
import signal
import sqlite3
import subprocess
import sys
import time
import types
from pathlib import Path

from hubbub import logs, settings
from hubbub.errors import ConfigError
from worker.exits import EX_CONFIG, EX_TRY_LATER, START_AGAIN_AFTER, TryLater, is_passing
from worker.lease import BEAT_EVERY, Lease, Watch
from worker.version import SCHEMA, database_path, version_of


class _Leave(Exception):
    """A signal asked a standby to end."""


def main(argv: list[str]) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit status."""
    try:
        return _serve(argv)
    except _Leave:
        logging.getLogger("hubbub").info("what=stopping")
        return 0
    except ConfigError as error:
        print(f"worker: {error}", file=sys.stderr)
        return EX_CONFIG
    except (sqlite3.OperationalError, TryLater) as error:
        return _try_later("database", error)
    except OSError as error:
        if not is_passing(error):
            raise
        return _try_later("disk", error)


def _try_later(what: str, error: Exception) -> int:
    logging.getLogger("hubbub").error("what=%s_failed why=%r", what, str(error))
    time.sleep(START_AGAIN_AFTER)
    return EX_TRY_LATER


def _serve(argv: list[str]) -> int:
    chosen, number = settings.load(argv, process="worker")
    identity = f"worker-{number}.{secrets.token_hex(3)}"
    log = logs.setup(identity, chosen.log_level)
    data = settings.make_data_dir(chosen)
    version_of(database_path(data))
    lease = open_lease(data)
    try:
        stand_by(lease, chosen.hung_after, log)
        return own(chosen, identity, lease, log)
    finally:
        lease.close()


def open_lease(data: Path) -> Lease:
    """The lock of a data directory.

    Raises:
        ConfigError: its files cannot be opened.
        OSError: the disk is full or failing.
    """
    try:
        return Lease(data)
    except OSError as error:
        if is_passing(error):
            raise
        raise ConfigError(f"data directory {data}: {error.strerror}") from None


def stand_by(lease: Lease, hung_after: float, log: logging.Logger) -> None:
    """Return as the holder of the lease."""
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, _leave)
    if lease.try_take():
        return
    # Whoever stands by is ready: there is nothing more to wait for.
    log.info("what=ready role=standby")
    watch = Watch(hung_after)
    while not lease.try_take():
        if watch.tick(lease.read_beat()):
            pid = lease.end_holder()
            log.warning("what=hung_holder_ended pid=%s", pid)
        time.sleep(BEAT_EVERY)


def own(chosen: settings.Settings, identity: str, lease: Lease, log: logging.Logger) -> int:
    """Be the owner until told to end, or until the lease is lost.

    Raises:
        ConfigError: the database is not one that this program can work with.
        sqlite3.OperationalError, TryLater, OSError: it cannot be used now, and perhaps later.
    """
    path = database_path(chosen.data_dir)
    with lease.beating():
        migration = begin_migration(path) if version_of(path) < SCHEMA else None
        # Heavy: a standby does without. Meanwhile the migration runs.
        from worker import active

    return active.run(chosen, identity, lease, log, migration)


def begin_migration(path: Path) -> subprocess.Popen[bytes]:
    """Start the process that brings the database to today's schema, and ends."""
    argv = [sys.executable, "-m", "worker.migrate", str(path)]
    return subprocess.Popen(argv, stdin=subprocess.DEVNULL)


def _leave(number: int, frame: types.FrameType | None) -> None:
    raise _Leave


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
