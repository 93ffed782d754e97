"""Passwords: which may be one, and the few threads that hash them, slowly and out of the way."""

from __future__ import annotations

import base64
import contextlib
import ctypes
import functools
import os
import threading
import time
import unicodedata
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from hubbub.errors import Code, Refused
from hubbub.names import name_key

if TYPE_CHECKING:
    from argon2 import PasswordHasher

MAX_PASSWORD = 256  # characters
# argon2id, the second recommendation of OWASP: 20 to 45 ms, and no more memory than two threads
# of it may take in a small server.
PASSES = 2
MEMORY = 19_456  # KiB
LANES = 1
NO_MEMORY = "Memory allocation error"  # as the library says it
NICE = 10  # of the threads that hash: everybody else's messages go first
REST = 5.0  # seconds without work, then a thread gives back the memory that it hashed in
SECONDS_EACH = 0.05  # until one was measured
_REFUSED_CATEGORIES = frozenset({"Cc", "Cs", "Cn"})


def prepare(password: str) -> str:
    """The form in which a password is hashed: PRECIS OpaqueString (RFC 8265).

    NFC, so that the same letters typed on another system are the same password, and every kind of
    space is a space. Not NFKC and no case folding: they would make passwords equal that are not.
    """
    spaced = "".join(" " if unicodedata.category(c) == "Zs" else c for c in password)
    return unicodedata.normalize("NFC", spaced)


def check_new(password: str, name: str, least: int) -> str:
    """Return `password`, prepared, if it may be the new one of `name`.

    Raises:
        Refused: with `bad_password` and the reason.
    """
    prepared = prepare(password)
    for character in prepared:
        if unicodedata.category(character) in _REFUSED_CATEGORIES:
            raise Refused(
                Code.BAD_PASSWORD,
                f"a password may not contain control characters (U+{ord(character):04X})",
            )
    if len(prepared) < least:
        raise Refused(Code.BAD_PASSWORD, f"a password has at least {least} characters")
    if len(prepared) > MAX_PASSWORD:
        raise Refused(Code.BAD_PASSWORD, f"a password has at most {MAX_PASSWORD} characters")
    if not prepared.strip():
        raise Refused(Code.BAD_PASSWORD, "a password is more than spaces")
    if name_key(prepared) == name_key(name):
        raise Refused(Code.BAD_PASSWORD, "the name may not be the password")
    return prepared


# --- hashing: called in the pool's threads ----------------------------------------------------


class UnavailableError(Exception):
    """It could not be hashed now: there is no memory."""


def hashed(password: str) -> str:
    """The hash to store of a prepared password, with its parameters.

    Raises:
        UnavailableError: there is no memory for it.
    """
    from argon2.exceptions import HashingError

    try:
        return _hasher().hash(_encoded(password))
    except HashingError as error:
        raise UnavailableError(str(error)) from None


def matches(against: str, password: str) -> bool:
    """Whether the hash `against` was made from a prepared password.

    Empty, or no hash of ours: the same work is done, and then it is False.

    Raises:
        UnavailableError: there is no memory for it.
    """
    from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

    for stored in (against, _dummy()):
        try:
            return _hasher().verify(stored, _encoded(password))
        except VerifyMismatchError:
            return False
        except InvalidHashError:
            continue  # nothing was computed
        except VerificationError as error:
            if str(error) == NO_MEMORY:
                raise UnavailableError(NO_MEMORY) from None
    return False


def is_outdated(against: str) -> bool:
    """Whether a hash was made with other parameters than those of today."""
    return _hasher().check_needs_rehash(against)


def _encoded(password: str) -> bytes:
    return password.encode("utf-8", "surrogatepass")


@functools.cache
def _hasher() -> PasswordHasher:
    # Loaded with the first password: neither a standby nor a cluster of guests needs it.
    import argon2

    return argon2.PasswordHasher(time_cost=PASSES, memory_cost=MEMORY, parallelism=LANES)


@functools.cache
def _dummy() -> str:
    """What the password of a name without account is compared with, so that it takes as long.

    Written down rather than computed: no password is known that has this hash.
    """
    salt, digest = (_base64(os.urandom(size)) for size in (16, 32))
    return f"$argon2id$v=19$m={MEMORY},t={PASSES},p={LANES}${salt}${digest}"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode().rstrip("=")


# --- the threads -------------------------------------------------------------------------------


class Pool:
    """A few threads of low priority that do long work, and two short queues before them.

    The threads start with the first job. They are daemons: nobody waits for them at the end.

    Args:
        threads: how many jobs run at a time.
        waiting: how many may wait in each queue.
    """

    def __init__(self, threads: int, waiting: int) -> None:
        self._threads = threads
        self._waiting = waiting
        # Who is known goes first, and is never turned away because of strangers.
        self._known: deque[Callable[[], None]] = deque()
        self._strangers: deque[Callable[[], None]] = deque()
        self._changed = threading.Condition()
        self._started = 0
        self._idle = 0
        self._closed = False
        self._seconds_each = SECONDS_EACH

    def submit(self, job: Callable[[], None], *, known: bool = False) -> float:
        """Have a thread call `job`, which must not raise: 0.0, or seconds until there is space.

        Args:
            known: it goes before all that are not.
        """
        queue = self._known if known else self._strangers
        with self._changed:
            if self._closed or len(queue) >= self._waiting:
                return max(1.0, self._waiting * self._seconds_each / self._threads)
            queue.append(job)
            if self._started < self._threads and self._idle < self.waiting:
                self._started += 1
                threading.Thread(
                    target=self._run, name=f"password {self._started}", daemon=True
                ).start()
            self._changed.notify()
        return 0.0

    @property
    def waiting(self) -> int:
        """How many jobs no thread has begun."""
        return len(self._known) + len(self._strangers)

    def close(self) -> None:
        """Drop what waits and end the threads, each when its job is done. Does not wait."""
        with self._changed:
            self._closed = True
            self._known.clear()
            self._strangers.clear()
            self._changed.notify_all()

    def _run(self) -> None:
        _step_back()
        while True:
            job = self._next(REST)
            if job is None:
                _give_memory_back()
                job = self._next(None)
            if job is None:
                return
            before = time.monotonic()
            job()
            # The last eight or so: the machine may be busy now.
            self._seconds_each += (time.monotonic() - before - self._seconds_each) / 8

    def _next(self, within: float | None) -> Callable[[], None] | None:
        """The next job; None: there was none in that time, or there will be none any more."""
        with self._changed:
            self._idle += 1
            try:
                self._changed.wait_for(lambda: self.waiting or self._closed, within)
            finally:
                self._idle -= 1
            queue = self._known or self._strangers
            return queue.popleft() if queue and not self._closed else None


def _step_back() -> None:
    """Lower this thread's priority, on Linux a thread's own; hashing does not hold the GIL."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)


# --- memory -------------------------------------------------------------------------------------
#
# A hash fills 19 MiB. Freshly mapped each time, they cost half as much again as the hash (measured:
# 30 ms rather than 20), so glibc soon keeps them for the thread; but it would keep them for ever,
# and an idle worker would be as large as a busy one. Other C libraries map them each time.

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h of glibc
KEPT = 64 * 1024 * 1024  # bytes that are free at the end of a thread's memory, and not given back
NOT_KEPT = 1024 * 1024
LARGEST = 32 * 1024 * 1024  # bytes: what is larger is mapped; glibc takes no higher border
ENOUGH_TO_LOOK = 256 * 1024  # bytes: when so much is freed, glibc looks at what it could give back


def _give_memory_back() -> None:
    """Give the system what this thread has kept, and keep what comes from now on."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.malloc.restype = ctypes.c_void_p
        libc.free.argtypes = [ctypes.c_void_p]
        libc.mallopt(M_TRIM_THRESHOLD, NOT_KEPT)
        libc.free(libc.malloc(ctypes.c_size_t(ENOUGH_TO_LOOK)))
        # Whoever sets one border sets both: glibc moves neither by itself any more.
        libc.mallopt(M_MMAP_THRESHOLD, LARGEST)
        libc.mallopt(M_TRIM_THRESHOLD, KEPT)
