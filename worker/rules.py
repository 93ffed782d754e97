"""A turn's asks and news, decided in their order: checked, done once, numbered. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

from hubbub.errors import Code, Refused
from hubbub.frames import Bye, Error, Hello, Join, Leave, Nick, Ok, Resume, Say
from hubbub.settings import Settings
from hubbub.wire import Fetch, Lost, Sync
from worker import presence, reads, rooms
from worker.access import Role, check
from worker.plan import Known, Plan, Task
from worker.records import Done, Presence, Session, digest_of
from worker.state import State


class GatewayGone(NamedTuple):
    """A gateway is dead, or hangs."""

    gateway: str


class TimePassed(NamedTuple):
    """Some deadline of a session may have come."""


class Syncing(NamedTuple):
    """A gateway's `Sync`, and the sessions that it may not know of yet."""

    frame: Sync
    spared: set[int]


Input: TypeAlias = Task | Syncing | GatewayGone | TimePassed


class BrokenAskError(Exception):
    """A bug of ours in one ask; `index` says in which. The others are to be decided without it."""

    def __init__(self, index: int) -> None:
        super().__init__(index)
        self.index = index


def strangers(state: State, inputs: Sequence[Input]) -> set[int]:
    """Sessions that ask and do not live: the store may still know whose they were."""
    return {
        each.ask.session
        for each in inputs
        if isinstance(each, Task) and each.ask.session and each.ask.session not in state.sessions
    }


def keys_of(
    state: State, inputs: Sequence[Input], over: Mapping[int, int]
) -> list[tuple[int, bytes]]:
    """The keys (sender, id) that must be looked up before these inputs are decided.

    Args:
        over: senders of the strangers among them.
    """
    keys = []
    sessions = state.sessions
    for each in inputs:
        if not isinstance(each, Task):
            continue
        frame = each.ask.frame
        if isinstance(frame, Say | Join | Leave | Nick | Bye):
            session = sessions.get(each.ask.session)
            sender = session.sender if session is not None else over.get(each.ask.session)
            if sender is not None:
                keys.append((sender, frame.id))
        elif isinstance(frame, Hello):
            keys.append((0, frame.id))
    return keys


def decide(
    state: State,
    inputs: Sequence[Input],
    known: Known,
    settings: Settings,
    *,
    at: int,
    now: float,
    broken: frozenset[int] = frozenset(),
) -> Plan:
    """What these inputs, in this order, lead to. Nothing changes until the plan is applied.

    Args:
        broken: indexes of inputs that are to be left out, and answered `internal`.

    Raises:
        BrokenAskError: a bug of ours; nothing of the half-made plan may be used.
    """
    plan = Plan(state, known, at=at, now=now)
    for index, each in enumerate(inputs):
        try:
            if index in broken:
                if isinstance(each, Task):
                    plan.refuse(each, Refused(Code.INTERNAL, "a bug of this server; see its log"))
            elif isinstance(each, Task):
                _ask(plan, each, settings)
            elif isinstance(each, Syncing):
                presence.sync(plan, each.frame, each.spared)
            elif isinstance(each, GatewayGone):
                presence.gateway_gone(plan, each.gateway)
            else:
                presence.due(plan, settings.left_after, settings.resume_within)
        except Exception as error:
            raise BrokenAskError(index) from error
    return plan


def _ask(plan: Plan, task: Task, settings: Settings) -> None:
    try:
        _decide(plan, task, settings)
    except Refused as refused:
        plan.refuse(task, refused)


def _decide(plan: Plan, task: Task, settings: Settings) -> None:
    """Decide one ask.

    Raises:
        Refused: it is not done. The handlers check everything before they change anything.
    """
    ask = task.ask
    frame = ask.frame
    digest = b""
    if isinstance(frame, Say):  # the hot path stands first
        digest = rooms.say_digest(frame)
    elif isinstance(frame, Join | Leave | Nick | Bye):
        digest = _digest(frame)
    # What was done is done, whoever has the session by now: looked up before any permission.
    if digest and _answered_before(plan, task, digest):
        return
    if ask.session == 0:
        check(type(frame), Role.GATEWAY)
        _of_gateway(plan, task, settings)
        return
    session = plan.session(ask.session)
    if session is None or session.generation != ask.generation:
        _not_current(plan, task, session)
        return
    if isinstance(frame, Lost):
        presence.lost(plan, session)
        plan.answer(task, Ok(0))
        return
    if session.presence is not Presence.HERE and not task.again:
        session = presence.prove_alive(plan, session, task.gateway)
    _of_session(plan, task, session, settings, digest)


def _of_gateway(plan: Plan, task: Task, settings: Settings) -> None:
    frame = task.ask.frame
    if isinstance(frame, Hello):
        presence.hello(plan, task, frame)
    elif isinstance(frame, Resume):
        presence.resume(plan, task, frame)
    elif isinstance(frame, Fetch):
        reads.fetch(plan, task, frame)
    else:
        reads.read(plan, task, None)


def _of_session(
    plan: Plan, task: Task, session: Session, settings: Settings, digest: bytes
) -> None:
    frame = task.ask.frame
    if isinstance(frame, Say):
        rooms.say(plan, task, session, frame, digest)
        return
    check(type(frame), Role.SESSION)
    if isinstance(frame, Join):
        rooms.join(plan, task, session, frame, digest, settings)
    elif isinstance(frame, Leave):
        rooms.leave(plan, task, session, frame, digest)
    elif isinstance(frame, Nick):
        rooms.nick(plan, task, session, frame, digest)
    elif isinstance(frame, Bye):
        presence.bye(plan, task, session, frame)
    else:
        reads.read(plan, task, session)


def _digest(frame: Join | Leave | Nick | Bye) -> bytes:
    if isinstance(frame, Join):
        return digest_of("join", frame.room)  # `since` is the reader's, not the room's
    if isinstance(frame, Leave):
        return digest_of("leave", frame.room)
    if isinstance(frame, Nick):
        return digest_of("nick", frame.name)
    return digest_of("bye")


def _answered_before(plan: Plan, task: Task, digest: bytes) -> bool:
    """Answer a request that was done before as it was answered then."""
    frame = task.ask.frame
    assert isinstance(frame, Say | Join | Leave | Nick | Bye)
    asking = task.ask.session
    # Whoever it was when the turn began: a goodbye earlier in it undoes nothing.
    session = plan.session(asking) or plan.state.sessions.get(asking)
    sender = session.sender if session else plan.known.over.get(asking)
    if sender is None:
        return False
    done = plan.done_before(sender, frame.id)
    if done is None:
        return False
    if done.digest != digest:
        raise Refused(Code.CONFLICT, "this id was used for another request; take a new one")
    _answer_again(plan, task, done)
    return True


def _answer_again(plan: Plan, task: Task, done: Done) -> None:
    if isinstance(task.ask.frame, Join):
        rooms.joined(plan, task, done.room)
    elif isinstance(task.ask.frame, Say | Leave) and done.room:
        plan.answer(task, Ok(0, plan.room(done.room).name, done.seq, done.at))
    else:
        plan.answer(task, Ok(0, at=done.at))


def _not_current(plan: Plan, task: Task, session: Session | None) -> None:
    if isinstance(task.ask.frame, Lost) or (session is None and isinstance(task.ask.frame, Bye)):
        plan.answer(task, Ok(0))  # what they ask for is true already
    elif session is None:
        plan.answer(task, Error(Code.EXPIRED, "the session is over; say hello for a new one"))
    else:
        plan.answer(task, Error(Code.REPLACED, "the session was resumed on another connection"))
