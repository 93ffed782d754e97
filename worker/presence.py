"""Sessions: begun, resumed, lost, ended; and what rooms are told of it. Pure."""

from __future__ import annotations

from collections.abc import Container, Iterable

import msgspec

from hubbub import frames, wire
from hubbub.errors import Code, EpochChanged, Refused
from hubbub.frames import Ok, Resume
from hubbub.wire import Ending, Item, Kind, Sync, rooms_digest
from worker.access import Action
from worker.case import Case, room_id
from worker.log import close_after_last, forget_invitations
from worker.plan import Plan
from worker.records import Person, Presence, RoomKind, Session, token_hash
from worker.tasks import Synced, Task
from worker.welcome import welcome

change = msgspec.structs.replace
_encode = frames.encoder.encode
CONNECTION_LOST = "connection lost"
_ORDER = {"here": 3, "busy": 2, "away": 1, "gone": 0}


# --- what rooms are told ----------------------------------------------------------------------


def tell(plan: Plan, person: Person, rooms: Iterable[int], what: str, why: str = "") -> None:
    """Put one presence item per room on the stream, of somebody as they are (or were last)."""
    sender = person.sender
    for id in rooms:
        room = plan.room(id)
        body = frames.Presence(
            room.name,
            sender,
            person.name,
            what,
            person.state,
            plan.at,
            why,
            room.rank_of(sender).word,
            person.away,
        )
        plan.items.append(Item(Kind.PRESENCE, id, 0, sender, _encode(body)))


def refresh(plan: Plan, sender: int, why: str = "") -> None:
    """Bring a person's presence in line with their sessions, and tell what has changed."""
    was = plan.person(sender)
    if was is None:
        return
    state, away = together(plan.sessions_of(was))
    if state == was.state and away == was.away:
        return
    now = change(was, state=state, away=away)
    plan.put_person(now)
    if not was.state:
        tell(plan, now, now.rooms, "entered", why)
    elif not state:
        tell(plan, was, was.rooms, "left", why)
    else:
        tell(plan, now, now.rooms, "state")


def together(sessions: Iterable[Session]) -> tuple[str, str]:
    """The state of all visible sessions of a person, and what they say of it."""
    best, state, away = -1, "", ""
    for session in sessions:
        if not session.visible or session.presence >= Presence.LEFT:
            continue
        one = session.state if session.presence is Presence.HERE else "gone"
        if _ORDER[one] > best:
            best, state = _ORDER[one], one
            away = session.away if one in ("away", "busy") else ""
    return state, away


def over_below(plan: Plan, session: int, generation: int, ending: Ending | None = None) -> None:
    """Whoever holds the session with a lower generation is to close that connection."""
    body = wire.encoder.encode(ending) if ending is not None else b""
    plan.items.append(Item(Kind.SESSION_OVER, 0, generation, session, body))


# --- beginning and coming back ----------------------------------------------------------------


def begin(plan: Plan, person: Person, session: Session) -> None:
    """A new session of a person, new or not."""
    plan.put_session(session)
    plan.put_person(change(person, sessions=person.sessions | {session.id}))
    refresh(plan, person.sender)


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
        found = room_id(plan, session.sender, name)
        # Of a room that one is not in nothing is told, not even that there is one.
        if found is None or not plan.is_member(session.sender, found):
            continue
        if cursor > (head := plan.room(found).head):
            text = f"the cursor of {name} is above its head"
            raise EpochChanged(text, plan.state.epoch, head, name)
    back(plan, session, task, session.token, frame.agent)
    welcome(plan, task, session.id, frame.token)


def back(plan: Plan, session: Session, task: Task, token: bytes, agent: str) -> None:
    """A session gets a new connection, under a higher generation."""
    here = change(
        session,
        gateway=task.gateway,
        generation=session.generation + 1,
        presence=Presence.HERE,
        token=token,
        agent=agent,
        address=task.ask.address,
    )
    over_below(plan, session.id, here.generation)
    plan.put_session(here)
    refresh(plan, session.sender)


def prove_alive(plan: Plan, session: Session, gateway: str) -> Session:
    """A session that was thought lost asks: it is here."""
    here = change(session, presence=Presence.HERE, gateway=gateway)
    plan.put_session(here)
    refresh(plan, session.sender)
    return here


# --- losing and ending ------------------------------------------------------------------------


def lost(plan: Plan, session: Session) -> None:
    """The connection is gone: shown at once, and left to come back."""
    if session.presence is Presence.HERE:
        plan.put_session(change(session, presence=Presence.GONE))
        refresh(plan, session.sender)


def end(plan: Plan, session: Session, why: str) -> None:
    """The session is over; with a guest's its rooms are left, and its name is free."""
    plan.sessions[session.id] = None
    person = plan.person(session.sender)
    if person is None:
        return
    plan.put_person(change(person, sessions=person.sessions - {session.id}))
    refresh(plan, session.sender, why)
    person = plan.person(session.sender)
    assert person is not None
    if person.account is None and not person.sessions:
        for id in person.rooms:
            draft = plan.draft(id)
            close_after_last(plan, draft, person)
            draft.size -= 1
            if draft.kind is RoomKind.DIRECT:
                # Whoever stays is to see with whom it was.
                draft.title, draft.changed = person.name, True
        forget_invitations(plan, person)
        plan.drop_person(person)


def end_all(plan: Plan, person: Person, ending: Ending, why: str, *, keep: int = 0) -> None:
    """Every session of a person but one is over.

    Args:
        ending: what their own connections are told.
        why: what those are told who see them leave.
    """
    for session in plan.sessions_of(person):
        if session.id != keep:
            over_below(plan, session.id, session.generation + 1, ending)
            end(plan, session, why)


def bye(case: Case, frame: frames.Bye) -> None:
    """A clean goodbye. The gateway that asks closes the connection itself."""
    # Their words for it are not to make anybody wait for an event.
    end(case.plan, case.session, "" if frame.text in frames.TOLD_BY_EVENT else frame.text)
    case.done()
    case.plan.answer(case.task, Ok(0, at=case.plan.at))


def away(case: Case, frame: frames.Away) -> None:
    """A session says how its person is."""
    case.may(Action.PERSONAL)
    text = frame.text if frame.state != "here" else ""
    case.plan.put_session(change(case.session, state=frame.state, away=text))
    refresh(case.plan, case.person.sender)
    case.ok()


def due(plan: Plan, left_after: float, resume_within: float) -> None:
    """What time has brought: lost sessions leave their rooms, then end."""
    for id, since in plan.state.gone.items():
        if since + left_after > plan.now:
            break
        session = plan.session(id)
        if session is not None and session.presence is Presence.GONE:
            plan.put_session(change(session, presence=Presence.LEFT))
            refresh(plan, session.sender, CONNECTION_LOST)
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
    over, listed, differing = [], set(), []
    for at, (id, generation) in enumerate(frame.sessions):
        session = plan.session(id)
        listed.add(id)
        if session is None or session.generation != generation:
            over.append(id)
            continue
        if session.presence is not Presence.HERE:
            prove_alive(plan, session, frame.gateway)
        elif session.gateway != frame.gateway:
            over.append(id)
            continue
        person = plan.person(session.sender)
        inside = frame.inside[at] if at < len(frame.inside) else None
        if person is not None and inside is not None and inside != rooms_digest(person.rooms):
            differing.append(id)
    plan.synced.append(Synced(frame, over, differing))
    for id in sorted(plan.state.of_gateway.get(frame.gateway, set()) - listed):
        session = plan.session(id)
        if id not in spared and session is not None and session.gateway == frame.gateway:
            lost(plan, session)
