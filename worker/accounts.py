"""Guests and accounts: begun, logged in, changed, deleted; devices; who is blocked. Pure.

Passwords are checked before (worker/doorkeeper.py); here only the outcome is looked at.
"""

from __future__ import annotations

import base64
import secrets

from hubbub import frames
from hubbub.errors import Code, Refused
from hubbub.frames import Block, DeviceList, Granted, Hello, Login, Ok, Revoke
from hubbub.settings import Settings
from hubbub.wire import Answer, Ending
from worker.access import Action
from worker.case import Case, find_person
from worker.log import forget_invitations, note
from worker.plan import Plan
from worker.presence import back, begin, change, end, end_all, over_below
from worker.records import (
    Account,
    Device,
    Done,
    Person,
    RoomKind,
    Session,
    digest_of,
    token_hash,
)
from worker.rooms import free_name, part
from worker.tasks import Checked, Task, View
from worker.welcome import welcome

MOST_DEVICES = 50  # of one account; beyond, the one that was used least lately is forgotten
MOST_BLOCKED = 1000  # people
LOGGED_OUT = "logged out"  # is all that others are told, however it came
MOST_SESSIONS = 100  # of one account at the same time
WRONG = "wrong name or password"
_OVER = "log in again"


# --- greetings --------------------------------------------------------------------------------


def hello(plan: Plan, task: Task, frame: Hello, settings: Settings) -> None:
    """Begin a session as a guest, or give the one that this very request began before.

    A `hello` comes twice when its answer was lost. Whoever knows its 16 random bytes is who said
    it first, so the session moves to where it is asked for, as with `resume`.
    """
    digest = digest_of("hello", frame.name, frame.visible)
    if _begun_before(plan, task, frame, digest):
        return
    if frame.name is None:
        name, key = _guest_name(plan)
    else:
        name, key = free_name(plan, frame.name, 0, settings)
    done = plan.done_before(0, frame.id)
    # A person again whose session is over; unless it has become an account, which logs in.
    if done is not None and plan.person(done.seq) is None:
        sender = done.seq
    else:
        sender, plan.next_sender = plan.next_sender, plan.next_sender + 1
    person = Person(sender, name, key)
    plan.put_person(person)
    _begin(plan, task, frame, person, digest)


def login(plan: Plan, task: Task, frame: Login) -> None:
    """Begin a session of an account by a device's token."""
    digest = digest_of("login", token_hash(frame.token or ""), frame.visible)
    if _begun_before(plan, task, frame, digest):
        return
    device = known_device(plan, frame.token)
    person = plan.person(device.sender) if device is not None else None
    if device is None or person is None or person.account is None:
        raise Refused(Code.BAD_LOGIN, "this login is no longer good; log in with the password")
    _check_not_suspended(plan, person)
    _check_sessions(person)
    plan.devices[device.id] = change(device, used_at=plan.at, address=task.ask.address)
    _begin(plan, task, frame, person, digest, device.id)


def logged_in(plan: Plan, checked: Checked, frame: Login) -> None:
    """Begin a session of an account by its password, which was looked at."""
    task = checked.task
    person = _proved(plan, checked)
    if person is None:
        raise Refused(Code.BAD_LOGIN, WRONG)
    _check_not_suspended(plan, person)
    digest = digest_of("login", person.sender, frame.visible)
    done = plan.done_before(0, frame.id)
    _check_same(done, digest)
    begun = plan.session(done.room) if done is not None else None
    if begun is None:
        _check_sessions(person)
    _take_hash(plan, person, checked)
    person = plan.person(person.sender)
    assert person is not None
    device = known_device(plan, frame.token)
    if device is not None and device.sender == person.sender:
        token = frame.token or ""
        plan.devices[device.id] = change(device, used_at=plan.at, address=task.ask.address)
    else:
        # Asked again, the token that was given then is nobody's: it is replaced.
        again = plan.device(begun.device) if begun is not None else None
        device, token = _new_token(plan, person, frame.agent, task.ask.address, again)
    if begun is not None:
        _go_on(plan, task, begun, frame.agent, token)
        return
    _begin(plan, task, frame, person, digest, device.id, token)


def _check_not_suspended(plan: Plan, person: Person) -> None:
    if person.is_suspended(plan.at) and person.account is not None:
        why = f": {person.account.suspended_why}" if person.account.suspended_why else ""
        raise Refused(Code.SUSPENDED, f"this account is suspended{why}")


def _check_sessions(person: Person) -> None:
    """Pass if one more session may begin; before anything, a device say, is made for it.

    Raises:
        Refused: there are too many.
    """
    if len(person.sessions) >= MOST_SESSIONS:
        raise Refused(Code.LIMIT, f"you are connected {MOST_SESSIONS} times; end one first", 60.0)


def _guest_name(plan: Plan) -> tuple[str, str]:
    while True:
        name = "guest-" + base64.b32encode(secrets.token_bytes(5)).decode().lower()[:6]
        if plan.named(name) is None and plan.looks_like(name) is None:
            return name, name


def _begun_before(plan: Plan, task: Task, frame: Hello | Login, digest: bytes) -> bool:
    done = plan.done_before(0, frame.id)
    if done is None:
        return False
    _check_same(done, digest)
    begun = plan.session(done.room)
    if begun is None:
        return False
    _go_on(plan, task, begun, frame.agent)
    return True


def _check_same(done: Done | None, digest: bytes) -> None:
    if done is not None and done.digest != digest:
        raise Refused(Code.CONFLICT, "this id was used for another greeting; take a new one")


def _go_on(plan: Plan, task: Task, begun: Session, agent: str, device: str = "") -> None:
    token = secrets.token_urlsafe(24)
    back(plan, begun, task, token_hash(token), agent)
    welcome(plan, task, begun.id, token, device)


def _begin(
    plan: Plan,
    task: Task,
    frame: Hello | Login,
    person: Person,
    digest: bytes,
    device: int = 0,
    device_token: str = "",
) -> None:
    token = secrets.token_urlsafe(24)
    number, plan.next_session = plan.next_session, plan.next_session + 1
    session = Session(
        number,
        person.sender,
        frame.visible,
        1,
        task.gateway,
        token_hash(token),
        agent=frame.agent,
        address=task.ask.address,
        device=device,
    )
    begin(plan, person, session)
    plan.done[0, frame.id] = Done(digest, plan.at, number, person.sender)
    welcome(plan, task, number, token, device_token)


# --- devices ----------------------------------------------------------------------------------


def known_device(plan: Plan, token: str | None) -> Device | None:
    """The device whose token this is, by now."""
    if not token:
        return None
    hashed = token_hash(token)
    id = plan.state.device_tokens.get(hashed)
    device = plan.device(id) if id is not None else None
    return device if device is not None and device.token == hashed else None


def _new_token(
    plan: Plan, person: Person, label: str, address: str, device: Device | None = None
) -> tuple[Device, str]:
    """A device with a new token: an older one's, or a new device's."""
    token = secrets.token_urlsafe(32)
    if device is not None and device.sender == person.sender:
        device = change(device, token=token_hash(token), used_at=plan.at)
    else:
        _forget_one(plan, person)
        number, plan.next_device = plan.next_device, plan.next_device + 1
        device = Device(number, person.sender, token_hash(token), label, plan.at, plan.at, address)
    plan.devices[device.id] = device
    return device, token


def _forget_one(plan: Plan, person: Person) -> None:
    devices = plan.devices_of(person.sender)
    if len(devices) >= MOST_DEVICES:
        used = {session.device for session in plan.sessions_of(person)}
        idle = [each for each in devices if each.id not in used] or devices
        plan.devices[min(idle, key=lambda each: each.used_at).id] = None


def devices(case: Case) -> None:
    """List where the account is logged in."""
    case.may(Action.OWN_ACCOUNT)
    sender, current, no = case.person.sender, case.session.device, case.task.ask.no

    def answer(view: View) -> Answer:
        state = view.state
        found = (state.devices[id] for id in sorted(state.devices_of.get(sender, ())))
        listed = [
            frames.Device(
                each.id, each.label, each.made_at, each.used_at, each.address, each.id == current
            )
            for each in found
        ]
        return Answer(no, DeviceList(0, listed))

    case.plan.answer_later(case.task, answer, kept=False)


def revoke(case: Case, frame: Revoke) -> None:
    """Forget a device and end its sessions, be it that of the one that asks."""
    case.may(Action.OWN_ACCOUNT)
    plan, id = case.plan, frame.device or case.session.device
    device = plan.device(id)
    if device is None or device.sender != case.person.sender:
        raise Refused(Code.NOT_ALLOWED, f"you have no device {id}")
    _drop_device(case, id)
    case.ok()


def _drop_device(case: Case, id: int) -> None:
    plan = case.plan
    plan.devices[id] = None
    ending = Ending(Code.EXPIRED, f"this device was logged out; {_OVER}")
    for session in plan.sessions_of(case.person):
        if session.device == id:
            over_below(plan, session.id, session.generation + 1, ending)
            end(plan, session, LOGGED_OUT)


# --- one's account ----------------------------------------------------------------------------


def _proved(plan: Plan, checked: Checked) -> Person | None:
    """The account whose password was right, if it still has that password."""
    person = plan.person(checked.sender) if checked.ok else None
    account = person.account if person is not None else None
    if account is None or account.deleted_at or account.password != checked.against:
        return None
    return person


def _take_hash(plan: Plan, person: Person, checked: Checked) -> None:
    if checked.hashed and person.account is not None:
        account = change(person.account, password=checked.hashed)
        plan.put_person(change(person, account=account))


def register(case: Case) -> None:
    """Make an account of the guest that asks."""
    case.may(Action.REGISTER)
    checked, plan, session = case.checked, case.plan, case.session
    if checked is None or not checked.hashed:
        raise Refused(Code.BAD_PASSWORD, "the password could not be taken")
    account = Account(checked.hashed, plan.at, session.address)
    plan.put_person(change(case.person, account=account))
    grant(case)


def passwd(case: Case) -> None:
    """Another password: every other session ends, every other device is forgotten."""
    case.may(Action.OWN_ACCOUNT)
    checked, plan = case.checked, case.plan
    person = _proved(plan, checked) if checked is not None else None
    if checked is None or person is None or person.sender != case.person.sender:
        raise Refused(Code.BAD_LOGIN, "that is not your password")
    if not checked.hashed:
        raise Refused(Code.BAD_PASSWORD, "the new password could not be taken")
    _take_hash(plan, person, checked)
    for device in plan.devices_of(person.sender):
        if device.id != case.session.device:
            plan.devices[device.id] = None
    ending = Ending(Code.EXPIRED, f"the password was changed; {_OVER}")
    now = plan.person(person.sender)
    assert now is not None
    end_all(plan, now, ending, LOGGED_OUT, keep=case.session.id)
    grant(case)


def grant(case: Case) -> None:
    """Give the device that asks a new token; asked again, another one, since the first got lost."""
    plan = case.plan
    person = plan.person(case.person.sender)
    session = plan.session(case.session.id)
    assert person is not None
    assert session is not None
    device = plan.device(session.device)
    device, token = _new_token(plan, person, session.agent, session.address, device)
    if session.device != device.id:
        plan.put_session(change(session, device=device.id))
    case.done(0, device.id)
    plan.answer(case.task, Granted(0, person.name, person.sender, token))


def unregister(case: Case) -> None:
    """Delete the account; its name stays nobody else's for a while."""
    case.may(Action.OWN_ACCOUNT)
    plan, checked = case.plan, case.checked
    person = _proved(plan, checked) if checked is not None else None
    if person is None or person.sender != case.person.sender:
        raise Refused(Code.BAD_LOGIN, "that is not your password")
    for id in sorted(person.rooms):
        now = plan.person(person.sender)
        assert now is not None
        draft = plan.draft(id)
        if draft.kind is not RoomKind.DIRECT:
            note(plan, draft, "parted", now)
        part(plan, now, draft, "parted", asked_by=case.session.id)
    for device in plan.devices_of(person.sender):
        plan.devices[device.id] = None
    forget_invitations(plan, person)
    ending = Ending(Code.EXPIRED, "the account was deleted")
    last = plan.person(person.sender)
    assert last is not None
    end_all(plan, last, ending, ending.text, keep=case.session.id)
    end(plan, case.session, ending.text)
    last = plan.person(person.sender)
    assert last is not None
    assert last.account is not None
    account = change(last.account, password="", operator=False, deleted_at=plan.at)
    plan.put_person(change(last, account=account, blocked=frozenset()))
    case.done()
    plan.answer(case.task, Ok(0, at=plan.at))


def block(case: Case, frame: Block) -> None:
    """Take nothing private of somebody any more, or again."""
    case.may(Action.PERSONAL)
    person = case.person
    target = find_person(case, frame.name)
    if target.sender == person.sender:
        raise Refused(Code.NOT_ALLOWED, "that is you")
    blocked = person.blocked - {target.sender}
    if frame.on:
        if len(blocked) >= MOST_BLOCKED:  # guests that are gone cannot be named any more
            blocked = frozenset(each for each in blocked if case.plan.person(each) is not None)
        if len(blocked) >= MOST_BLOCKED:
            raise Refused(Code.LIMIT, f"you have blocked {MOST_BLOCKED} people already")
        blocked |= {target.sender}
    case.plan.put_person(change(person, blocked=blocked))
    case.ok()
