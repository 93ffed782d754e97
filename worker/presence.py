"""Sessions: begun, resumed, lost, ended; and what rooms are told of it. Pure."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Container, Iterable

import msgspec

from hubbub import __version__, frames, names
from hubbub.errors import Code, EpochChanged, Refused
from hubbub.frames import Hello, Ok, Resume, Welcome
from hubbub.wire import Answer, Item, Kind, Sync
from worker.plan import Plan, Task, View, room_state, snapshot
from worker.records import Done, Presence, Session, digest_of, key_of, token_hash

_change = msgspec.structs.replace
_encode = frames.encoder.encode
CONNECTION_LOST = "connection lost"


# --- what rooms are told ----------------------------------------------------------------------


def tell(plan: Plan, session: Session, rooms: Iterable[int], change: str, why: str = "") -> None:
    """Put one presence item per room on the stream; `session` is as it will be."""
    state = "here" if session.presence is Presence.HERE else "gone"
    for id in rooms:
        name = plan.room(id).name
        body = frames.Presence(name, session.sender, session.name, change, state, plan.at, why)
        plan.items.append(Item(Kind.PRESENCE, id, 0, session.sender, _encode(body)))


def over_below(plan: Plan, session: int, generation: int) -> None:
    """Whoever holds the session with a lower generation is to close that connection."""
    plan.items.append(Item(Kind.SESSION_OVER, 0, generation, session, b""))


# --- beginning --------------------------------------------------------------------------------


def hello(plan: Plan, task: Task, frame: Hello) -> None:
    """Begin a session, or give the one that this very request began before.

    A `hello` comes twice when its answer was lost. Whoever knows its 16 random bytes is who said
    it first, so the session moves to where it is asked for, as with `resume`.
    """
    digest = digest_of("hello", frame.name, frame.visible)
    done = plan.done_before(0, frame.id)
    if done is not None and done.digest != digest:
        raise Refused(Code.CONFLICT, "this id was used for another hello; take a new one")
    begun = plan.session(done.room) if done is not None else None
    token = secrets.token_urlsafe(24)
    if begun is not None:
        back(plan, begun, task.gateway, token_hash(token), frame.agent, task.ask.address)
        _welcome(plan, task, begun.id, token)
        return
    name, key = _free_name(plan, frame.name)
    if done is not None:
        sender = done.seq
    else:
        sender, plan.next_sender = plan.next_sender, plan.next_sender + 1
    number, plan.next_session = plan.next_session, plan.next_session + 1
    session = Session(
        number,
        sender,
        name,
        key,
        frame.visible,
        1,
        task.gateway,
        token_hash(token),
        agent=frame.agent,
        address=task.ask.address,
    )
    plan.put_session(session)
    plan.done[0, frame.id] = Done(digest, plan.at, number, sender)
    _welcome(plan, task, number, token)


def _free_name(plan: Plan, wanted: str | None) -> tuple[str, str]:
    if wanted is not None:
        name = names.check_name(wanted)
        key = names.name_key(name)
        if plan.named(key) is not None:
            raise Refused(Code.NAME_TAKEN, f"the name {name} is taken; choose another")
        return name, key
    while True:
        name = "guest-" + base64.b32encode(secrets.token_bytes(5)).decode().lower()[:6]
        if plan.named(name) is None:
            return name, name


def resume(plan: Plan, task: Task, frame: Resume) -> None:
    """Move a session to the connection that asks, with its rooms and name."""
    hashed = token_hash(frame.token)
    id = plan.state.tokens.get(hashed)
    session = plan.session(id) if id is not None else None
    if session is None or session.token != hashed:
        raise Refused(Code.EXPIRED, "the session is over; say hello for a new one")
    if frame.rooms and frame.epoch != plan.state.epoch:
        raise EpochChanged("the cursors belong to another numbering", plan.state.epoch, 0)
    for name, cursor in frame.rooms.items():
        room_id = plan.room_id(key_of(name))
        if room_id is not None and cursor > (head := plan.room(room_id).head):
            text = f"the cursor of {name} is above its head"
            raise EpochChanged(text, plan.state.epoch, head)
    back(plan, session, task.gateway, session.token, frame.agent, task.ask.address)
    _welcome(plan, task, session.id, frame.token)


def back(
    plan: Plan, session: Session, gateway: str, token: bytes, agent: str, address: str
) -> None:
    """A session gets a new connection, under a higher generation."""
    here = _change(
        session,
        gateway=gateway,
        generation=session.generation + 1,
        presence=Presence.HERE,
        token=token,
        agent=agent,
        address=address,
    )
    over_below(plan, session.id, here.generation)
    _show_back(plan, session, here)


def _show_back(plan: Plan, was: Session, here: Session) -> None:
    plan.put_session(here)
    if was.presence is Presence.GONE:
        tell(plan, here, here.seen_in, "state")
    elif was.presence is Presence.LEFT:
        tell(plan, here, here.seen_in, "entered")


def _welcome(plan: Plan, task: Task, id: int, token: str) -> None:
    no = task.ask.no

    def answer(view: View) -> Answer:
        state = view.state
        session = state.sessions.get(id)
        if session is None or session.token != token_hash(token):
            return Answer(no, frames.Error(Code.EXPIRED, "the session is over"))
        rooms = [state.rooms[room] for room in sorted(session.rooms)]
        welcome = Welcome(
            0,
            session.id,
            session.sender,
            session.name,
            token,
            state.epoch,
            gateway=task.gateway,
            version=__version__,
            resume_within=view.settings.resume_within,
            rooms=[room_state(room) for room in rooms],
        )
        snapshots = [snapshot(view, room) for room in rooms]
        return Answer(no, welcome, session.id, session.generation, snapshots)

    plan.answer_later(task, answer, kept=True)


# --- losing and ending ------------------------------------------------------------------------


def lost(plan: Plan, session: Session) -> None:
    """The connection is gone: shown at once, and left to come back."""
    if session.presence is not Presence.HERE:
        return
    gone = _change(session, presence=Presence.GONE)
    plan.put_session(gone)
    tell(plan, gone, gone.seen_in, "state")


def end(plan: Plan, session: Session, why: str) -> None:
    """The session is over: it leaves where it is seen, and its name is free."""
    tell(plan, session, session.seen_in, "left", why)
    plan.end_session(session)


def bye(plan: Plan, task: Task, session: Session, frame: frames.Bye) -> None:
    """A clean goodbye. The gateway that asks closes the connection itself."""
    end(plan, session, frame.text)
    plan.done[session.sender, frame.id] = Done(digest_of("bye"), plan.at, 0, 0)
    plan.answer(task, Ok(0, at=plan.at))


def prove_alive(plan: Plan, session: Session, gateway: str) -> Session:
    """A session that was thought lost asks: it is here."""
    here = _change(session, presence=Presence.HERE, gateway=gateway)
    _show_back(plan, session, here)
    return here


def due(plan: Plan, left_after: float, resume_within: float) -> None:
    """What time has brought: lost sessions leave their rooms, then end."""
    for id, since in plan.state.gone.items():
        if since + left_after > plan.now:
            break
        session = plan.session(id)
        if session is not None and session.presence is Presence.GONE:
            tell(plan, session, session.seen_in, "left", CONNECTION_LOST)
            plan.put_session(_change(session, presence=Presence.LEFT))
    for id, since in plan.state.left.items():
        if since + resume_within - left_after > plan.now:
            break
        session = plan.session(id)
        if session is not None and session.presence is Presence.LEFT:
            over_below(plan, id, session.generation + 1)
            end(plan, session, CONNECTION_LOST)


def gateway_gone(plan: Plan, gateway: str) -> None:
    """A gateway died or hangs: all its sessions count as lost, in one go."""
    for id in sorted(plan.state.of_gateway.get(gateway, ())):
        session = plan.session(id)
        if session is not None and session.gateway == gateway:
            lost(plan, session)
    plan.items.append(Item(Kind.GATEWAY_GONE, 0, 0, 0, gateway.encode()))


def sync(plan: Plan, frame: Sync, spared: Container[int]) -> None:
    """A gateway begins anew: its sessions that live are here again, those it lacks are lost.

    Args:
        spared: sessions just opened there, which it may not have heard of yet.
    """
    over, listed = [], set()
    for id, generation in frame.sessions:
        session = plan.session(id)
        listed.add(id)
        if session is None or session.generation != generation:
            over.append(id)
        elif session.presence is not Presence.HERE:
            prove_alive(plan, session, frame.gateway)
        elif session.gateway != frame.gateway:
            over.append(id)
    plan.synced.append((frame, over))
    for id in sorted(plan.state.of_gateway.get(frame.gateway, set()) - listed):
        session = plan.session(id)
        if id not in spared and session is not None and session.gateway == frame.gateway:
            lost(plan, session)
