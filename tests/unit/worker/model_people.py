"""What people and operators of the cluster do in the model of a chat (model.py), and the table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hubbub import frames
from tests.unit.worker import model_acts as acts
from tests.unit.worker.model import Attached, Expected, Model, No, Somebody
from tests.unit.worker.model_acts import ok, rename, until

# --- people -----------------------------------------------------------------------------------


def away(m: Model, by: Somebody, at: Attached, frame: frames.Away) -> Expected:
    """How one is, on this session."""
    at.state, at.away = frame.state, frame.text if frame.state != "here" else ""
    return ok(m)


def bye(m: Model, by: Somebody, at: Attached, frame: frames.Bye) -> Expected:
    """“A clean goodbye frees the name at once.”"""
    m.end(at)
    return ok(m)


def block(m: Model, by: Somebody, at: Attached, frame: frames.Block) -> Expected:
    """Take nothing private of somebody."""
    target = m.who(frame.name)
    if target is by:
        raise No("not_allowed")
    (by.blocked.add if frame.on else by.blocked.discard)(target.sender)
    return ok(m)


def revoke(m: Model, by: Somebody, at: Attached, frame: frames.Revoke) -> Expected:
    """“Forget a device and end its sessions.”"""
    number = frame.device or at.device
    if not by.account or number not in by.devices:
        raise No("not_allowed")
    del by.devices[number]
    for each in m.sessions_of(by.sender):
        if each.device == number:
            m.end(each)
    return ok(m)


def suspend(m: Model, by: Somebody, at: Attached, frame: frames.Suspend) -> Expected:
    """“A suspension ends every live session.”"""
    target = operated(m, by, frame.name)
    if not target.account or (target.operator and frame.on):
        raise No("not_allowed")
    target.suspended = until(m, frame.seconds)[0] if frame.on else 0
    if frame.on:
        m.end_all(target)
    return ok(m)


def operated(m: Model, by: Somebody, name: str) -> Somebody:
    """Whom an operator of the cluster acts upon."""
    if not by.operator:
        raise No("not_allowed")
    return m.who(name)


def rename_other(m: Model, by: Somebody, at: Attached, frame: frames.Rename) -> Expected:
    """Another name for somebody."""
    rename(m, operated(m, by, frame.name), frame.to)
    return ok(m)


def close(m: Model, by: Somebody, at: Attached, frame: frames.Close) -> Expected:
    """“Everybody is out, its name is free.”"""
    if not by.operator:
        raise No("not_allowed")
    room = m.must_find(by, frame.room)
    if room.kind == "direct":
        raise No("not_allowed")
    seq = m.note(room, "closed", by, text=frame.text)
    m.close(room)
    for sender in sorted(room.members):
        m.part(room, m.people[sender])
    return ok(m, room, seq)


def promote(m: Model, by: Somebody, at: Attached, frame: frames.Promote) -> Expected:
    """By an operator of the cluster, or by whoever has its key."""
    if not frame.key and not by.operator:
        raise No("not_allowed")
    target = m.who(frame.name)
    if not target.account:
        raise No("not_allowed")
    target.operator = frame.on
    return ok(m)


Act = Callable[[Model, Somebody, Attached, Any], Expected]
ACTS: dict[type, Act] = {
    frames.Join: acts.join,
    frames.Leave: acts.leave,
    frames.Nick: acts.nick,
    frames.Say: acts.say,
    frames.Edit: acts.edit,
    frames.Delete: acts.delete,
    frames.React: acts.react,
    frames.Read: acts.read,
    frames.Topic: acts.topic,
    frames.Visibility: acts.visibility,
    frames.Invite: acts.invite,
    frames.Kick: acts.kick,
    frames.Ban: acts.ban,
    frames.Unban: acts.unban,
    frames.Mute: acts.mute,
    frames.Role: acts.role,
    frames.Away: away,
    frames.Bye: bye,
    frames.Block: block,
    frames.Revoke: revoke,
    frames.Suspend: suspend,
    frames.Rename: rename_other,
    frames.Close: close,
    frames.Promote: promote,
}


# --- with passwords ---------------------------------------------------------------------------


def register(m: Model, by: Somebody, at: Attached, hashed: str) -> Expected:
    """“A guest may turn into an account and keeps the name.”"""
    if by.account:
        raise No("not_allowed")
    by.account, by.password = True, hashed
    return m.grant(by, at)


def passwd(m: Model, by: Somebody, at: Attached, right: bool, hashed: str) -> Expected:
    """“Every other session of the account ends, and every other device is forgotten.”"""
    if not by.account:
        raise No("not_allowed")
    if not right:
        raise No("bad_login")
    by.password = hashed
    by.devices = {n: serial for n, serial in by.devices.items() if n == at.device}
    m.end_all(by, keep=at.id)
    return m.grant(by, at)


def unregister(m: Model, by: Somebody, at: Attached, right: bool) -> Expected:
    """“Its rooms are left, its sessions end. The name is kept from others for 30 days.”"""
    if not by.account:
        raise No("not_allowed")
    if not right:
        raise No("bad_login")
    for id in sorted(m.inside(by.sender)):
        room = m.rooms[id]
        if room.kind != "direct":
            m.note(room, "parted", by)
        m.part(room, by)
    m.uninvite(by)
    by.devices.clear()
    by.blocked.clear()
    m.end_all(by)
    by.operator, by.deleted, by.password = False, m.at, ""
    return ok(m)


# --- greetings --------------------------------------------------------------------------------


def hello(m: Model, frame: frames.Hello, gateway: str, address: str) -> Expected:
    """“A repeated hello returns the same session”, or that person again."""
    before = m.once(0, ("hello", frame.name, frame.visible), frame.id)
    if before is not None and before.session in m.sessions:
        session = m.sessions[before.session]
        session.serial += 1
        return m.back(session, gateway, address)
    m.free(frame.name or "", 0)
    if before is not None and m.whose[before.session] not in m.people:
        sender = m.whose[before.session]
    else:
        sender, m.next_sender = m.next_sender, m.next_sender + 1
    who = m.people[sender] = Somebody(sender, frame.name or "")
    session = m.begin(who, gateway, address, frame.visible)
    outcome = Expected("welcome", session=session.id, serial=1)
    m.done[0, frame.id] = ("hello", frame.name, frame.visible), outcome
    return outcome


def login(
    m: Model, frame: frames.Login, gateway: str, address: str, who: Somebody | None, device: int
) -> Expected:
    """A session of an account; `device` is that of the token, 0 with a password."""
    body = ("login", frame.token or (who.sender if who is not None else 0), frame.visible)
    before = m.once(0, body, frame.id) if device else None
    begun = m.sessions.get(before.session) if before is not None else None
    if begun is not None:
        begun.serial += 1
        return m.back(begun, gateway, address)
    if who is None or who.deleted:
        raise No("bad_login")
    if who.suspended > m.at:
        raise No("suspended")
    before = before or m.once(0, body, frame.id)
    begun = m.sessions.get(before.session) if before is not None else None
    if not device:
        device = m.new_token(who, begun.device if begun else 0)
    if begun is not None:
        begun.serial += 1
        return m.back(begun, gateway, address)._replace(device=device)
    session = m.begin(who, gateway, address, frame.visible)
    session.device = device
    outcome = Expected("welcome", session=session.id, serial=1, device=device)
    m.done[0, frame.id] = body, outcome
    return outcome
