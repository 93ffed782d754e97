"""A turn's asks and news, decided in their order: checked, done once, numbered. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from hubbub import frames
from hubbub.errors import Code, Refused
from hubbub.frames import Bye, Error, Hello, Join, Login, Ok, Resume, Say
from hubbub.settings import Settings
from hubbub.wire import Fetch, Lost
from worker import accounts, messages, moderation, operators, presence, reads, rooms
from worker.access import Action, check
from worker.case import GATEWAY, Case, room_id
from worker.lookups import GatewayGone, Input, Syncing
from worker.plan import Plan
from worker.records import Done, Presence, Session, digest_of
from worker.state import State
from worker.tasks import Checked, Known, Task


class Powers(NamedTuple):
    """What is not in the state, and decides with it.

    Attributes:
        operator_key: makes operators of the cluster; empty: nobody can.
        wait: seconds for which a person has to wait before a frame of that type which counts as so
            many; 0: none.
    """

    operator_key: str = ""
    wait: Callable[[int, type, int], float] | None = None


class BrokenAskError(Exception):
    """A bug of ours in one ask; `index` says in which. The others are to be decided without it."""

    def __init__(self, index: int) -> None:
        super().__init__(index)
        self.index = index


# Every frame of a session has its handler here, and every handler looks at the table of access.
HANDLERS: dict[type, Callable[[Case, Any], None]] = {
    frames.Say: messages.say,
    frames.Edit: messages.edit,
    frames.Delete: messages.delete,
    frames.React: messages.react,
    frames.Read: messages.read,
    frames.Join: rooms.join,
    frames.Leave: rooms.leave,
    frames.Nick: rooms.nick,
    frames.Away: presence.away,
    frames.Bye: presence.bye,
    frames.Topic: moderation.topic,
    frames.Visibility: moderation.visibility,
    frames.Invite: moderation.invite,
    frames.Kick: moderation.kick,
    frames.Ban: moderation.ban,
    frames.Unban: moderation.unban,
    frames.Mute: moderation.mute,
    frames.Role: moderation.role,
    frames.Register: lambda case, _: accounts.register(case),
    frames.Passwd: lambda case, _: accounts.passwd(case),
    frames.Unregister: lambda case, _: accounts.unregister(case),
    frames.Devices: lambda case, _: accounts.devices(case),
    frames.Revoke: accounts.revoke,
    frames.Block: accounts.block,
    frames.Promote: operators.promote,
    frames.Suspend: operators.suspend,
    frames.Rename: operators.rename_other,
    frames.Close: operators.close,
    frames.Announce: operators.announce,
    frames.Audit: operators.read_audit,
    frames.History: reads.history,
    frames.Members: reads.members,
    frames.Restrictions: reads.restrictions,
    frames.Search: reads.search,
    frames.Rooms: reads.rooms,
    frames.Unread: reads.unread,
    frames.Peers: reads.peers,
    frames.Status: reads.status,
    frames.Ping: reads.ping,
}
# What makes no difference to what is done, or must not be kept in any form.
_NOT_DIGESTED = frozenset({"ref", "id", "since", "epoch", "password", "old", "new", "key", "agent"})
_GRANTED = (frames.Register, frames.Passwd)
AWAY_IN = 10  # rooms: nothing is stored for it there
ROSTER_OF = 20  # people, of whom one's other devices are told


def decide(
    state: State,
    inputs: Sequence[Input],
    known: Known,
    settings: Settings,
    *,
    at: int,
    now: float,
    broken: frozenset[int] = frozenset(),
    powers: Powers = Powers(),  # noqa: B008 - a constant
) -> Plan:
    """What these inputs, in this order, lead to. Nothing changes until the plan is applied.

    A gateway that begins anew is answered with what is true after the whole turn, and is shown
    nothing of it: so its question is looked at last.

    Args:
        broken: indexes of inputs that are to be left out, and answered `internal`.

    Raises:
        BrokenAskError: a bug of ours; nothing of the half-made plan may be used.
    """
    plan = Plan(state, known, at=at, now=now)
    for index, each in sorted(enumerate(inputs), key=lambda one: isinstance(one[1], Syncing)):
        task = each.task if isinstance(each, Checked) else each
        try:
            if index in broken:
                if isinstance(task, Task):
                    plan.refuse(task, Refused(Code.INTERNAL, "a bug of this server; see its log"))
            elif isinstance(each, Task):
                _ask(plan, each, settings, powers, None)
            elif isinstance(each, Checked):
                _ask(plan, each.task, settings, powers, each)
            elif isinstance(each, Syncing):
                presence.sync(plan, each.frame, each.spared)
            elif isinstance(each, GatewayGone):
                presence.gateway_gone(plan, each.gateway)
            else:
                presence.due(plan, settings.left_after, settings.resume_within)
        except Exception as error:
            raise BrokenAskError(index) from error
    return plan


def _ask(
    plan: Plan, task: Task, settings: Settings, powers: Powers, checked: Checked | None
) -> None:
    try:
        _decide(plan, task, settings, powers, checked)
    except Refused as refused:
        plan.refuse(task, refused)


def _decide(
    plan: Plan, task: Task, settings: Settings, powers: Powers, checked: Checked | None
) -> None:
    """Decide one ask.

    Raises:
        Refused: it is not done. The handlers check everything before they change anything.
    """
    ask = task.ask
    frame = ask.frame
    make_digest = _DIGESTS.get(type(frame))
    digest = make_digest(frame) if make_digest is not None else b""
    if ask.session == 0:
        _of_gateway(plan, task, settings, checked)
        return
    # What was done is done, whoever has the session by now: looked up before any permission.
    done = _done_before(plan, task, digest) if digest else None
    if done is not None and not isinstance(frame, _GRANTED):
        _answer_again(plan, task, done)
        return
    if digest and done is None and checked is None and plan.was_refused(task):
        raise Refused(
            Code.NOT_ALLOWED, "this was refused, and why is not known any more; ask again"
        )
    session = plan.session(ask.session)
    person = plan.person(session.sender) if session is not None else None
    if session is None or person is None or session.generation != ask.generation:
        _not_current(plan, task, session)
        return
    if isinstance(frame, Lost):
        presence.lost(plan, session)
        plan.answer(task, Ok(0))
        return
    if session.presence is not Presence.HERE and not task.again:
        session = presence.prove_alive(plan, session, task.gateway)
        person = plan.person(session.sender) or person
    case = Case(plan, task, session, person, settings, digest, checked, powers.operator_key)
    if done is not None:
        accounts.grant(case)
        return
    _of_session(case, powers)


def _of_gateway(plan: Plan, task: Task, settings: Settings, checked: Checked | None) -> None:
    frame = task.ask.frame
    if isinstance(frame, Hello):
        accounts.hello(plan, task, frame, settings)
    elif isinstance(frame, Login):
        if checked is not None:
            accounts.logged_in(plan, checked, frame)
        else:
            accounts.login(plan, task, frame)
    elif isinstance(frame, Resume):
        presence.resume(plan, task, frame)
    elif isinstance(frame, Fetch):
        reads.fetch(plan, task, frame)
    elif isinstance(frame, frames.Ping):
        reads.pong(plan, task)
    else:
        check(Action.PERSONAL, GATEWAY)


def _of_session(case: Case, powers: Powers) -> None:
    frame = case.task.ask.frame
    handler = HANDLERS.get(type(frame))
    if handler is None:
        raise Refused(Code.NOT_ALLOWED, "that is not allowed here")
    if powers.wait is not None:
        seconds = powers.wait(case.person.sender, type(frame), _cost(case))
        if seconds > 0:
            text = f"too much at once; wait {max(seconds, 0.1):.1f} s"
            raise Refused(Code.LIMIT, text, seconds)
    handler(case, frame)


def _cost(case: Case) -> int:
    """As how many requests one counts that costs as much as many.

    Else one person in hundreds of rooms, or at the door of a large one, could keep everybody
    waiting.
    """
    frame, person = case.task.ask.frame, case.person
    if isinstance(frame, frames.Nick):
        return 1 + len(rooms.rooms_that_name(case.plan, person))  # a numbered entry in each
    if isinstance(frame, frames.Away):
        return 1 + len(person.rooms) // AWAY_IN
    if isinstance(frame, Join) and len(person.sessions) > 1:
        id = room_id(case.plan, person.sender, frame.room)
        if id is not None and id not in person.rooms:
            return 1 + case.plan.room(id).size // ROSTER_OF
    return 1


def _done_before(plan: Plan, task: Task, digest: bytes) -> Done | None:
    """What a request has led to before.

    Raises:
        Refused: its id was used for another one.
    """
    frame, asking = task.ask.frame, task.ask.session
    # Whoever it was when the turn began: a goodbye earlier in it undoes nothing.
    session = plan.session(asking) or plan.state.sessions.get(asking)
    sender = session.sender if session else plan.known.over.get(asking)
    if sender is None:
        return None
    done = plan.done_before(sender, frame.id)  # type: ignore[union-attr]
    if done is not None and done.digest != digest:
        raise Refused(Code.CONFLICT, "this id was used for another request; take a new one")
    return done


def _answer_again(plan: Plan, task: Task, done: Done) -> None:
    if isinstance(task.ask.frame, Join):
        session = plan.session(task.ask.session) or plan.state.sessions.get(task.ask.session)
        sender = session.sender if session else plan.known.over.get(task.ask.session, 0)
        rooms.joined(plan, task, done.room, sender)
    elif done.room:
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


# --- digests ----------------------------------------------------------------------------------


def _join_digest(frame: Join) -> bytes:
    # `since` is the reader's, not the room's.
    return digest_of("join", frame.room, *([True] if frame.private else []))


def _bye_digest(frame: Bye) -> bytes:
    return digest_of("bye")


def _plain_digest(kind: type[frames.Frame]) -> Callable[[Any], bytes]:
    tag = kind.__struct_config__.tag
    fields = [each for each in kind.__struct_fields__ if each not in _NOT_DIGESTED]
    return lambda frame: digest_of(tag, *(getattr(frame, field) for field in fields))


def _digest_for(kind: type[frames.Frame]) -> Callable[[Any], bytes]:
    special: dict[type, Callable[[Any], bytes]] = {
        Say: messages.say_digest,
        Join: _join_digest,
        Bye: _bye_digest,
    }
    return special.get(kind) or _plain_digest(kind)


_DIGESTS: dict[type, Callable[[Any], bytes]] = {
    kind: _digest_for(kind)
    for kind in HANDLERS
    if issubclass(kind, frames.Frame) and "id" in kind.__struct_fields__
}
