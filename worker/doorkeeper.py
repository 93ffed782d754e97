"""Looks at passwords before the rules decide: who has to wait, and whether the password is right.

In the loop's thread, but for the hashing. What a stranger is told, and how long it takes, is the
same whether there is an account of that name or not.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from hubbub.errors import Code, Refused
from hubbub.frames import Error, Login, Passwd, Register, Unregister
from hubbub.names import name_key
from hubbub.settings import Settings
from worker import passwords
from worker.accounts import WRONG as WRONG
from worker.passwords import Pool, UnavailableError
from worker.records import Device, Person, Session, token_hash
from worker.tasks import Checked, Task
from worker.throttle import Attempt, Throttle, must_wait

log = logging.getLogger("hubbub")


class Known(Protocol):
    """What is read of the owner's state."""

    @property
    def names(self) -> Mapping[str, int]: ...
    @property
    def people(self) -> Mapping[int, Person]: ...
    @property
    def sessions(self) -> Mapping[int, Session]: ...
    @property
    def devices(self) -> Mapping[int, Device]: ...
    @property
    def device_tokens(self) -> Mapping[bytes, int]: ...


class _Seen(NamedTuple):
    """What a thread found out."""

    ok: bool
    hashed: str = ""


class Doorkeeper:
    """The throttle and the threads that hash, for one term of an owner.

    Args:
        now: the monotonic clock.
        refuse: answers a task that the rules need not see.
        checked: hands a task on to the rules.
        throttle: outlives the term, so that nobody's failures are forgotten with it.
    """

    def __init__(
        self,
        settings: Settings,
        now: Callable[[], float],
        refuse: Callable[[Task, Error], None],
        checked: Callable[[Checked], None],
        throttle: Throttle | None = None,
    ) -> None:
        self._settings = settings
        self._now = now
        self._refuse = refuse
        self._checked = checked
        self._loop = asyncio.get_running_loop()
        self._throttle = throttle or Throttle(settings)
        self._pool = Pool(settings.login_threads, settings.login_waiting)
        self._closed = False
        self._attempts: set[Attempt] = set()  # that have begun and are not over

    def takes(self, task: Task) -> bool:
        """Whether a task has to come here before the rules may decide it."""
        frame = task.ask.frame
        if isinstance(frame, Login):
            return bool(frame.password)
        return isinstance(frame, Register | Passwd | Unregister)

    def receive(self, state: Known, task: Task) -> None:
        """Take such a task. It is refused or handed on: now, or when its password was looked at."""
        frame, session = task.ask.frame, task.ask.session
        try:
            if isinstance(frame, Login) and not session:
                self._login(state, task, frame)
                return
            asking = state.sessions.get(session)
            person = state.people.get(asking.sender) if asking is not None else None
            if (
                asking is not None
                and person is not None
                and asking.generation == task.ask.generation
                and self._of_session(task, asking, person)
            ):
                return
            # Nothing to hash: the rules know what was done before, and what else to answer.
            self._checked(Checked(task, False, 0, ""))
        except Refused as refused:
            self._refuse(task, _error(refused))

    def close(self) -> None:
        """Drop what waits: it is asked again. Does not wait for what is being hashed."""
        self._closed = True
        self._pool.close()
        # The throttle outlives us: what nobody will look at must not count in it for ever.
        for attempt in self._attempts:
            attempt.give_back(self._now())
        self._attempts.clear()

    # --- what is to be looked at ----------------------------------------------------------

    def _login(self, state: Known, task: Task, frame: Login) -> None:
        if frame.name is None:
            raise Refused(Code.BAD_LOGIN, "a password needs the name that it belongs to")
        key = name_key(frame.name)
        sender = state.names.get(key, 0)
        against = _password(state.people.get(sender))
        if not against:
            sender = 0
        device = _device(state, sender, frame)
        attempt = self._throttle.begin(key, task.ask.address, self._now(), device=device)
        given = passwords.prepare(frame.password)

        def work() -> _Seen:
            if not passwords.matches(against, given):
                return _Seen(False)
            return _Seen(True, passwords.hashed(given) if passwords.is_outdated(against) else "")

        def tell(seen: _Seen) -> None:
            if seen.ok:
                self._checked(Checked(task, True, sender, against, seen.hashed))
            else:
                self._refuse(task, Error(Code.BAD_LOGIN, WRONG))

        self._submit(task, work, tell, attempt, known=device is not None)

    def _of_session(self, task: Task, asking: Session, person: Person) -> bool:
        """Whether there is something to hash, and then it is begun."""
        frame = task.ask.frame
        against = _password(person)
        if isinstance(frame, Register):
            return person.account is None and self._register(task, frame, asking, person)
        if not against:
            return False
        if isinstance(frame, Passwd):
            least = self._settings.password_min
            old, new = frame.old, passwords.check_new(frame.new, person.name, least)
        elif isinstance(frame, Unregister):
            old, new = frame.password, ""
        else:
            return False  # a login within a session
        given = passwords.prepare(old)
        device = (asking.sender, asking.device) if asking.device else None
        attempt = self._throttle.begin(person.key, asking.address, self._now(), device=device)

        def work() -> _Seen:
            ok = passwords.matches(against, given)
            return _Seen(ok, passwords.hashed(new) if ok and new else "")

        def tell(seen: _Seen) -> None:
            # Also when it is wrong: it may be right before a change that was done already.
            self._checked(Checked(task, seen.ok, asking.sender, against, seen.hashed))

        self._submit(task, work, tell, attempt, known=True)
        return True

    def _register(self, task: Task, frame: Register, asking: Session, person: Person) -> bool:
        new = passwords.check_new(frame.password, person.name, self._settings.password_min)
        self._throttle.make_account(asking.address, self._now())

        def work() -> _Seen:
            return _Seen(True, passwords.hashed(new))

        def tell(seen: _Seen) -> None:
            self._checked(Checked(task, True, 0, "", seen.hashed))

        try:
            self._submit(task, work, tell, Attempt([]))
        except Refused:
            self._throttle.unmake_account(asking.address, self._now())
            raise
        return True

    # --- looking --------------------------------------------------------------------------

    def _submit(
        self,
        task: Task,
        work: Callable[[], _Seen],
        tell: Callable[[_Seen], None],
        attempt: Attempt,
        *,
        known: bool = False,
    ) -> None:
        """Have `work` done in a thread, and then `tell` called in the loop.

        Raises:
            Refused: too many wait for that.
        """

        def job() -> None:
            try:
                seen: _Seen | Exception = work()
            except Exception as error:
                seen = error
            # The loop is closed when the process is about to end.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._looked, task, attempt, seen, tell)

        wait = self._pool.submit(job, known=known)
        if wait > 0:
            attempt.give_back(self._now())
            raise must_wait("too many people log in right now", wait)
        self._attempts.add(attempt)

    def _looked(
        self,
        task: Task,
        attempt: Attempt,
        seen: _Seen | Exception,
        tell: Callable[[_Seen], None],
    ) -> None:
        if self._closed:
            return
        self._attempts.discard(attempt)
        if isinstance(seen, _Seen) and not seen.ok:
            attempt.failed(self._now())
        else:
            attempt.give_back(self._now())
        if isinstance(seen, _Seen):
            tell(seen)
        elif isinstance(seen, UnavailableError):
            log.warning("what=password_not_hashed why=%r", str(seen))
            text = "the server cannot check passwords now; try again later"
            self._refuse(task, Error(Code.UNAVAILABLE, text))
        else:
            log.error("what=password_not_hashed", exc_info=seen)
            self._refuse(task, Error(Code.INTERNAL, "a bug of this server; see its log"))


def _password(person: Person | None) -> str:
    """The hash of somebody's password; empty for a guest, and for who is no more."""
    if person is None or person.account is None or person.is_deleted:
        return ""
    return person.account.password


def _device(state: Known, sender: int, frame: Login) -> tuple[int, int] | None:
    """The account's device whose token the peer showed, if it did."""
    if frame.token is None or not sender:
        return None
    id = state.device_tokens.get(token_hash(frame.token), 0)
    device = state.devices.get(id)
    return (sender, id) if device is not None and device.sender == sender else None


def _error(refused: Refused) -> Error:
    return Error(refused.code, refused.text, retry_after=refused.retry_after)
