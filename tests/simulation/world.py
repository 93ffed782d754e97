"""Virtual time: all that happens in a run, one thing after the other, as the seed decides.

A process has a loop of its own, which can stand still or be gone for good; the time is one for all.
Nothing waits: between two things that happen the clock jumps.
"""

from __future__ import annotations

import asyncio
import random
from asyncio import events
from collections import Counter, deque
from collections.abc import Callable, Coroutine
from heapq import heappop, heappush
from typing import Any, TypeVar

T = TypeVar("T")
BEGAN = 1_700_000_000.0  # what the wall clock says when a run begins, seconds since 1970


class Killed(BaseException):
    """The process that this is raised in is no more: nothing of it goes on."""


class Handle(asyncio.TimerHandle):
    """Something that is to be called at its time."""

    __slots__ = ("arguments", "owner", "what")

    def __init__(
        self, when: float, what: Callable[..., Any], arguments: tuple[Any, ...], owner: Loop | None
    ) -> None:
        # Not asyncio's own constructor, which costs more than most of what is called.
        self._when = when
        self.what: Callable[..., Any] | None = what
        self.arguments = arguments
        self.owner = owner

    def when(self) -> float:
        return self._when

    def cancel(self) -> None:
        self.what = None
        self.arguments = ()

    def cancelled(self) -> bool:
        return self.what is None

    def __repr__(self) -> str:
        return f"<Handle {self.what!r} at {self._when:.3f}>"


class World:
    """The time, the chance, and what is to come.

    Attributes:
        now: seconds since the run began.
        random: decides all that is left open.
        current: the loop of the process that something happens in.
        counts: how often things have happened, for the last line of a run.
        errors: what no process should ever raise.
    """

    def __init__(self, seed: int) -> None:
        self.now = 0.0
        self.random = random.Random(seed)
        self.current: Loop | None = None
        self.counts: Counter[str] = Counter()
        self.errors: list[str] = []
        self.verbose = False
        self._to_come: list[tuple[float, int, Handle]] = []
        self._soon: deque[Handle] = deque()
        self._count = 0

    def at(self, when: float, what: Callable[..., Any], *arguments: Any) -> Handle:
        """Have something happen that is no process's doing."""
        handle = Handle(when, what, arguments, None)
        self.add(handle)
        return handle

    def after(self, seconds: float, what: Callable[..., Any], *arguments: Any) -> Handle:
        """The same, so many seconds from now."""
        return self.at(self.now + seconds, what, *arguments)

    def add(self, handle: Handle) -> None:
        """Have it called at its time; those of one time in the order in which they were added."""
        self._count += 1
        heappush(self._to_come, (handle._when, self._count, handle))

    def add_soon(self, handle: Handle) -> None:
        """Have it called before the time goes on."""
        self._soon.append(handle)

    def run(self, until: float) -> None:
        """Let everything happen up to a time."""
        to_come, soon = self._to_come, self._soon
        while True:
            if soon:
                handle = soon.popleft()
            elif to_come and to_come[0][0] <= until:
                when, _, handle = heappop(to_come)
                self.now = max(when, self.now)
            else:
                break
            what = handle.what
            if what is None:
                continue
            owner = handle.owner
            if owner is None:
                what(*handle.arguments)
            else:
                owner.call(handle, what)
        self.now = until

    def enter(self, loop: Loop | None) -> None:
        """What happens next happens in this process."""
        if self.current is not loop:
            self.current = loop
            events._set_running_loop(loop)

    def wall(self) -> float:
        """What the wall clock of the process that asks says: seconds since 1970."""
        ahead = self.current.clock_ahead if self.current is not None else 0.0
        return BEGAN + self.now + ahead

    def tell(self, text: str) -> None:
        """A line for whoever reads along."""
        if self.verbose:
            print(f"{self.now:9.4f} {text}")

    def broken(self, where: str, error: BaseException) -> None:
        """Note what should never be raised."""
        self.errors.append(f"{where}: {type(error).__name__}: {error}")
        if self.verbose:
            import traceback

            traceback.print_exception(error)


class Loop(asyncio.AbstractEventLoop):
    """What asyncio's users find as the running loop in one process.

    Attributes:
        clock_ahead: seconds by which the wall clock of this process is ahead.
        slowness: seconds that a job in a thread takes at most.
    """

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.clock_ahead = 0.0
        self.slowness = 0.003
        self.is_dead = False
        self.is_frozen = False
        self._waits: list[Handle] = []
        self._thread_free_at = 0.0
        self._is_working = False  # in a thread

    # --- life and death -------------------------------------------------------------------

    def call(self, handle: Handle, what: Callable[..., Any]) -> None:
        """Have something happen in this process, or later, or never."""
        if self.is_frozen:
            self._waits.append(handle)
            return
        if self.is_dead:
            return
        self.world.enter(self)
        try:
            what(*handle.arguments)
        except Killed:
            pass
        except Exception as error:
            self.world.broken(self.name, error)

    def freeze(self) -> None:
        """Stand still: what is to happen in here waits."""
        self.is_frozen = True

    def thaw(self) -> None:
        """Go on, with all that has waited."""
        self.is_frozen = False
        waits, self._waits = self._waits, []
        for handle in waits:
            self.world.add_soon(handle)

    def kill(self) -> None:
        """Nothing happens in here any more."""
        self.is_dead = True
        self.is_frozen = False
        self._waits.clear()

    # --- asyncio's own --------------------------------------------------------------------

    def time(self) -> float:
        return self.world.now

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., Any], *args: Any, context: Any = None
    ) -> Handle:
        handle = Handle(self.world.now, callback, args, self)
        self.world.add_soon(handle)
        return handle

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Callable[..., Any], *args: Any, context: Any = None
    ) -> Handle:
        if self._is_working and self.world.random.random() < 0.5:
            # The loop's own thread is as fast as the one that says so.
            callback(*args)
            return Handle(self.world.now, callback, args, self)
        return self.call_soon(callback, *args)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., Any], *args: Any, context: Any = None
    ) -> Handle:
        handle = Handle(when, callback, args, self)
        self.world.add(handle)
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., Any], *args: Any, context: Any = None
    ) -> Handle:
        return self.call_at(self.world.now + delay, callback, *args)

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, T], *, name: object = None, context: Any = None
    ) -> asyncio.Task[T]:
        task = asyncio.Task(coro, loop=self)
        # A killed process leaves tasks behind that nobody ends.
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        return task

    def run_in_executor(  # type: ignore[override]
        self, executor: object, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """Have a thread do it: one job after the other, each at one moment within its time."""
        future: asyncio.Future[T] = asyncio.Future(loop=self)
        chance = self.world.random.random
        begins = max(self.world.now, self._thread_free_at) + chance() * self.slowness
        ends = begins + chance() * self.slowness
        self._thread_free_at = ends
        self.call_at(begins, self._work, ends, future, func, args)
        return future

    def _work(
        self,
        ends: float,
        future: asyncio.Future[T],
        func: Callable[..., T],
        args: tuple[Any, ...],
    ) -> None:
        self._is_working = True
        try:
            result = func(*args)
        except Killed:
            pass  # whoever raises it has killed the process
        except Exception as error:
            self.call_at(ends, _fail, future, error)
        else:
            self.call_at(ends, _succeed, future, result)
        finally:
            self._is_working = False

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if not self.is_dead and isinstance(error, Exception):
            self.world.broken(self.name, error)


def _fail(future: asyncio.Future[Any], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)


def _succeed(future: asyncio.Future[T], result: T) -> None:
    if not future.done():
        future.set_result(result)
