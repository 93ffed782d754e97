"""The lock that makes one worker the owner, its beat, and the end of a holder that hangs.

Nothing heavy is imported here: a standby spends its life in this module.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

LOCK_FILE = "worker.lock"
BEAT_FILE = "worker.beat"
BEAT_EVERY = 0.25  # seconds
LOADED_WITHIN = 30.0  # seconds for a new holder to load what it needs
DIES_WITHIN = 2.0  # seconds for a killed holder to be gone
_BEAT = struct.Struct("!Q")
MOST_BEATS = 2**64
MOST_PID = 2**31 - 1  # that the kernel can be asked for


def start_time(pid: int) -> str | None:
    """When a process began, in the kernel's ticks: with the pid it names one process for ever."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The second field is the command in parentheses, and may hold anything.
    return stat.rpartition(")")[2].split()[19]


class Lease:
    """The right to be the owner in one data directory: a lock file, and a beat beside it.

    Both files are ours alone and not inherited by children, or a migration that outlives its
    worker would hold the lock.
    """

    def __init__(self, data: Path) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self._lock = os.open(data / LOCK_FILE, flags, 0o600)
        self._beat = os.open(data / BEAT_FILE, flags, 0o600)
        self._beats = self.read_beat()
        self.held = False

    def try_take(self) -> bool:
        """Become the holder if nobody is."""
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        self.held = True
        pid = os.getpid()
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{pid} {start_time(pid)}\n".encode(), 0)
        self._beats = self.read_beat()
        self.beat()
        return True

    def release(self) -> None:
        """Let somebody else be the holder."""
        if self.held:
            os.ftruncate(self._lock, 0)
            fcntl.flock(self._lock, fcntl.LOCK_UN)
            self.held = False

    def close(self) -> None:
        """Release and close the files."""
        self.release()
        os.close(self._lock)
        os.close(self._beat)

    def beat(self) -> None:
        """Say that the holder's loop turns."""
        self._beats = (self._beats + 1) % MOST_BEATS  # what is in the file may be anything
        os.pwrite(self._beat, _BEAT.pack(self._beats), 0)

    @contextlib.contextmanager
    def beating(self) -> Iterator[None]:
        """Beat beside what there is no loop for yet, or a standby takes a busy machine for a hang.

        For a while only: a holder that hangs here, too, is to be seen.
        """
        over = threading.Event()

        def beat() -> None:
            for _ in range(round(LOADED_WITHIN / BEAT_EVERY)):
                self.beat()
                if over.wait(BEAT_EVERY):
                    return

        thread = threading.Thread(target=beat, name="beat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def read_beat(self) -> int:
        """How often the holders have beaten so far."""
        data = os.pread(self._beat, _BEAT.size, 0)
        return int(_BEAT.unpack(data)[0]) if len(data) == _BEAT.size else 0

    def holder(self) -> tuple[int, str] | None:
        """Process id and start time of the holder, as it wrote them; None while nobody has."""
        words = os.pread(self._lock, 64, 0).decode(errors="replace").split()
        if len(words) != 2 or not words[0].isdecimal() or int(words[0]) > MOST_PID:
            return None
        return int(words[0]), words[1]

    def end_holder(self) -> int | None:
        """Kill the process that holds the lock and hangs; its pid, None when it was not there.

        A pid alone may have passed to a stranger: the descriptor pins the process first, then its
        start time is compared, then it is killed through the descriptor.
        """
        holder = self.holder()
        if holder is None or holder[0] == os.getpid():
            return None
        pid, began = holder
        try:
            descriptor = os.pidfd_open(pid)
        except OSError:
            return None
        try:
            if start_time(pid) != began:
                return None
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            select.select([descriptor], [], [], DIES_WITHIN)
        finally:
            os.close(descriptor)
        return pid


class Watch:
    """A standby's eye on the beat. Pure: it is shown the beat at each tick of the standby's own.

    Counted in own ticks, not by the clock: a machine that slept has no hanging worker.
    """

    def __init__(self, hung_after: float) -> None:
        self._limit = max(2, round(hung_after / BEAT_EVERY))
        self._seen: int | None = None
        self._still = 0

    def tick(self, beat: int) -> bool:
        """True when the beat has stood still for too long; the count then begins anew."""
        if beat != self._seen:
            self._seen = beat
            self._still = 0
            return False
        self._still += 1
        if self._still < self._limit:
            return False
        self._still = 0
        return True
